"""`tools/mutations.py`: its faults fit the code and are noticed; what it says of made-up ones."""

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The tools are scripts: what they import lies beside them.
sys.path.insert(0, str(ROOT / "tools"))

import mutations  # noqa: E402
from faults import FAULTS  # noqa: E402
from faults.fault import Fault, Misfit  # noqa: E402


def test_names_are_names():
    assert len(FAULTS) >= 45
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fits_the_code_and_its_tests_are_there(fault):
    wrong = fault.applied_to(ROOT)
    assert wrong != (ROOT / fault.file).read_text(encoding="utf-8")
    ast.parse(wrong)
    for test in fault.tests:
        file, *function = test.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert set(function) <= set(names), test


@pytest.mark.nightly
def test_every_fault_is_noticed(tmp_path):
    command = [sys.executable, ROOT / "tools" / "mutations.py", "--json", tmp_path / "all.json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "all.json").read_text())
    assert [one["name"] for one in results] == [fault.name for fault in FAULTS]


@pytest.fixture
def repository(tmp_path) -> Path:
    """A module and its tests, known to git: a default one, and a slow one that notices more."""
    root = tmp_path / "repository"
    (root / "tests").mkdir(parents=True)
    (root / "module.py").write_text("def double(x):\n    return x * 2\n")
    (root / "tests" / "test_module.py").write_text(
        "import pytest\nfrom module import double\n\n"
        "def test_double():\n    assert double(2) == 4\n\n"
        "@pytest.mark.slow\ndef test_double_of_three():\n    assert double(3) == 6\n"
    )
    marks = (
        "[pytest]\naddopts = -ra\nmarkers =\n  slow: s\n  nightly: n\n  torch: t\n  browser: b\n"
    )
    (root / "pytest.ini").write_text(f"{marks}  ray: r\n  real_data: d\n")
    (root / ".gitignore").write_text("run/\n")
    (root / "run").mkdir()
    (root / "run" / "large.bin").write_bytes(b"not copied")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


def fault(new: str, old: str = "x * 2") -> Fault:
    return Fault(f"{old} is {new}", "module.py", old, new, ("tests/test_module.py",))


def test_what_is_noticed_and_what_is_not(repository, capsys, tmp_path):
    before = {path: path.read_bytes() for path in repository.glob("**/*.py")}
    faults = [fault("x * 3"), fault("x + 2"), fault("2 * x")]  # at once, by the slow one, by none
    options = ["--json", str(tmp_path / "results.json")]
    assert mutations.main([*options, "--slow"], repository, faults[:2]) == 0
    assert mutations.main(options, repository, faults[:2]) == 1
    assert mutations.main([*options, "--slow"], repository, faults) == 1
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(one["caught_by"], one["only_slow"]) for one in results] == [
        ("tests/test_module.py::test_double", False),
        ("tests/test_module.py::test_double_of_three", True),
        (None, False),
    ]
    said = capsys.readouterr().out
    assert "2 of 3 faults were noticed." in said
    assert (
        "By slow tests only: x * 2 is x + 2.\nNot noticed, each needs a test: x * 2 is 2 * x."
        in said
    )
    assert "| x * 2 is 2 * x | `module.py` | `tests/test_module.py` | **nothing** |" in said
    assert {path: path.read_bytes() for path in repository.glob("**/*.py")} == before


def test_a_copy_holds_what_git_would_take(repository):
    with mutations.copy_of(repository) as copy:
        assert (copy / "module.py").read_bytes() == (repository / "module.py").read_bytes()
        assert not (copy / "run").exists()
    assert not copy.exists()


@pytest.mark.parametrize("old", ["x * 5", "x"])
def test_a_fault_that_no_longer_fits_is_named(repository, capsys, old):
    assert mutations.main([], repository, [fault("y", old)]) == 2
    assert f"{old} is y: module.py holds the old text" in capsys.readouterr().err
    with pytest.raises(Misfit):
        fault("y", old).applied_to(repository)


def test_tests_must_pass_without_a_fault_and_run_with_it(repository, capsys):
    assert mutations.main([], repository, [fault("x *")]) == 2  # no program: nothing was tested
    assert "ended with exit code 2" in capsys.readouterr().err
    (repository / "module.py").write_text("def double(x):\n    return x * 2 + 1\n")
    assert mutations.main([], repository, [fault("x * 3")]) == 2
    assert "test_double fails without any fault" in capsys.readouterr().err


def test_a_list_and_a_choice(repository, capsys):
    faults = [fault("x * 3"), fault("x * 4")]
    assert mutations.main(["--list"], repository, faults) == 0
    assert capsys.readouterr().out == "x * 2 is x * 3\nx * 2 is x * 4\n"
    assert mutations.main(["--only", "x * 2 is x * 4"], repository, faults) == 0
    assert "x * 3" not in capsys.readouterr().out
    assert mutations.main(["--only", "another"], repository, faults) == 2
    assert "There is no fault another" in capsys.readouterr().err
