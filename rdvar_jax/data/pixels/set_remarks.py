"""What should be said once about the files of a set: their grey levels and their aspect."""

from collections.abc import Iterable

from rdvar_jax.data.pixels.aspect import MAX_SQUASH, aspect_change
from rdvar_jax.data.pixels.decode import FileFacts
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.levels import Levels, fitting_full_scale
from rdvar_jax.data.sets.records import ImageFile

_LEAST_SHARE = 1 / 8
"""Of the full scale: a set none of whose values reaches it is almost black to the network."""

Aspects = tuple[float, float]
"""Width by height of a set's images, the lowest and the highest."""


def aspects_of(sizes_wh: Iterable[tuple[int, int]]) -> Aspects | None:
    """Returns the aspects of images of these sizes; None without any."""
    found = [width / height for width, height in sizes_wh]
    return (min(found), max(found)) if found else None


def images_of(split: str) -> str:
    """Returns what the images of a split are called, such as "training images"."""
    return f"{'training' if split == 'train' else split} images"


class SetRemarks:
    """Collects the facts of files as they are decoded; each remark is made once.

    Args:
        images: what the set's images are called, such as "training images".
        geometry: how they are read and resized.
        aspects: of the images that the run was trained on; None if unknown.
        advice: what to do with the setting of the full scale, which is its last word.
    """

    def __init__(
        self,
        images: str,
        geometry: Geometry,
        aspects: Aspects | None = None,
        advice: str = "train with data.full_scale",
    ):
        self._images, self._geometry, self._aspects = images, geometry, aspects
        self._advice, self._setting = advice, advice.split()[-1]
        self._brightest: dict[bool, Levels] = {}  # by whether it is colour
        self._above: dict[str, Levels] = {}
        self._other: dict[str, tuple[int, int]] = {}
        self._said: set[str] = set()

    def note(self, path: ImageFile | str, facts: FileFacts) -> None:
        """Takes the facts of one file; of the same file again, nothing changes."""
        levels = facts.levels
        if levels is not None:
            brightest = self._brightest.get(levels.is_colour, levels)
            if _share(levels) >= _share(brightest):
                self._brightest[levels.is_colour] = levels
            if levels.highest > levels.full_scale and "above" not in self._said:
                self._above[str(path)] = levels
        if self._has_other_aspect(facts.size_wh) and "aspect" not in self._said:
            self._other[str(path)] = facts.size_wh

    def new(self) -> list[str]:
        """Returns the sentences that have not been returned before."""
        remarks = {
            "dark": self._dark(),
            "dark colour": self._dark_colour(),
            "above": self._too_bright(),
            "aspect": self._other_aspect(),
        }
        found = {kind: text for kind, text in remarks.items() if text and kind not in self._said}
        self._said.update(found)
        return list(found.values())

    def _has_other_aspect(self, size_wh: tuple[int, int]) -> bool:
        if self._aspects is None or self._geometry.mode not in ("squash", "pad"):
            return False
        aspect = size_wh[0] / size_wh[1]
        nearest = min(max(aspect, self._aspects[0]), self._aspects[1])
        return aspect_change(aspect, nearest) > MAX_SQUASH

    def _dark(self) -> str | None:
        levels = self._brightest.get(False)
        if levels is None or _share(levels) >= _LEAST_SHARE:
            return None
        fitting = fitting_full_scale(levels.highest)
        if fitting >= levels.full_scale:
            return None
        return (
            f"No 16-bit grey value of the {self._images} reaches an eighth of "
            f"{self._scale(levels)}: the highest is {levels.highest}, so they are almost black; "
            f"{self._advice}={fitting}, or auto."
        )

    def _dark_colour(self) -> str | None:
        levels = self._brightest.get(True)
        if levels is None or _share(levels) >= _LEAST_SHARE:
            return None
        return (
            f"No 16-bit colour value of the {self._images} reaches an eighth of 65535, so they "
            f"are almost black, and {self._setting} is for grey alone; save them with 8 bits."
        )

    def _too_bright(self) -> str | None:
        if not self._above:
            return None
        first = next(iter(self._above))
        highest = max(levels.highest for levels in self._above.values())
        scale = self._above[first].full_scale
        return (
            f"{len(self._above)} of the {self._images} hold grey values above {self._setting}="
            f"{scale}, up to {highest}, which count as white, such as {first}; "
            f"{self._advice}={fitting_full_scale(highest)}, unless they are overexposed."
        )

    def _other_aspect(self) -> str | None:
        if not self._other or self._aspects is None:
            return None
        first, (width, height) = next(iter(self._other.items()))
        low, high = (f"{aspect:.3g}" for aspect in self._aspects)
        trained = low if low == high else f"{low} to {high}"
        how = {"squash": "squashed", "pad": "padded"}[self._geometry.mode]
        return (
            f"{len(self._other)} of the {self._images} have another aspect than the training "
            f"images (width by height {trained}), so they are {how} differently and may look "
            f"defective, such as {first} of {width}x{height}; crop them to that aspect, or train "
            "on images like them."
        )

    def _scale(self, levels: Levels) -> str:
        if self._geometry.reading.full_scale is None:
            return f"the full scale {levels.full_scale}"
        return f"{self._setting}={levels.full_scale}"


def _share(levels: Levels) -> float:
    return levels.highest / levels.full_scale
