"""Image records, independent of layout and source."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeAlias

GOOD = "good"
UNLABELLED = -1


class PackedFile(Protocol):
    """An image file inside another file; its `str` tells a user where it is."""

    @property
    def parent(self) -> Path: ...

    def open(self, mode: str, /) -> IO[bytes]: ...


ImageFile: TypeAlias = Path | PackedFile


class HasPath(Protocol):
    """Anything with an image file, such as ImageRecord or InputImage."""

    @property
    def path(self) -> ImageFile: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class ImageRecord:
    """One image file, with the label and mask that its folder or list says."""

    path: ImageFile
    name: str  # relative to the category's folder, with forward slashes: "test/hole/000.png"
    label: int  # 0 good, 1 defective, UNLABELLED; from folder or list, never from a mask's pixels
    defect: str  # the kind of defect, "good" or "unlabelled"
    mask_path: ImageFile | None  # a file, or a folder of several; None without a mask
    mask_nonzero: bool = False  # every value above 0 is defective (VisA, MVTec LOCO)


@dataclass(frozen=True)
class Category:
    """The images of one category, each tuple sorted by `ImageRecord.name`."""

    name: str
    folder: Path
    train: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...] = ()  # good images that training never sees
    layout: str = "mvtec"
