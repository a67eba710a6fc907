"""What is known of each image, whatever layout or source it came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeAlias

GOOD = "good"
UNLABELLED = -1


class PackedFile(Protocol):
    """An image file that lies inside another one; its text is what a user can find it by."""

    @property
    def parent(self) -> Path: ...

    def open(self, mode: str, /) -> IO[bytes]: ...


ImageFile: TypeAlias = Path | PackedFile


class HasPath(Protocol):
    """An image file, whatever else is known of it: ImageRecord, InputImage."""

    @property
    def path(self) -> ImageFile: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class ImageRecord:
    """One image file: where it lies and what its folder says about it."""

    path: ImageFile
    name: str  # relative to the category's folder, with forward slashes: "test/hole/000.png"
    label: int  # 0 good, 1 defective, UNLABELLED; from folder or list, never from a mask's pixels
    defect: str  # the kind of defect, "good" or "unlabelled"
    mask_path: ImageFile | None  # a file, or a folder of several; None where there is none
    mask_nonzero: bool = False  # every value over 0 is defective (VisA, MVTec LOCO)


@dataclass(frozen=True)
class Category:
    """The images of one category, each tuple sorted by `ImageRecord.name`."""

    name: str
    folder: Path
    train: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...] = ()  # good images that training never sees
    layout: str = "mvtec"
