"""Faults in writing files, and in what a run's folder is compared with."""

from faults.fault import Fault

FILES = "tests/test_files.py"

FAULTS = (
    Fault(
        "a file takes its name before it is on disk",
        "rdvar_jax/files.py",
        "        _sync_file(temporary)\n        os.replace(temporary, path)\n",
        "        os.replace(temporary, path)\n        _sync_file(path)\n",
        (FILES,),
    ),
    Fault(
        "new name of a file not forced to disk",
        "rdvar_jax/files.py",
        "    _sync_folder(path.parent)\n",
        "",
        (FILES,),
    ),
    Fault(
        "temporary file left behind after an error",
        "rdvar_jax/files.py",
        "        _remove(temporary)\n        raise\n",
        "        raise\n",
        (FILES,),
    ),
    Fault(
        "a run goes on with another seed",
        "rdvar_jax/runs/config.py",
        '    "train.epochs",\n',
        '    "train.epochs",\n    "train.seed",\n',
        ("tests/runs/test_config.py",),
    ),
    Fault(
        "threshold of another state accepted",
        "rdvar_jax/runs/threshold_file.py",
        "if made_with[0] != saved.sha256:",
        "if not made_with[0]:",
        ("tests/runs/test_threshold_file.py",),
    ),
    Fault(
        "threshold of other settings accepted",
        "rdvar_jax/runs/threshold_file.py",
        "if made_with[1] != score_settings(config):",
        "if not made_with[1]:",
        ("tests/runs/test_threshold_file.py",),
    ),
    Fault(
        "a run goes on with other images",
        "rdvar_jax/runs/run.py",
        'saved.identity["data"] != provenance["data"]',
        'not saved.identity["data"]',
        ("tests/runs/test_run.py",),
    ),
    Fault(
        "a run goes on with another teacher",
        "rdvar_jax/runs/run.py",
        'saved.identity["teacher"] != provenance["teacher"]',
        'not saved.identity["teacher"]',
        ("tests/runs/test_run.py",),
    ),
    Fault(
        "an image equal to the threshold is called defective",
        "rdvar_jax/commands/image_writer.py",
        "score > np.float32(limit)",
        "score >= np.float32(limit)",
        ("tests/commands/test_verdict_rules.py",),
    ),
)
