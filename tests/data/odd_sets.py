"""Odd but accepted sets: the change to a normal one, its counts, and the warning."""

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bad_sets import VISA_ROWS, WHOLE, Change, add, lay_out, remove, remove_folder, rename, visa
from image_writers import S, random_pixels, save
from PIL import Image

GOOD = "widget/train/good"


@dataclass(frozen=True)
class OddSet:
    change: Change
    num_train: int = 2
    num_test: int = 4
    warned: tuple[str, ...] = ()  # parts of the one warning; empty for no warning
    category: str = "widget"
    base: tuple[str, ...] = WHOLE
    undefined: tuple[str, ...] = ()  # kinds of metrics


def picture(name: str, mode: str, **options) -> Change:
    """Adds an image in a mode of Pillow's."""

    def change(root: Path):
        image = Image.fromarray(random_pixels(S, S, 3).astype(np.uint8)).convert(mode)
        image.save(root / GOOD / name, **options)

    return change


def link(name: str, target: str) -> Change:
    return lambda root: (root / name).symlink_to(target, target_is_directory=True)


def move_and_link(root: Path) -> None:
    (root / GOOD).rename(root.parent / "store")
    (root / GOOD).symlink_to(root.parent / "store", target_is_directory=True)


def two_spellings(root: Path) -> None:
    """Makes an accented letter one character in the image's name, and two in the mask's."""
    name = "B\u00fcgel"
    lay_out(root, f"widget/test/hole/{name}.png")
    apart = unicodedata.normalize("NFD", name)
    lay_out(root, f"widget/ground_truth/hole/{apart}_mask.png")


ODD_SETS = {
    "JPEG in a .png": OddSet(picture("2.png", "RGB", format="JPEG"), 3),
    "CMYK": OddSet(picture("2.tif", "CMYK"), 3),
    "palette": OddSet(picture("2.png", "P"), 3),
    "1 bit": OddSet(picture("2.png", "1"), 3),
    "grey": OddSet(picture("2.png", "L"), 3),
    "8-bit values in 16 bits": OddSet(
        picture("2.png", "I;16"),
        3,
        warned=(
            "No 16-bit grey value",
            "the highest is",
            "train with data.full_scale=255, or auto",
        ),
    ),
    "alpha": OddSet(picture("2.png", "RGBA"), 3),
    "upper-case suffix": OddSet(add(f"{GOOD}/2.PNG"), 3),
    "spaces, other letters": OddSet(add(f"{GOOD}/Bild 1 \u00e4\u732b.png"), 3),
    "comma, quotes, line end": OddSet(add(f"{GOOD}/a,'b' \"c\"\nd.png"), 3),
    "name that is no UTF-8": OddSet(
        lambda root: save(root / GOOD / os.fsdecode(b"\xff.png"), random_pixels(S, S)), 3
    ),
    "leading dash": OddSet(add(f"{GOOD}/--x.png"), 3),
    "one stem twice in training": OddSet(add(f"{GOOD}/000.bmp"), 3),
    "accent apart in the mask's name": OddSet(two_spellings, num_test=5),
    "mask of another format": OddSet(
        lambda root: (
            remove("widget/ground_truth/hole/001_mask.png")(root),
            add("widget/ground_truth/hole/001_mask.bmp")(root),
        )
    ),
    "masks of good images": OddSet(add("widget/ground_truth/good/000_mask.png")),
    "hidden files": OddSet(add(f"{GOOD}/._000.png", f"{GOOD}/.DS_Store", "widget/test/.x/0.png")),
    "Thumbs.db": OddSet(add(f"{GOOD}/Thumbs.db"), warned=(GOOD, "Thumbs.db")),
    "notes": OddSet(add("widget/test/hole/n.txt"), warned=("test/hole", "n.txt")),
    "another kind of image": OddSet(add(f"{GOOD}/2.gif"), warned=(GOOD, "2.gif")),
    "folder named as an image": OddSet(
        lambda root: (root / GOOD / "2.png").mkdir(), warned=(GOOD, "2.png")
    ),
    "folder in train/good": OddSet(add(f"{GOOD}/more/2.png"), warned=(GOOD, "more")),
    "defective images in train": OddSet(
        add("widget/train/bad/0.png"), warned=("widget/train: not used", "bad")
    ),
    "images right in train": OddSet(add("widget/train/0.png"), warned=("widget/train", "0.png")),
    "images right in test": OddSet(add("widget/test/0.png"), warned=("widget/test", "0.png")),
    "masks right in ground_truth": OddSet(
        add("widget/ground_truth/0.png"), warned=("widget/ground_truth", "0.png")
    ),
    "empty folder of a defect": OddSet(
        lambda root: (root / "widget/test/dent").mkdir(), warned=("test/dent: holds no image",)
    ),
    "link to a folder": OddSet(move_and_link),
    "link to a folder above": OddSet(link(f"{GOOD}/round", ".."), warned=(GOOD, "round")),
    "link from a defect to a folder above": OddSet(
        link("widget/test/hole/up", "../.."), warned=("test/hole: not used", "up")
    ),
    "no good test images": OddSet(
        remove("widget/test/good/000.png"),
        num_test=3,
        warned=("test/good: holds no image",),
        undefined=("image",),
    ),
    "no masks": OddSet(remove_folder("widget/ground_truth"), undefined=("pixel",)),
    "no defective images": OddSet(
        lambda root: [
            remove_folder(f"widget/{name}")(root)
            for name in ("test/hole", "test/bent", "ground_truth")
        ],
        num_test=1,
        undefined=("image", "pixel"),
    ),
    "VisA, as Windows writes it": OddSet(
        visa(*VISA_ROWS, header="\ufeffobject,split,label,image,mask\r\n", end="\r\n"),
        1,
        2,
        category="candle",
        base=(),
    ),
    "VisA, with other columns and objects": OddSet(
        visa(
            *(f"{row},x" for row in VISA_ROWS),
            "fryum,train,normal,fryum/0.JPG,,y",
            header="object,split,label,image,mask,note\n",
        ),
        1,
        2,
        category="candle",
        base=(),
    ),
    "plain: good images only": OddSet(add("part/a.png", "part/b.JPG"), 2, 0, category="part"),
    "plain: bad beside good": OddSet(
        add("part/good/0.png", "part/bad/0.png"), 1, 0, ("part: not used", "bad"), "part"
    ),
    "plain: masks without test": OddSet(
        add("part/good/0.png", "part/ground_truth/0.png"),
        1,
        0,
        ("part: not used", "ground_truth"),
        "part",
    ),
    "plain: test images without labels": OddSet(
        add("part/0.png", "part/test/0.png"),
        1,
        1,
        category="part",
        undefined=("image", "pixel"),
    ),
    "plain: a name with a line end": OddSet(
        lambda root: (add("part/0.png")(root), rename("part", "pa\nrt")(root)),
        1,
        0,
        category="pa\nrt",
    ),
}
