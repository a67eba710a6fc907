"""A trained run, its bundle and ONNX model, and photographs: what whole commands are timed with."""

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark_rows.serve import Settings

CATEGORY, NUM_TRAIN = "cloth", 8
BATCH_SIZE = 8


@dataclass(frozen=True)
class Kit:
    """Files of one backbone and image size.

    Attributes:
        data: folder of the drawn category.
        run: of one step from random weights: scores mean nothing, and take as long as any.
        bundle: its export.
        onnx: its ONNX model; None where the package onnx is not installed.
        photographs: image files.
        threshold: the median of the photographs' scores, so that half have outlines to draw.
        scale: of colours: lowest and highest value of a few maps.
        cache: `RDVAR_CACHE` of all commands.
    """

    data: str
    run: str
    bundle: str
    onnx: str | None
    photographs: list[str]
    threshold: float
    scale: tuple[float, float]
    cache: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "RDVAR_CACHE": self.cache}


def make_kit(folder: Path, settings: Settings, num_photographs: int, photograph_size: int) -> Kit:
    """Draws photographs, trains, exports, and scores once, so that all is compiled and cached.

    Args:
        folder: a new folder for all files.
        settings: backbone, sizes and precision. `data` is a folder with photographs, or None to
            draw some of `photograph_size` squared; few are drawn, and each has several names.
        num_photographs: how many files.
        photograph_size: side in pixels.
    """
    data, photographs = folder / "drawn", folder / "photographs"
    draw(data, photograph_size)
    if settings.data is None:
        drawn = sorted((data / CATEGORY / "test").rglob("*.png"))
    else:
        drawn = sorted(
            path for path in Path(settings.data).rglob("*") if path.suffix in (".png", ".jpg")
        )
    photographs.mkdir()
    named = []
    for index in range(num_photographs):
        source = drawn[index % len(drawn)]
        named.append(photographs / f"{index:04}{source.suffix}")
        link_or_copy(source, named[-1])
    run, bundle, model = folder / "run", folder / "part.rdvar", folder / "part.onnx"
    kit = Kit(
        data=str(data),
        run=str(run),
        bundle=str(bundle),
        onnx=None,
        photographs=[str(path) for path in named],
        threshold=0.0,
        scale=(0.0, 1.0),
        cache=str(folder / "cache"),
    )
    rdvar(kit, *train_words(kit, settings, run))
    rdvar(kit, "export", "--workdir", run, "--output", bundle)
    if has_onnx():
        rdvar(kit, "export", "--workdir", run, "--output", model, "--format", "onnx")
        kit = Kit(**{**asdict(kit), "onnx": str(model)})
    first = folder / "first"
    rdvar(kit, "predict", "--workdir", run, *named[:BATCH_SIZE], "--output", first)
    with (first / "scores.csv").open(newline="") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    threshold = statistics.median(scores)
    scale = (0.5 * min(scores), max(scores))
    return Kit(**{**asdict(kit), "threshold": threshold, "scale": scale})


def draw(data: Path, size: int) -> None:
    """Draws training images, and for each kind of defect and good images some to score.

    In a process of its own: the peak memory of later ones begins with that of this process.
    """
    settings = {"size": size, "num_train": NUM_TRAIN, "num_test_good": 6, "num_per_defect": 2}
    code = (
        "import json, sys; from rdvar_jax.synthetic.write import generate; "
        "generate(sys.argv[1], [sys.argv[2]], **json.loads(sys.argv[3]), progress=False)"
    )
    command = [sys.executable, "-c", code, str(data), CATEGORY, json.dumps(settings)]
    subprocess.run(command, check=True)


def link_or_copy(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # on another disk
        shutil.copy(source, path)


def train_words(kit: Kit, settings: Settings, workdir: Path) -> list[str]:
    """The arguments of `rdvar train` for one step of one batch."""
    values = {
        "data.root": kit.data,
        "data.image_size": settings.image_size,
        "teacher.arch": settings.arch,
        "teacher.stem_width": settings.stem_width,
        "teacher.weights": "random",
        "compute.precision": settings.precision,
        "train.batch_size": BATCH_SIZE,
        "train.epochs": 1,
    }
    words = [f"--config.{name}={value}" for name, value in values.items()]
    return ["train", "--config", f"resnet18:{CATEGORY}", "--workdir", str(workdir), *words]


def rdvar(kit: Kit, *words: object) -> None:
    """Runs a command of this package to its end.

    Raises:
        SystemExit: it failed; what it said.
    """
    done = subprocess.run(
        rdvar_command(*words), env=kit.environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"rdvar {words[0]} failed: {done.stderr[-2000:]}")


def rdvar_command(*words: object) -> list[str]:
    return [sys.executable, "-m", "rdvar_jax", *map(str, words)]


def has_onnx() -> bool:
    """Whether ONNX models can be exported here."""
    from importlib.util import find_spec

    return find_spec("onnx") is not None


def write_kit(kit: Kit, path: Path) -> None:
    path.write_text(json.dumps(asdict(kit)))


def read_kit(path: str) -> Kit:
    return Kit(**json.loads(Path(path).read_text()))
