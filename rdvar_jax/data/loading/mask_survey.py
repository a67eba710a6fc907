"""`data.mask_threshold=auto`, and what another threshold drops, from all masks of a set.

Edges are soft after a resize and noisy after a JPEG, but only near a marked area. So an area of
values under the threshold that is not near one above it is a defect of its own: a second class,
or a mask in numbers of classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rdvar_jax.data.loading.threads import in_threads
from rdvar_jax.data.pixels.decode import mask_files
from rdvar_jax.data.pixels.mask_file import MaskFile, load_mask
from rdvar_jax.data.pixels.mask_rule import (
    AUTO,
    HALF,
    NOISE,
    MaskThreshold,
    above_noise,
    lowest_value,
)
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.records import ImageFile, ImageRecord
from rdvar_jax.errors import DataError

_DEFAULT = Reading()

# Side of the blocks in which "near" is decided: a JPEG's, with its colour at half resolution.
BLOCK = 16

# Of neighbouring pixels in such an area, the fraction with the same value: 0.95 to 1 in areas of
# small class numbers, 0.1 to 0.5 in the noise of JPEGs of quality 30 to 95.
SAME = 0.7
# And with nearly the same value: 0.7 to 1 in areas of a class, saved as JPEG or resized too; 0.1
# to 0.5 in lines that a resize made faint.
NEAR = 0.6

MAX_VALUES = 8  # listed; more are counted

# Fraction of the marked pixels under the threshold that decides, and that is worth a warning.
DECISIVE = 0.001
NOTABLE = 0.01


@dataclass(frozen=True)
class MaskChoice:
    """How the masks of a set are read.

    Attributes:
        threshold: "half", "any" or the lowest defective value, 1 to 255.
        problem: why no mask marks a pixel, with the way out, as a clause; None if one does.
        remark: a sentence about marked pixels that the threshold drops, or None.
        values: the values in the files, such as "0, 100, 200"; "" without masks.
    """

    threshold: MaskThreshold
    problem: str | None = None
    remark: str | None = None
    values: str = ""


@dataclass(eq=False)
class Survey:
    """Values of masks, on the scale 0 to 255.

    Pixels are "apart" if they are marked, under `lowest` and not near others, and "faint" if they
    are also within the noise that a JPEG of the file's highest value would have.
    """

    lowest: int  # values from here on are defective
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    apart: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    faint: int = 0
    # Pairs of neighbours: faint ones, equal ones of these, other ones, nearly equal ones of these.
    pairs: np.ndarray = field(default_factory=lambda: np.zeros(4, np.int64))
    # The highest value as the file holds it, and whether it has 16 bits.
    highest_in_file: tuple[int, bool] = (0, False)
    example: tuple[int, str] = (0, "")  # the file with most pixels apart

    def add(self, mask: MaskFile, path: ImageFile) -> None:
        """Adds one file."""
        values, counts = np.asarray(mask.grey), np.array(mask.grey.histogram())
        self.counts += counts
        self.highest_in_file = max(self.highest_in_file, (mask.highest, mask.is_wide))
        if not counts[1 : self.lowest].any():
            return
        apart = (values > 0) & (values < self.lowest) & ~_near(values >= self.lowest)
        self.apart += np.bincount(values[apart], minlength=256)
        self.example = max(self.example, (int(apart.sum()), str(path)))
        top = int(values.max())
        faint = apart & (values <= top // NOISE)
        others = apart & ~faint
        self.faint += int(faint.sum())
        for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            distance = np.abs(values[one].astype(np.int16) - values[other])
            both, rest = faint[one] & faint[other], others[one] & others[other]
            nearly = distance <= top // (2 * NOISE)
            pairs = both, both & (distance == 0), rest, rest & nearly
            self.pairs += [int(pair.sum()) for pair in pairs]

    def merge(self, other: "Survey") -> None:
        """Adds the files of another survey."""
        self.counts += other.counts
        self.apart += other.apart
        self.faint += other.faint
        self.pairs += other.pairs
        self.highest_in_file = max(self.highest_in_file, other.highest_in_file)
        self.example = max(self.example, other.example)

    @property
    def highest(self) -> int:
        marked = np.flatnonzero(self.counts)
        return int(marked[-1]) if marked.size else 0

    @property
    def is_noisy(self) -> bool:
        """Whether faint values are the noise of a JPEG, or soft edges."""
        return bool(self.pairs[1] < SAME * self.pairs[0])

    @property
    def is_even(self) -> bool:
        """Whether areas apart have even values, as those of a class do."""
        pairs, even = self.pairs[2:]
        if not self.is_noisy:
            pairs, even = pairs + self.pairs[0], even + self.pairs[1]
        return bool(pairs > 0 and even >= NEAR * pairs)

    @property
    def dropped(self) -> float:
        """The fraction of the marked pixels that is apart, noise aside; 0 if it is the ground."""
        apart = int(self.apart.sum()) - (self.faint if self.is_noisy else 0)
        if 2 * apart > self.counts.sum():
            return 0.0
        above = int(self.counts[self.lowest :].sum())
        return apart / max(apart + above, 1)

    @property
    def has_classes(self) -> bool:
        """Whether values under `lowest` mark defects of their own."""
        return self.dropped >= DECISIVE and self.is_even

    def describe(self) -> str:
        found = np.flatnonzero(self.counts)
        if len(found) <= MAX_VALUES:
            return ", ".join(map(str, found))
        return f"{found[0]} to {found[-1]}, {len(found)} values"


def choose_threshold(
    records: Sequence[ImageRecord],
    setting: MaskThreshold,
    *,
    num_workers: int | None = None,
    progress: bool = True,
    reading: Reading = _DEFAULT,
) -> MaskChoice:
    """Reads all masks of a set and decides which of their values are defective.

    Clean masks of 0 and 255, and soft or noisy ones, are read at "half".

    Args:
        records: the test images; files that cannot be read are left out.
        setting: "auto", or a threshold, which is kept.
        num_workers: threads; None for one per usable CPU.
        progress: show a progress bar, if standard error is a terminal.
        reading: of it, the most pixels of a mask.
    """
    masked = [one for one in records if one.mask_path is not None]
    lowest = HALF if setting == AUTO else lowest_value(setting)

    def survey(index: int) -> tuple[bool, Survey]:
        found = Survey(lowest)
        for path in mask_files(masked[index]):
            found.add(load_mask(path, reading=reading), path)
        return masked[index].mask_nonzero, found

    failures: dict[int, DataError] = {}
    numbers = range(len(masked))
    found = in_threads(survey, numbers, "Reading masks", num_workers, progress, failures).values()
    total, fixed = Survey(lowest), Survey(1)  # the layout says that any value counts
    for nonzero, part in found:
        (fixed if nonzero else total).merge(part)
    return _decide(total, fixed, setting) if found else MaskChoice(_plain(setting))


def _decide(survey: Survey, fixed: Survey, setting: MaskThreshold) -> MaskChoice:
    threshold = _plain(setting)
    if setting == AUTO and survey.highest > 0 and (survey.highest < HALF or survey.has_classes):
        threshold = above_noise(survey.highest) if survey.is_noisy else 1
    lowest, highest, problem, remark = lowest_value(threshold), survey.highest, None, None
    if fixed.highest == 0 and highest == 0:
        problem = (
            "every mask is black (the highest value is 0); mark the defects with values above 0, "
            "or remove the masks"
        )
    elif fixed.highest == 0 and highest < lowest:
        value, is_wide = survey.highest_in_file
        problem = (
            f"no mask marks a pixel at data.mask_threshold={threshold}: the highest value is "
            f"{value}{' of 16 bits' if is_wide else ''}; set data.mask_threshold=any"
        )
    elif lowest == survey.lowest and (survey.has_classes or survey.dropped >= NOTABLE):
        remark = (
            f"{100 * survey.dropped:.2g}% of the marked pixels have values under {lowest}, most "
            f"often {np.argmax(survey.apart)} (such as in {survey.example[1]}), and "
            f"data.mask_threshold={threshold} drops them; set data.mask_threshold=any if they are "
            "defects too."
        )
    return MaskChoice(threshold, problem, remark, survey.describe())


def _plain(setting: MaskThreshold) -> MaskThreshold:
    return "half" if setting == AUTO else setting


def _near(marked: np.ndarray) -> np.ndarray:
    """Returns bool [h, w]: blocks that hold a marked pixel, and the blocks around them."""
    height, width = marked.shape
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    whole = np.zeros((rows * BLOCK, columns * BLOCK), np.bool_)
    whole[:height, :width] = marked
    blocks = np.pad(whole.reshape(rows, BLOCK, columns, BLOCK).any(axis=(1, 3)), 1)
    near = np.zeros((rows, columns), np.bool_)
    for row in range(3):
        for column in range(3):
            near |= blocks[row : row + rows, column : column + columns]
    return near.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[:height, :width]
