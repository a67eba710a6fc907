"""Faults in writing files, and in keeping apart what writes them."""

from faults.fault import Fault

FILES = "tests/files/test_replacing.py"
UNFINISHED = "tests/commands/test_unfinished.py"

FAULTS = (
    Fault(
        "a file takes its name before it is on disk",
        "rdvar_jax/files/replacing.py",
        "        _sync_file(temporary)\n        os.replace(temporary, path)\n",
        "        os.replace(temporary, path)\n        _sync_file(path)\n",
        (FILES,),
    ),
    Fault(
        "temporary file left behind after an error",
        "rdvar_jax/files/replacing.py",
        "        _remove(temporary)\n        if isinstance",
        "        if isinstance",
        (FILES,),
    ),
    Fault(
        "nothing is locked",
        "rdvar_jax/files/locks.py",
        "        lock.acquire()\n",
        "        pass\n",
        ("tests/files/test_locks.py",),
    ),
    Fault(
        "a killed prediction's part is left to the next call",
        "rdvar_jax/commands/predicting/output_part.py",
        "        _remove_part(output)\n    refuse_filled(output)\n",
        "        marker.unlink()\n",
        (f"{UNFINISHED}::test_after_a_kill_the_same_call_gives_the_whole_result",),
    ),
    Fault(
        "a part's list may name photographs",
        "rdvar_jax/commands/predicting/output_part.py",
        'if ".." not in path.parts[len(output.parts) :] and inside(output, path):',
        "if path:",
        (f"{UNFINISHED}::test_a_list_cannot_name_files_elsewhere",),
    ),
    Fault(
        "a watch scores its own pictures",
        "rdvar_jax/data/sets/drop_folder.py",
        "if real in entered or self._is_output(real):",
        "if real in entered:",
        ("tests/data/sets/test_drop_folder.py",),
    ),
    Fault(
        "seal of a kept file not compared",
        "rdvar_jax/files/sealed.py",
        "if content_hash(rest) != value[SEAL]:",
        "if not value[SEAL]:",
        ("tests/files/test_sealed.py",),
    ),
    Fault(
        "file that lost its seal passes as one of an earlier version",
        "rdvar_jax/files/sealed.py",
        "is_sealed = FORMAT in value or SEAL in value",
        "is_sealed = SEAL in value",
        ("tests/files/test_sealed.py",),
    ),
    Fault(
        "folder takes its name before its files are on disk",
        "rdvar_jax/files/replacing.py",
        "                _sync_file(path)\n        sync_folder(folder)\n",
        "                pass\n        sync_folder(folder)\n",
        ("tests/files/test_write_order.py",),
    ),
    Fault(
        "results move before the pictures beside them",
        "rdvar_jax/commands/evaluating/evaluation_set.py",
        '        publish_folder(part, _hidden(workdir, checkpoint, "ready"))\n',
        "        os.replace(part / workdir.results(checkpoint).name, workdir.results(checkpoint))\n"
        '        publish_folder(part, _hidden(workdir, checkpoint, "ready"))\n',
        ("tests/commands/test_evaluation_set.py::test_a_kill_at_any_moment_leaves_one_whole_set",),
    ),
    Fault(
        "an output that is not given is put over another's",
        "rdvar_jax/commands/predicting/output_part.py",
        "            if _is_taken(output):\n                continue\n            with",
        "            if False:\n                continue\n            with",
        ("tests/commands/test_default_output.py::test_whatever_has_the_name_is_kept",),
    ),
)
