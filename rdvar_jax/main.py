"""The command line: `rdvar prepare`, `train`, `evaluate`, `threshold` and `predict`."""

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from rdvar_jax.errors import ConfigError, UserError
from rdvar_jax.version import __version__

if TYPE_CHECKING:  # loading these takes seconds, which --help should not
    from rdvar_jax.config import Config
    from rdvar_jax.workdir import Workdir

HELP = f"""rdvar {__version__}: find defects with reverse distillation and the variance loss.

rdvar train --config FILE[:CATEGORY] --workdir W [--config.SECTION.NAME=VALUE ...]
    Train on the good images of data.root/CATEGORY. The same command goes on where a stopped run
    was. Settings and their defaults: rdvar_jax/config.py.

rdvar evaluate --workdir W [--checkpoint latest|best] [--config.SECTION.NAME=VALUE ...]
    Score the test images: results.json, scores.csv and figures/ in W. Settings of the sections
    score, report and parallel, and data.root, may differ from those in training.

rdvar threshold --workdir W --input GOOD_IMAGES [--method fpr|quantile|gpd] [--target 0.05]
        [--confidence 0.95] [--quantile 0.99] [--checkpoint latest|best]
    Choose the score above which an image is called defective, from good images that were not
    trained on: threshold.json in W. Without --input from the training images, with no promise.

rdvar predict --workdir W --input FILES_OR_FOLDERS --output FOLDER [--save_maps] [--noheat_maps]
        [--checkpoint latest|best] [--config.SECTION.NAME=VALUE ...]
    Score any images; folders are searched at any depth, and --input may be given again. FOLDER gets
    scores.csv (path, raw score), heat_maps/ (PNG), and maps/ (raw float32 maps, .npy). The colour
    scale stands in each picture and is one for all: that of rdvar evaluate, else of these images.

rdvar prepare --source synthetic --output FOLDER [--size 256] [--seed 0]
    Draw a data set of four categories with defects and masks: no download, no licence.

Several machines train together with the settings of the section distributed: docs/multihost.md.

Exit codes: 0 done; 2 something to mend, said in one sentence; 3 another process of the job was
lost or did not come; 128 + n stopped by signal n.
"""

logger = logging.getLogger("rdvar_jax")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and gives the exit code.

    Args:
        argv: the arguments after the program's name; those of the process by default.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help") or "--help" in argv:
        print(HELP, end="")
        return 0 if argv else 2
    if argv[0] == "--version":
        print(__version__)
        return 0
    commands = {
        "prepare": _prepare,
        "train": _train,
        "evaluate": _evaluate,
        "threshold": _threshold,
        "predict": _predict,
    }
    if argv[0] not in commands:
        print(f"rdvar: unknown command {argv[0]!r}; see rdvar --help", file=sys.stderr)
        return 2
    start_logging()
    try:
        return commands[argv[0]](argv)
    except (Exception, KeyboardInterrupt) as error:
        return _report(error)


def _report(error: BaseException) -> int:
    """Says in one sentence what a user can mend and gives the exit code; raises anything else."""
    if isinstance(error, KeyboardInterrupt):
        # Training lets it come this far only the second time.
        print("rdvar: stopped at once by Ctrl-C; what was there before is whole", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, UserError | flags.Error):
        lines = str(error).splitlines()
    elif isinstance(error, OSError) and error.filename is not None:
        lines = [f"{error.filename}: {error.strerror}"]
    else:
        raise error
    print("\n".join(f"rdvar: {line}" for line in lines), file=sys.stderr)
    return 2


def _prepare(argv: list[str]) -> int:
    values = flags.FlagValues()
    flags.DEFINE_enum("source", None, ["synthetic"], "what to make", flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    flags.DEFINE_integer("size", 256, "side of the images, in pixels", flag_values=values)
    flags.DEFINE_integer("seed", 0, "other images for another seed", flag_values=values)
    parse_flags(values, argv)
    if values["source"].value is None or not values["output"].value:
        raise ConfigError("give --source synthetic and --output FOLDER.")
    from rdvar_jax.data.synthetic import CATEGORIES, generate

    root = Path(values["output"].value)
    size, seed = (int(values[name].value or 0) for name in ("size", "seed"))
    generate(root, size=size, seed=seed)
    settings = f"--config configs/mvtec_resnet18.py:{CATEGORIES[0]} --config.data.root={root}"
    print(f"drew {', '.join(CATEGORIES)} in {root}; next: rdvar train {settings} --workdir W")
    return 0


def _train(argv: list[str]) -> int:
    values = flags.FlagValues()
    _define_common(values)
    from ml_collections import config_flags

    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    parse_flags(values, argv)
    config = values["config"].value
    if config is None:
        raise ConfigError(
            "--config is missing; give a file of configs/, as in --config FILE:CATEGORY."
        )
    try:
        config.to_dict()
    except OSError as error:  # raised at the first use of a config whose file is missing
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"--config cannot be read: {reason}; give a file of configs/.") from error
    start_jax()
    from rdvar_jax.config import resolved
    from rdvar_jax.distributed import is_first, membership
    from rdvar_jax.train import train
    from rdvar_jax.training.stop import Stopped

    with membership(_report, **config.distributed):
        try:
            train(resolved(config), _workdir(values))
        except Stopped as stopped:
            print(f"rdvar: {stopped}", file=sys.stderr)
            return 128 + stopped.signal_number
        if is_first():
            print(f"trained; next: rdvar evaluate --workdir {values['workdir'].value}")
    return 0


def _evaluate(argv: list[str]) -> int:
    values = flags.FlagValues()
    _define_common(values)
    config, workdir, which, extra = _load_run(values, argv)
    _refuse_extra(extra)
    from rdvar_jax.evaluate import evaluate

    results = evaluate(config, workdir, which)
    for name, value in results["metrics"].items():
        print(f"{name:22s} {'undefined' if value is None else f'{value:.4f}'}")
    for name, at in results["thresholds"].items():
        if at is not None:
            print(
                f"threshold {name} {at['threshold']:.6g}: {at['num_found']} of "
                f"{at['num_defective']} defective found, {at['num_false']} of {at['num_good']} "
                "good called defective"
            )
    return 0


def _threshold(argv: list[str]) -> int:
    values = flags.FlagValues()
    _define_common(values)
    text = "good images that were not trained on, or a folder of them"
    flags.DEFINE_multi_string("input", [], text, flag_values=values)
    flags.DEFINE_enum("method", "fpr", ["fpr", "quantile", "gpd"], "how", flag_values=values)
    flags.DEFINE_float("target", 0.05, "false-positive rate", flag_values=values)
    flags.DEFINE_float("confidence", 0.95, "that the rate is kept", flag_values=values)
    flags.DEFINE_float("quantile", 0.99, "of --method quantile", flag_values=values)
    config, workdir, which, extra = _load_run(values, argv)
    from rdvar_jax.threshold import Method, make_threshold

    shares = (float(values[name].value or 0) for name in ("target", "confidence", "quantile"))
    inputs = [Path(name) for name in (*(values["input"].value or ()), *extra)]
    found = make_threshold(
        config, workdir, Method(str(values["method"].value), *shares), inputs, which
    )
    print(
        f"threshold {found['threshold']:.6g}: {found['num_above']} of {found['num_images']} images "
        f"({found['split']}) are above it"
    )
    if found["fpr_bound"] is None:
        print("nothing is promised of the false-positive rate of new images")
    else:
        print(
            f"false-positive rate of new good images at most {found['fpr_bound']:.4g}, with "
            f"confidence {found['confidence']:g}"
        )
    return 0


def _predict(argv: list[str]) -> int:
    values = flags.FlagValues()
    _define_common(values)
    flags.DEFINE_multi_string("input", [], "an image or a folder of them", flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    flags.DEFINE_boolean("heat_maps", True, "write pictures", flag_values=values)
    flags.DEFINE_boolean("save_maps", False, "write the raw maps too", flag_values=values)
    config, workdir, which, extra = _load_run(values, argv)
    if not values["input"].value or not values["output"].value:
        raise ConfigError("give --input with images or folders of them, and --output FOLDER.")
    from rdvar_jax.predict import predict

    output = Path(values["output"].value)
    # `--input *.png`: the shell puts all names but the first behind, without a flag.
    inputs = [Path(name) for name in (*values["input"].value, *extra)]
    heat_maps, save_maps = (bool(values[name].value) for name in ("heat_maps", "save_maps"))
    number = predict(
        config, workdir, inputs, output, which, heat_maps=heat_maps, save_maps=save_maps
    )
    print(f"scored {number} images: {output / 'scores.csv'}")
    return 0


def _load_run(
    values: flags.FlagValues, argv: list[str]
) -> "tuple[Config, Workdir, str, list[str]]":
    """Reads a trained run's config, and then the settings, which only that config makes flags.

    Args:
        values: the command's own flags, parsed here.
        argv: the command and its arguments.

    Returns:
        The config with the settings of `argv`, the workdir, --checkpoint, and words without a flag.
    """
    values.set_gnu_getopt(True)
    rest = values(argv, known_only=True)
    folder = _workdir(values)
    start_jax()
    from rdvar_jax.config import determining_settings, resolved
    from rdvar_jax.training.checkpoint import CHECKPOINTS
    from rdvar_jax.workdir import Workdir, load_config, refuse_other_settings

    workdir = Workdir(folder.resolve())
    config = load_config(workdir)
    saved = determining_settings(config)
    settings = flags.FlagValues()
    settings.set_gnu_getopt(True)
    flags.DEFINE_enum("checkpoint", "latest", CHECKPOINTS, "which state", flag_values=settings)
    define_settings(settings, config, rest)
    extra = _parse(settings, rest)
    config = resolved(settings["config"].value)
    refuse_other_settings(saved, determining_settings(config), str(workdir.folder))
    return config, workdir, str(settings["checkpoint"].value), extra


def _define_common(values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", None, "the run's folder", flag_values=values)


def define_settings(values: flags.FlagValues, config: Any, argv: list[str]) -> None:
    """Makes flags of a config's settings, `--config.SECTION.NAME`, with its values as defaults.

    Raises:
        ConfigError: `argv` names a section that there is not.
    """
    from ml_collections import config_flags

    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    except (AttributeError, KeyError) as error:
        raise ConfigError(f"unknown setting: {error}; see rdvar_jax/config.py.") from error


def parse_flags(values: flags.FlagValues, argv: list[str]) -> None:
    """Gives the flags their values, from the arguments after the first.

    Raises:
        ConfigError, flags.Error: an unknown flag or setting, or a value that it cannot have.
    """
    _refuse_extra(_parse(values, argv))


def _parse(values: flags.FlagValues, argv: list[str]) -> list[str]:
    """Reads the flags and gives the words that belong to none."""
    try:
        return values(argv)[1:]
    except flags.Error:
        raise
    except (AttributeError, TypeError, KeyError) as error:
        raise ConfigError(
            f"unknown setting, or a value of the wrong type: {error}; see rdvar_jax/config.py."
        ) from error
    # A config file is the user's own code: anything may come out of it.
    except Exception as error:
        raise ConfigError(f"--config cannot be read ({type(error).__name__}: {error})") from error


def _refuse_extra(extra: list[str]) -> None:
    if extra:
        raise ConfigError(f"arguments not understood: {' '.join(extra)}; see rdvar --help.")


def _workdir(values: flags.FlagValues) -> Path:
    if not values["workdir"].value:
        raise ConfigError("--workdir is missing; give the folder that the run lives in.")
    return Path(values["workdir"].value)


def start_logging() -> None:
    """Shows what the program reports on standard error, and nothing of what orbax does."""
    # A handler of our own: some libraries give the root logger one as soon as they are imported.
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of each of its options


def start_jax() -> None:
    """Keeps compiled programs between runs; `JAX_COMPILATION_CACHE_DIR` chooses the place."""
    from rdvar_jax.memory import keep_freed_memory

    keep_freed_memory()  # before JAX starts its threads
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        from rdvar_jax.weights.catalogue import cache_dir

        jax.config.update("jax_compilation_cache_dir", os.fspath(cache_dir().parent / "xla"))
    # Many small programs add up: every one is kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


if __name__ == "__main__":
    sys.exit(main())
