"""Faults in writing files."""

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
        "temporary file left behind after an error",
        "rdvar_jax/files.py",
        "        _remove(temporary)\n        if isinstance",
        "        if isinstance",
        (FILES,),
    ),
)
