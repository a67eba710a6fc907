"""Puts deliberate faults into a copy of this repository, one at a time, and runs the nearest tests.

    python tools/mutations.py --json mutations.json
    python tools/mutations.py --list
    python tools/mutations.py --only "masks inverted" "images decoded as BGR" --slow

Each fault must make a default test fail. Before the first one the same tests run without a fault,
where they must pass. The copy is temporary and holds the files that git knows or would take; the
checkout itself is never changed. Prints a Markdown table, and what is to be done in the end. The
exit code is 1 where a fault was not noticed, and 2 where a fault no longer fits the code or tests
could not be run.

With --slow what the default tests did not notice is shown to the slow tests of the same files too;
the table then names those that only these notice.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from faults import FAULTS
from faults.fault import Fault, Misfit

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(".cache") / "xla-tests"  # as in tests/conftest.py
# Real images are kept outside the repository: what only they notice is not guarded everywhere.
OTHERS = "not nightly and not torch and not browser and not ray and not real_data"
DEFAULT, SLOW = f"not slow and {OTHERS}", f"slow and {OTHERS}"
TIMEOUT_SECONDS = 900
PASSED, FAILED, NONE_FOUND = 0, 1, 5  # exit codes of pytest


class CannotRun(Exception):
    """Tests that were neither passed nor failed."""


@dataclass(frozen=True)
class Result:
    """What became of one fault.

    Attributes:
        name: of the fault.
        file: that held it.
        tests: that were run.
        caught_by: the first test that failed; None where all passed.
        only_slow: whether only a slow test failed.
        seconds: of all tests.
    """

    name: str
    file: str
    tests: tuple[str, ...]
    caught_by: str | None
    only_slow: bool
    seconds: float

    @property
    def row(self) -> str:
        """A line of the Markdown table."""
        tests = ", ".join(f"`{test}`" for test in self.tests)
        if self.caught_by is None:
            caught_by = "**nothing**"
        else:
            caught_by = f"`{self.caught_by}`{' (slow)' if self.only_slow else ''}"
        return f"| {self.name} | `{self.file}` | {tests} | {caught_by} | {self.seconds:.0f} |"


HEADER = "| Fault | File | Nearest tests | Noticed by | s |\n|---|---|---|---|---|"


def main(argv: Sequence[str] | None = None, root: Path = ROOT, faults=FAULTS) -> int:
    """Runs the tool on `root`; see the module's docstring."""
    args = _parser().parse_args(argv)
    if args.list:
        print("\n".join(fault.name for fault in faults))
        return 0
    try:
        chosen = _choose(faults, args.only)
        results = []
        with copy_of(root) as copy:
            print(HEADER, flush=True)
            _check_without_faults(copy, chosen)
            for fault in chosen:
                results.append(try_fault(copy, fault, slow=args.slow))
                print(results[-1].row, flush=True)
    except (Misfit, CannotRun) as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    print(f"\n{summary(results)}")
    return int(any(one.caught_by is None for one in results))


def summary(results: Sequence[Result]) -> str:
    """How many faults were noticed, and the names of the others."""
    missed = [one.name for one in results if one.caught_by is None]
    slow = [one.name for one in results if one.only_slow]
    lines = [f"{len(results) - len(missed)} of {len(results)} faults were noticed."]
    if slow:
        lines.append(f"By slow tests only: {', '.join(slow)}.")
    if missed:
        lines.append(f"Not noticed, each needs a test: {', '.join(missed)}.")
    return "\n".join(lines)


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A temporary copy of the repository, with the tests' compiled programs."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=root, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="rdvar_mutations_") as folder:
        copy = Path(folder) / "copy"  # what lies beside a checkout is looked for there
        for name in filter(None, os.fsdecode(listed).split("\0")):
            if (root / name).is_file():  # git lists what was removed and not committed
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, copy / name)
        # A copy, because a program of a faulty run, or a half-written one, must not come back.
        if (root / CACHE).is_dir():
            shutil.copytree(root / CACHE, copy / CACHE)
        yield copy


def try_fault(copy: Path, fault: Fault, *, slow: bool) -> Result:
    """Puts the fault in, runs its tests and takes it out again.

    Raises:
        Misfit: the fault does not fit the code.
        CannotRun: the tests neither passed nor failed.
    """
    path = copy / fault.file
    right, wrong = path.read_text(encoding="utf-8"), fault.applied_to(copy)
    start, only_slow = time.monotonic(), False
    path.write_text(wrong, encoding="utf-8")
    try:
        caught_by = first_failure(copy, fault.tests, DEFAULT)
        if caught_by is None and slow:
            files = dict.fromkeys(test.split("::")[0] for test in fault.tests)
            caught_by = first_failure(copy, files, SLOW, may_be_none=True)
            only_slow = caught_by is not None
    finally:
        path.write_text(right, encoding="utf-8")
    seconds = time.monotonic() - start
    return Result(fault.name, fault.file, fault.tests, caught_by, only_slow, round(seconds, 1))


def first_failure(
    copy: Path, tests: Iterable[str], marks: str, *, may_be_none: bool = False
) -> str | None:
    """Runs tests up to the first that fails, and names it; None where all pass.

    Args:
        copy: of the repository.
        tests: as pytest takes them.
        marks: which of them, for pytest's -m.
        may_be_none: there need not be any such test.

    Raises:
        CannotRun: they neither passed nor failed: they cannot be imported, or there are none.
    """
    options = ["-x", "-q", "--tb=no", "--color=no", "-p", "no:cacheprovider", "-m", marks]
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),  # before what is installed
        # A faulty file may be as large and as old as the right one, which Python takes for equal.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("RDVAR_FAIL_ON_SKIP", None)  # a test that is left out noticed nothing
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{' '.join(tests)} took over {TIMEOUT_SECONDS} s.") from error
    if done.returncode == PASSED or (done.returncode == NONE_FOUND and may_be_none):
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if done.returncode != FAILED or failed is None:
        raise CannotRun(
            f"{' '.join(tests)} ended with exit code {done.returncode}:\n"
            f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return failed[1]


def _choose(faults: Sequence[Fault], names: Sequence[str] | None) -> list[Fault]:
    unknown = set(names or ()) - {fault.name for fault in faults}
    if unknown:
        raise Misfit(f"There is no fault {', '.join(sorted(unknown))}; --list gives all names.")
    return [fault for fault in faults if names is None or fault.name in names]


def _check_without_faults(copy: Path, faults: Sequence[Fault]) -> None:
    """Raises a CannotRun where a test fails without any fault, and so would notice each."""
    for fault in faults:
        fault.applied_to(copy)  # all misfits are known at once, before minutes of tests
    broken = first_failure(copy, dict.fromkeys(t for f in faults for t in f.tests), DEFAULT)
    if broken is not None:
        raise CannotRun(f"{broken} fails without any fault; mend it first.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="print the faults' names and leave")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these faults, not all")
    parser.add_argument("--slow", action="store_true", help="show to slow tests what is left")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
