"""The check of the compiler: it finds a wrong one, costs little, and remembers a pass."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from wrong_compiler import compiler_with_wrong_sums, forget_checks

from rdvar_jax.devices import canary, compiler
from rdvar_jax.devices.canary import TESTED, check_compiler, find_wrong_answer
from rdvar_jax.devices.compiler import compiled
from rdvar_jax.errors import CompilerError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a process that has checked nothing yet."""
    folder = tmp_path / "cache"
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("RDVAR_CACHE", str(folder))
    jax.config.update("jax_compilation_cache_dir", None)
    forget_checks()
    yield folder
    jax.config.update("jax_compilation_cache_dir", before)
    forget_checks()


def records(folder: Path) -> list[Path]:
    return sorted(folder.glob("xla/compiler-is-right-*.json"))


def test_the_compiler_is_right_with_our_options(cache):
    check_compiler("cpu", compiler._cpu_options())
    (record,) = records(cache)
    facts = json.loads(record.read_text())
    assert facts["jax"] == jax.__version__ and facts["platform"] == "cpu"
    assert facts["options"] == [list(pair) for pair in compiler.CPU_OPTIONS.items()]


def test_a_wrong_compiler_is_found_each_time(cache):
    for _ in range(2):
        with pytest.raises(CompilerError) as info, compiler_with_wrong_sums():
            compiled(lambda x: x, platform="cpu")
    assert not records(cache)
    sentence = str(info.value)
    assert re.fullmatch(
        r"jax [\d.]+ with jaxlib [\d.]+ computes wrong numbers on cpu \(sums of rows: \S+ where "
        r"\S+ is right\), so no result could be trusted; (unset XLA_FLAGS, now .*, or )?install "
        r"another version: pip install jax==[\d.]+ jaxlib==[\d.]+ \(Python 3\.1\d or newer\)\.",
        sentence,
    )
    assert f"pip install jax=={jax.__version__} " not in sentence


@pytest.mark.parametrize("name", list(canary._right_answers(*canary._inputs())))
def test_every_answer_counts(name, monkeypatch):
    """One element wrong by a five-hundredth of the largest, as jaxlib 0.10.2's is, or NaN."""
    right = canary._right_answers(*canary._inputs())
    device = jax.local_devices()[0]
    options = compiler._cpu_options()
    monkeypatch.setattr(canary, "_right_answers", lambda *_: right)
    assert find_wrong_answer(device, options) is None
    right[name].flat[-1] -= np.abs(right[name]).max() / 500
    wrong = find_wrong_answer(device, options)
    assert wrong is not None and wrong.startswith(f"{name}: ")
    right[name].flat[0] = np.nan
    assert find_wrong_answer(device, options) is not None


def test_a_pass_is_remembered_per_options_and_flags(cache, monkeypatch):
    runs = []
    monkeypatch.setattr(canary, "find_wrong_answer", lambda *args: runs.append(args))

    def check(options=compiler.CPU_OPTIONS):
        canary._check.cache_clear()  # as in a new process
        check_compiler("cpu", options)
        return len(runs)

    assert [check(), check(), check(None), check(None), check()] == [1, 1, 2, 2, 2]
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert check() == 3
    monkeypatch.setattr(jax, "__version__", "0.99.0")
    assert [check(), check()] == [4, 4]
    monkeypatch.setattr(canary, "instruction_sets", lambda: ["avx2"])
    assert [check(), check()] == [5, 5]


def test_a_cache_that_cannot_be_written_only_costs_time(cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    runs = []
    monkeypatch.setattr(canary, "find_wrong_answer", lambda *args: runs.append(args))
    for _ in range(2):
        canary._check.cache_clear()
        check_compiler("cpu", None)
    assert len(runs) == 2 and cache.is_file()


def test_an_option_that_xla_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr(compiler, "CPU_OPTIONS", {"xla_cpu_of_another_version": "1"})
    assert compiler._cpu_options.__wrapped__() is None


def test_the_pinned_version_is_one_of_those_tested():
    pins = (REPOSITORY / "constraints.txt").read_text()
    assert re.search(r"^jax==(\S+)", pins, re.MULTILINE)[1] in TESTED


@pytest.mark.nightly
def test_it_takes_a_fifth_of_a_second(tmp_path):
    """As a user waits: a new process, XLA's own optimisations, no cache; the least of three."""
    code = (
        "import time, jax\n"
        "from wrong_compiler import forget_checks\n"
        "from rdvar_jax.devices import canary, compiler\n"
        "jax.local_devices()\n"
        "for _ in range(2):\n"
        "    forget_checks()\n"
        "    options, start = compiler._cpu_options(), time.perf_counter()\n"
        "    canary.check_compiler('cpu', options)\n"
        "    print(time.perf_counter() - start)\n"
    )
    without = ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    times = []
    for index in range(3):
        environment["RDVAR_CACHE"] = str(tmp_path / str(index))
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        times.append([float(line) for line in done.stdout.split()])
    first, second = np.min(times, axis=0)
    assert first < 0.2 and second < 0.02, times
