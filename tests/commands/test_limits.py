"""Real limits of the system: each command ends with one sentence, and goes on without the limit.

Processes of their own, since a limit would hold for all tests.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence
from saved_state import assert_same_state

pytestmark = pytest.mark.slow  # some thirty processes

WITHOUT_JAX = ("report", "inspect", "prepare")
NAMES = ("train", "evaluate", "threshold", "predict", "export", *WITHOUT_JAX)


def command(name: str, rdvar, folder: Path) -> tuple:
    """The arguments of a command that works on a run in `folder`."""
    run = ("--workdir", folder / "run")
    return {
        "train": rdvar.train_args(folder / "run"),
        "evaluate": ("evaluate", *run),
        "threshold": (
            *("threshold", *run, "--input", rdvar.root / "tile" / "test" / "good"),
            *("--target=0.4", "--confidence=0.75"),
        ),
        "report": ("report", *run),
        "predict": (
            *("predict", *run, "--input", rdvar.root / "tile" / "test", "--output", folder / "out"),
        ),
        "export": ("export", *run, "--output", folder / "part.rdvar"),
        "inspect": (
            *("inspect", "--config", rdvar.train_args(folder)[2]),
            *(f"--config.data.root={rdvar.root}", "--output", folder / "sheet.png"),
        ),
        "prepare": ("prepare", "--source", "synthetic", "--size", "32", "--output", folder / "p"),
    }[name]


@pytest.fixture
def begin(finished) -> Callable:
    """Copies what a command needs into a folder."""

    def copy(name: str, folder: Path) -> None:
        if name in ("evaluate", "threshold"):
            shutil.copytree(finished.trained, folder / "run")
        elif name in ("predict", "report", "export"):
            shutil.copytree(finished.workdir, folder / "run")
            (folder / "run" / "report.html").unlink()

    return copy


def limited(rdvar, *args, **limits: int) -> subprocess.CompletedProcess:
    """Calls a command under limits such as NOFILE=14."""
    lines = [
        f"resource.setrlimit(resource.RLIMIT_{name}, ({limit}, {limit}))"
        for name, limit in limits.items()
    ]
    return rdvar.process(*args, before="; ".join(["import resource", *lines]))


def halves(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if "tmp" in path.name or ".partial" in path.name]


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[dict[str, int]]:
    """Mounts a disk on the folder, or where that is not allowed yields a limit of files' size."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield {"FSIZE": num_bytes}
        return
    try:
        yield {}
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def with_the_others_nightly(*names: str) -> list:
    """All commands; each of the others takes a process or several of its own."""
    others = (name for name in NAMES if name not in names)
    return [*names, *(pytest.param(name, marks=pytest.mark.nightly) for name in others)]


def used(folder: Path) -> int:
    """Bytes of a folder's files, in the pages of a tmpfs."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("name", "room"),
    [
        *(("train", 130_000), ("evaluate", 200_000), ("threshold", 0), ("predict", 300_000)),
        *(
            pytest.param(*one, marks=pytest.mark.nightly)
            for one in (
                *(("train", 8_192), ("train", 90_000), ("train", 1_400_000), ("evaluate", 4_096)),
                *(("report", 4_096), ("predict", 8_192), ("export", 100_000), ("inspect", 8_192)),
                ("prepare", 400_000),
            )
        ),
    ],
)
def test_a_small_disk(rdvar, finished, begin, tmp_path, name, room):
    begin(name, tmp_path / "whole")
    needed = used(tmp_path / "whole") + 4096 * 4 if (tmp_path / "whole").exists() else 0
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, needed + room) as limits:
        if (tmp_path / "whole" / "run").exists():
            shutil.copytree(tmp_path / "whole" / "run", disk / "run")
        if name == "threshold" and not limits:  # what is left of the last page
            try:
                with (disk / "filler").open("wb", buffering=0) as file:
                    while file.write(bytes(4096)):
                        pass
            except OSError:
                pass
        done = limited(rdvar, *command(name, rdvar, disk), **limits)
        if limits and done.returncode == 0:
            return  # a limit on one file's size is reached later than that of the disk
        assert_one_sentence(done, "cannot be written", "then run the same command again")
        assert halves(disk) == []
        if name == "train":
            if (disk / "run").exists():
                shutil.copytree(disk / "run", tmp_path / "run")
            again = rdvar.run(*command(name, rdvar, tmp_path))
            assert again.returncode == 0, again.stderr
            assert_same_state(tmp_path / "run", finished.trained)


@pytest.mark.parametrize("name", with_the_others_nightly("train", "predict", "report"))
@pytest.mark.parametrize(
    "limits",
    [
        *({"NOFILE": 14}, {"FSIZE": 3000}, {"AS": 600 * 10**6}),
        pytest.param({"NOFILE": 64}, marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_limits_of_a_process(rdvar, begin, tmp_path, name, limits):
    begin(name, tmp_path)
    args = command(name, rdvar, tmp_path)
    done = limited(rdvar, *args, **limits)
    if done.returncode:
        assert_one_sentence(done, *(("ulimit",) if "NOFILE" not in limits else ()))
        assert halves(tmp_path) == []
    else:
        # Enough for it: only few files are open at once, and these do not start JAX.
        assert (
            "NOFILE" in limits
            or name in WITHOUT_JAX
            or (name, limits) == (*("threshold", {"FSIZE": 3000}),)
        )
    if name == "predict" and done.returncode:
        assert not (tmp_path / "out").exists()
    if done.returncode and name != "prepare":
        again = rdvar.run(*args)
        assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("name", with_the_others_nightly("train", "predict", "report"))
def test_a_read_only_folder(rdvar, begin, tmp_path, name):
    begin(name, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for path in (tmp_path, *tmp_path.rglob("*")):
        if path.is_dir():
            path.chmod(0o555)
    try:
        done = rdvar.process(*command(name, rdvar, tmp_path), root_powers=False)
        assert_one_sentence(done, str(tmp_path))
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    finally:
        for path in (tmp_path, *tmp_path.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)
