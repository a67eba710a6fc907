"""Writes a data set of drawn images, in the layout that `rdvar_jax.data.sets.folder` reads."""

import json
import logging
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from tqdm import tqdm

from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.data.sets.records import GOOD
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.files.replacing import naming, publish_folder
from rdvar_jax.synthetic.picture import CATEGORIES, DEFECTS, MIN_SIZE, render

RECIPE = 1
"""Version of the drawings: a folder of an older recipe does not pass for a new one."""

RECORD = "synthetic.json"
"""File in the root with the settings of the folder."""

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class _Job:
    """One image to be drawn and written."""

    category: str
    split: str
    defect: str | None
    index: int

    def paths(self) -> list[str]:
        """Returns the paths of the image and of any mask, relative to the root."""
        name = f"{self.index:03}"
        image = f"{self.category}/{self.split}/{self.defect or GOOD}/{name}.png"
        if self.defect is None:
            return [image]
        return [image, f"{self.category}/ground_truth/{self.defect}/{name}_mask.png"]


@dataclass(frozen=True)
class _Plan:
    """All settings of the files; written beside them."""

    categories: tuple[str, ...]
    size: int
    num_train: int
    num_test_good: int
    num_per_defect: int
    seed: int
    recipe: int = RECIPE

    def check(self) -> None:
        unknown = [name for name in self.categories if name not in CATEGORIES]
        if unknown or not self.categories:
            raise ConfigError(
                f"categories: there is no drawn category {', '.join(unknown) or '(none given)'}; "
                f"choose from {', '.join(CATEGORIES)}."
            )
        if self.size < MIN_SIZE:
            raise ConfigError(f"size: {self.size} is too small; set it to {MIN_SIZE} or more.")
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} is negative; set it to 0 or more.")
        # Without training images, or without test images, the folder could not be read.
        if self.num_train < 1 or self.num_test_good < 0 or self.num_per_defect < 0:
            raise ConfigError(
                f"num_train={self.num_train}, num_test_good={self.num_test_good}, "
                f"num_per_defect={self.num_per_defect}: set the first to 1 or more and the others "
                "to 0 or more."
            )
        if self.num_test_good + self.num_per_defect < 1:
            raise ConfigError(
                "num_test_good and num_per_defect are both 0; set one of them to 1 or more."
            )

    def jobs(self) -> list[_Job]:
        jobs = []
        for category in self.categories:
            jobs += [_Job(category, "train", None, index) for index in range(self.num_train)]
            jobs += [_Job(category, "test", None, index) for index in range(self.num_test_good)]
            for defect in DEFECTS[category]:
                jobs += [_Job(category, "test", defect, i) for i in range(self.num_per_defect)]
        return jobs

    def record(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def generate(
    root: str | Path,
    categories: Sequence[str] | None = None,
    *,
    size: int = 256,
    num_train: int = 120,
    num_test_good: int = 20,
    num_per_defect: int = 6,
    seed: int = 0,
    num_workers: int | None = None,
    progress: bool = True,
) -> None:
    """Writes drawn images and their masks to ROOT, in the layout of MVTec AD.

    The same arguments give the same bytes in every file, whatever the number of workers, on one
    machine with one set of library versions. The random numbers are the same everywhere; the last
    bit of a sine or of a compressed file is not, so elsewhere a pixel may differ by one grey level.
    Each image depends on the seed and its own path alone: more images, or other categories, change
    none of the others.

    ROOT appears only when it is complete. An interrupted run leaves no ROOT, and a killed one
    leaves a hidden folder `.NAME.*.partial` beside it, which the next call removes. If ROOT already
    holds exactly these files (by its record, synthetic.json, and their names), nothing is done.

    Args:
        root: The folder to make; it may exist if it is empty.
        categories: Names out of `CATEGORIES`; all of them by default.
        size: Side of the images in pixels, at least 32.
        num_train: Good training images of each category.
        num_test_good: Good test images of each category.
        num_per_defect: Defective test images of each kind of defect, from hard to see to obvious.
        seed: Non-negative.
        num_workers: Threads; None for one per usable CPU.
        progress: Show a progress bar, if standard error is a terminal.

    Raises:
        ConfigError: A category is unknown, or a number is out of range.
        DataError: `root` is a file, or holds other files.
        InUseError: another call draws the same folder.
        OSError: The images cannot be written.

    Example:
        >>> generate("parts", ["cloth"], size=64, num_train=8, num_test_good=4, num_per_defect=1)
        >>> load_category("parts/cloth", image_size=64).train.images.shape
        (8, 64, 64, 3)
    """
    root = Path(root).expanduser().absolute()
    names = tuple(sorted(set(CATEGORIES if categories is None else categories)))
    plan = _Plan(names, size, num_train, num_test_good, num_per_defect, seed)
    plan.check()
    if _is_done(root, plan):
        _logger.info("%s: already exists, drawn with the same settings", root)
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(root, "wait until it ends, or choose another folder"):
        if not _is_done(root, plan):  # another call may have drawn it meanwhile
            _draw(root, plan, num_workers, progress)


def _draw(root: Path, plan: _Plan, num_workers: int | None, progress: bool) -> None:
    # As TemporaryDirectory names them. No other folder: that of "a.b" does not match for "a".
    of_a_kill = re.compile(rf"\.{re.escape(root.name)}\.\w{{8}}\.partial")
    for left in root.parent.iterdir():
        if of_a_kill.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)
    with (
        naming(root),
        TemporaryDirectory(prefix=f".{root.name}.", suffix=".partial", dir=root.parent) as holder,
    ):
        # A folder inside: only its owner can read the holder itself.
        partial = Path(holder, root.name)
        partial.mkdir()
        _write_all(partial, plan, num_workers, progress)
        (partial / RECORD).write_bytes(plan.record())
        if root.is_dir():
            root.rmdir()  # it is empty, or this fails
        publish_folder(partial, root)


def _is_done(root: Path, plan: _Plan) -> bool:
    """Returns whether `root` already holds these files."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise DataError(f"{root} is a file; choose another folder for the drawn images.")
    if not any(root.iterdir()):
        return False
    record = root / RECORD
    if record.is_file() and record.read_bytes() == plan.record():
        files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
        present = {path.as_posix() for path in files if not path.name.startswith(".")}
        if present == {RECORD, *(path for job in plan.jobs() for path in job.paths())}:
            return True
    raise DataError(
        f"The folder {root} holds other files, or images drawn with other settings; choose a new "
        "folder, or delete this one first."
    )


def _write_all(folder: Path, plan: _Plan, num_workers: int | None, progress: bool) -> None:
    jobs = plan.jobs()
    for parent in {(folder / path).parent for job in jobs for path in job.paths()}:
        parent.mkdir(parents=True, exist_ok=True)

    def write(job: _Job) -> None:
        image, mask = render(
            job.category,
            job.defect,
            split=job.split,
            index=job.index,
            seed=plan.seed,
            size=plan.size,
        )
        for path, pixels in zip(job.paths(), (image, mask.astype(np.uint8) * 255), strict=False):
            # Compression is explicit: a later Pillow may have another default.
            Image.fromarray(pixels).save(folder / path, format="PNG", compress_level=6)

    executor = ThreadPoolExecutor(num_workers if num_workers is not None else num_usable_cpus())
    try:
        # disable=None is tqdm's "only on a terminal".
        bar = tqdm(total=len(jobs), desc="Drawing images", disable=None if progress else True)
        with bar:
            for future in [executor.submit(write, job) for job in jobs]:
                future.result()
                bar.update()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
