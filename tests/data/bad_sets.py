"""Refused sets: the change to a good one, what the message names, and the remedy."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from image_writers import S, random_pixels, save

Change = Callable[[Path], object]

WHOLE = (
    "widget/train/good/001.png",
    "widget/train/good/000.png",
    "widget/test/good/000.png",
    "widget/test/hole/000.png",
    "widget/test/hole/001.png",
    "widget/test/bent/000.png",
    "widget/ground_truth/hole/000_mask.png",
    "widget/ground_truth/hole/001_mask.png",
    "widget/ground_truth/bent/000_mask.png",
)


def lay_out(root: Path, *names: str) -> Path:
    """Writes real images, each with different pixels, at names inside `root`."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".bmp"):
            pixels = random_pixels(S, S, 3)
            pixels[0, 0] = number
            save(path, pixels)
        else:
            path.touch()
    return root


def add(*names: str) -> Change:
    return lambda root: lay_out(root, *names)


def remove(*names: str) -> Change:
    return lambda root: [(root / name).unlink() for name in names]


def remove_folder(name: str) -> Change:
    return lambda root: shutil.rmtree(root / name)


def rename(old: str, new: str) -> Change:
    return lambda root: (root / old).rename(root / new)


def nothing(root: Path):
    pass


@dataclass(frozen=True)
class BadSet:
    change: Change
    named: list[str]
    mend: str
    category: str = "widget"
    layout: str = "auto"
    base: tuple[str, ...] = field(default=WHOLE)


def visa(*rows: str, header: str = "object,split,label,image,mask\n", end: str = "\n") -> Change:
    """Writes VisA's list, in a root that holds the object `candle`."""

    def change(root: Path):
        (root / "split_csv").mkdir(parents=True, exist_ok=True)
        text = header + end.join(rows) + end
        (root / "split_csv/1cls.csv").write_text(text, newline="")
        lay_out(root, "candle/0.JPG", "candle/1.JPG", "candle/2.JPG")
        save(root / "candle/m.png", np.ones((S, S)))

    return change


VISA_ROWS = (
    "candle,train,normal,candle/0.JPG,",
    "candle,test,normal,candle/1.JPG,",
    "candle,test,anomaly,candle/2.JPG,candle/m.png",
)


def bad_list(rows: tuple[str, ...], named: str, mend: str, **options) -> BadSet:
    named = f"{{root}}/split_csv/1cls.csv{named}"
    return BadSet(visa(*rows, **options), [named], mend, "candle", base=())


def bad_plain(names: tuple[str, ...], named: str, mend: str) -> BadSet:
    return BadSet(add(*names), [named], mend, "part", "folder", ())


BAD_SETS = {
    "no such category": BadSet(
        nothing, ["'gadget'", "data.root={root}"], "one of: widget.", category="gadget"
    ),
    "empty name": BadSet(nothing, ["''"], "one of: widget.", category=""),
    "the root itself": BadSet(nothing, ["'.'"], "one of: widget.", category="."),
    "a path": BadSet(nothing, ["'widget/train'"], "one of: widget.", category="widget/train"),
    "another case": BadSet(nothing, ["'Widget'"], "one of: widget.", category="Widget"),
    "a file": BadSet(add("list.txt"), ["'list.txt'"], "one of: widget.", category="list.txt"),
    "empty category": BadSet(
        add("empty/notes.txt"), ["{root}/empty/train/good does not exist"], "put", category="empty"
    ),
    "no train/good": BadSet(
        remove_folder("widget/train/good"),
        ["{root}/widget/train/good does not exist"],
        "put the category's good training images there",
    ),
    "empty train/good": BadSet(
        remove("widget/train/good/000.png", "widget/train/good/001.png"),
        ["{root}/widget/train/good holds no image", "png, jpg, jpeg, bmp, tif, tiff"],
        "put the category's good training images there",
    ),
    "all training images in folders of train/good": BadSet(
        lambda root: (
            rename("widget/train/good", "widget/train/x")(root),
            (root / "widget/train/good").mkdir(),
            rename("widget/train/x", "widget/train/good/monday")(root),
        ),
        ["{root}/widget/train/good holds no image", "only folders (monday)", "not searched"],
        "put the category's good training images there",
    ),
    "no test": BadSet(
        remove_folder("widget/test"),
        ["{root}/widget/test does not exist"],
        "put the test images into {root}/widget/test/good",
    ),
    "empty test": BadSet(
        remove(*(name for name in WHOLE if "/test/" in name)),
        ["widget/ground_truth/bent/000_mask.png"],
        "add the image",
    ),
    "empty test, no masks": BadSet(
        lambda root: (
            remove(*(name for name in WHOLE if "/test/" in name))(root),
            remove_folder("widget/ground_truth")(root),
        ),
        ["{root}/widget/test hold no image"],
        "put the test images into {root}/widget/test/good",
    ),
    "missing mask": BadSet(
        remove("widget/ground_truth/hole/001_mask.png"),
        ["{root}/widget/test/hole/001.png has no mask"],
        "add {root}/widget/ground_truth/hole/001_mask.png, or move the image to "
        "{root}/widget/test/good",
    ),
    "mask under the image's name": BadSet(
        rename("widget/ground_truth/hole/001_mask.png", "widget/ground_truth/hole/001.png"),
        ["{root}/widget/test/hole/001.png has no mask"],
        "add {root}/widget/ground_truth/hole/001_mask.png",
    ),
    "no masks of a kind": BadSet(
        remove_folder("widget/ground_truth/bent"),
        ["{root}/widget/test/bent/000.png has no mask"],
        "add {root}/widget/ground_truth/bent/000_mask.png",
    ),
    "two masks": BadSet(
        add("widget/ground_truth/hole/001_mask.bmp"),
        ["hole/001_mask.bmp", "hole/001_mask.png"],
        "remove one of them",
    ),
    "two images of one name with one mask": BadSet(
        add("widget/test/hole/001.bmp"),
        ["test/hole/001.bmp and ", "test/hole/001.png have the same name, and so the same mask"],
        "give each its own name and mask",
    ),
    "mask without an image": BadSet(
        add("widget/ground_truth/hole/002_mask.png"),
        ["{root}/widget/ground_truth/hole/002_mask.png matches no test image"],
        "add the image (such as {root}/widget/test/hole/002.png)",
    ),
    "masks of an unknown defect": BadSet(
        add("widget/ground_truth/scratch/000_mask.png"),
        ["{root}/widget/ground_truth/scratch/000_mask.png matches no test image"],
        "or remove or rename the mask",
    ),
    "mask of another size": BadSet(
        lambda root: save(root / "widget/ground_truth/hole/001_mask.png", random_pixels(S, S + 1)),
        ["hole/001_mask.png has 9x8 pixels but its image", "test/hole/001.png has 8x8"],
        "make both the same size",
    ),
    "training image of another size": BadSet(
        lambda root: save(root / "widget/train/good/002.png", random_pixels(S, S + 1, 3)),
        ["different pixel sizes: 8x8 (count 2,", "9x8 (count 1, such as {root}/widget/train/good"],
        "set data.allow_mixed_sizes=True",
    ),
    "test image of another size": BadSet(
        lambda root: save(root / "widget/test/good/001.png", random_pixels(S + 1, S, 3)),
        ["different pixel sizes: 8x8 (count 4,", "8x9 (count 1, such as {root}/widget/test/good"],
        "set data.allow_mixed_sizes=True",
    ),
    "VisA: a column is missing": bad_list(
        ("candle,train,normal,candle/0.JPG",),
        " has no column mask",
        "it must have object, split, label, image, mask",
        header="object,split,label,image\n",
    ),
    "VisA: short line": bad_list(
        ("candle,train",), ", line 2: does not have as many", "correct it"
    ),
    "VisA: long line": bad_list(
        (VISA_ROWS[0] + ",,",), ", line 2: does not have as many fields as", "correct it"
    ),
    "VisA: unknown split": bad_list(
        ("candle,val,normal,candle/0.JPG,",), ", line 2: the split 'val' is not", "correct it"
    ),
    "VisA: unknown label": bad_list(
        ("candle,test,ok,candle/0.JPG,",), ", line 2: the label 'ok' is not one", "correct it"
    ),
    "VisA: listed twice": bad_list(
        (*VISA_ROWS, VISA_ROWS[0]), ", line 5: the image candle/0.JPG is listed twice", "remove one"
    ),
    "VisA: defective to train": bad_list(
        ("candle,train,anomaly,candle/0.JPG,candle/m.png",),
        ", line 2: a defective image is listed for training",
        "correct it",
    ),
    "VisA: no mask": bad_list(
        ("candle,test,anomaly,candle/0.JPG,",),
        ", line 2: the defective image candle/0.JPG has no mask",
        "add it",
    ),
    "VisA: a path outside": bad_list(
        ("candle,test,normal,candle/../0.JPG,",), ", line 2: the path", "correct it"
    ),
    "VisA: an absolute path": bad_list(
        ("candle,test,normal,/etc/0.JPG,",), ", line 2: the path '/etc/0.JPG'", "correct it"
    ),
    "VisA: nothing to test": bad_list(
        VISA_ROWS[:1], " lists no image of candle to test", "correct it"
    ),
    "VisA: not UTF-8": BadSet(
        lambda root: (
            visa(*VISA_ROWS)(root),
            (root / "split_csv/1cls.csv").write_bytes(b"object,split\n\xff\xfe"),
        ),
        ["{root}/split_csv/1cls.csv cannot be read"],
        "copy it again",
        "candle",
        base=(),
    ),
    "VisA: an image that is not there": BadSet(
        visa(*VISA_ROWS, "candle,train,normal,candle/gone.JPG,"),
        ["{root}/candle/gone.JPG does not exist"],
        "put the file back or correct its path",
        "candle",
        base=(),
    ),
    "VisA: a mask that is not there": BadSet(
        lambda root: (visa(*VISA_ROWS)(root), (root / "candle/m.png").unlink()),
        ["{root}/candle/m.png does not exist"],
        "put the file back or correct its path",
        "candle",
        base=(),
    ),
    "VisA: a folder of the image's name": BadSet(
        lambda root: (
            visa(*VISA_ROWS)(root),
            (root / "candle/0.JPG").unlink(),
            (root / "candle/0.JPG").mkdir(),
        ),
        ["{root}/candle/0.JPG is a folder where an image file is expected"],
        "remove or rename",
        "candle",
        base=(),
    ),
    "plain: no image": bad_plain(("part/notes.txt",), "part holds no image", "part/good"),
    "plain: good images in two places": bad_plain(
        ("part/0.png", "part/good/0.png"), "unclear which", "move all good images to"
    ),
    "plain: images and folders to test": bad_plain(
        ("part/0.png", "part/test/0.png", "part/test/dent/0.png"),
        "part/test holds both images and folders",
        "move them into",
    ),
    "plain: two folders of masks": bad_plain(
        ("part/0.png", "part/test/0.png", "part/masks/0.png", "part/ground_truth/0.png"),
        "both ground_truth and masks",
        "keep one of them",
    ),
    "plain: mask of nothing": bad_plain(
        ("part/0.png", "part/test/0.png", "part/masks/7.png"),
        "masks/7.png matches no image",
        "add the image",
    ),
    "plain: some masks": bad_plain(
        ("part/0.png", "part/test/dent/0.png", "part/test/dent/1.png", "part/masks/dent/0.png"),
        "test/dent/1.png has no mask",
        "add ",
    ),
    "plain: two masks of two endings": bad_plain(
        ("part/0.png", "part/test/0.png", "part/masks/0.png", "part/masks/0_mask.png"),
        "masks/0_mask.png and {root}/part/masks/0.png are masks of the same image",
        "remove one of them",
    ),
    "plain: two images with one mask": bad_plain(
        ("part/0.png", "part/test/0.png", "part/test/0.bmp", "part/masks/0.png"),
        "test/0.bmp and {root}/part/test/0.png have the same name, and so the same mask",
        "give each its own name and mask",
    ),
}
