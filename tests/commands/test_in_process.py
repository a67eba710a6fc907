"""What a command changes in the tests' own process is undone."""

import logging
import os
import signal
import sys
import warnings
from pathlib import Path

import jax
import pytest
from in_process import call_rdvar, call_script

SCRIPT = """
import logging, os, signal, sys, warnings
import jax
os.chdir("/")
os.environ["RDVAR_ODD"] = "1"
del os.environ["PATH"]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
jax.config.update("jax_compilation_cache_dir", "/nowhere")
warnings.simplefilter("ignore")
log = logging.getLogger("rdvar_jax")
log.addHandler(logging.StreamHandler(sys.stderr))
log.propagate = False
log.setLevel(logging.INFO)
log.info("a log")
print("out", *sys.argv[1:])
sys.exit(3)
"""


def state() -> list:
    log = logging.getLogger("rdvar_jax")
    return [
        Path.cwd(),
        dict(os.environ),
        signal.getsignal(signal.SIGTERM),
        jax.config.values["jax_compilation_cache_dir"],
        warnings.filters[:],
        (log.handlers[:], log.propagate, log.level),
        (sys.argv, sys.path[:], sys.stdout, sys.stderr),
    ]


def test_what_a_script_changes_is_undone(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    before = state()
    done = call_script(tmp_path / "script.py", "one", 2)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out one 2\n", "a log\n")
    assert state() == before


def test_a_command_says_what_a_process_says(tmp_path):
    before = state()
    done = call_rdvar("evaluate", "--workdir", tmp_path)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith("rdvar: ")
    assert state() == before


def test_what_is_not_foreseen_fails_the_test(tmp_path):
    (tmp_path / "script.py").write_text("raise ZeroDivisionError('odd')")
    before = state()
    with pytest.raises(ZeroDivisionError, match="odd"):
        call_script(tmp_path / "script.py")
    assert state() == before
