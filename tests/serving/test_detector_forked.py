"""A detector in a forked process: JAX would hang there."""

import subprocess
import sys

import pytest

CODE = """
import os, sys, warnings
import numpy as np
from rdvar_jax import Detector
warnings.simplefilter("ignore")  # JAX warns of forks
path, images = sys.argv[1], np.zeros((1, 32, 32, 3), np.uint8)
detector = Detector.load(path)
detector.predict(images)
for use in (lambda: detector.predict(images), lambda: Detector.load(path)):
    if (child := os.fork()) == 0:
        try:
            use()
        except Exception as error:
            print(type(error).__name__, error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.slow  # a process of its own, because a fork of this one would copy the tests
def test_a_detector_in_a_forked_process(bundle):
    command = [sys.executable, "-c", CODE, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("UserError this process was forked from one that had used JAX") == 2
