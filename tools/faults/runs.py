"""Faults in handing the settings of a run to what they are for, and in what a run goes on with."""

from faults.fault import Fault

FAULTS = (
    Fault(
        "a training that cannot begin binds the folder to its settings",
        "rdvar_jax/commands/train.py",
        "    found = run.find_teacher()\n    run.make_folder()\n",
        "    run.make_folder()\n    found = run.find_teacher()\n",
        ("tests/commands/test_begin.py",),
    ),
    Fault(
        "a run goes on with another seed",
        "rdvar_jax/runs/config.py",
        '    "train.epochs",\n',
        '    "train.epochs",\n    "train.seed",\n',
        ("tests/runs/test_config.py",),
    ),
    Fault(
        "a run goes on with other images",
        "rdvar_jax/runs/resume_checks.py",
        'saved.provenance.get("data") != provenance["data"]',
        'not saved.provenance.get("data")',
        ("tests/runs/test_run.py",),
    ),
    Fault(
        "images that were trained on count for the bound",
        "rdvar_jax/commands/thresholds/good_images.py",
        "for index, one in enumerate(seen) if one is None]",
        "for index, one in enumerate(seen)]",
        ("tests/commands/test_trained_on.py::test_those_trained_on_do_not_count",),
    ),
    Fault(
        "a bound from images that were all trained on",
        "rdvar_jax/commands/thresholds/threshold_images.py",
        '(split, new) if new.images else ("train", scored)',
        "(split, new) if new.images else (split, scored)",
        ("tests/commands/test_trained_on.py::test_none_but_those_trained_on_bound_nothing",),
    ),
    Fault(
        "blur of the settings does not reach the scores",
        "rdvar_jax/runs/run.py",
        "            sigma=score.sigma,\n",
        "",
        ("tests/runs/test_run.py",),
    ),
    Fault(
        "pooling of the settings does not reach the scores",
        "rdvar_jax/runs/run.py",
        "            pooling=score.pooling,\n",
        "",
        ("tests/runs/test_run.py",),
    ),
)
