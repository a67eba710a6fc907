"""Writes image folders as the TFDS set `mvtec_ad`, for `rdvar prepare --source tfds`.

TensorFlow is not needed: examples are written as ArrayRecord, and images are stored as files.
"""

import io
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.pixels.decode import FileFacts, mask_files
from rdvar_jax.data.pixels.file_errors import pillow_warnings
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import image_dimensions, load_image, read_8_bit
from rdvar_jax.data.pixels.mask_file import LOSSY_NOTE, load_mask
from rdvar_jax.data.pixels.mask_rule import apply_threshold
from rdvar_jax.data.pixels.reading import MAX_PIXELS, OWN_FULL_SCALE, Reading, as_reading
from rdvar_jax.data.pixels.set_remarks import SetRemarks, images_of
from rdvar_jax.data.sets.folder import describe_entries, find_category, list_categories
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.data.sets.tfds_read import LABELS, NAME, SPLITS, VERSION, packed_folder
from rdvar_jax.errors import DataError
from rdvar_jax.files.locks import OUTPUT, locked_folder
from rdvar_jax.files.replacing import naming

logger = logging.getLogger("rdvar_jax")

_DEFAULT = Reading()

DESCRIPTION = """Images of one category for anomaly detection: good ones to train on, good and \
defective ones to test, with masks. `mask` is empty where `has_mask` is false. `path` is the \
image's name in the folder that the set was made from; sorted by it the images are in the \
folder's order."""


class MvtecAd(tfds.core.GeneratorBasedBuilder):
    """The set `mvtec_ad`; its configs are the categories in `manual_dir`."""

    VERSION = tfds.core.Version(VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "manual_dir holds one folder for each category, in a layout that docs/data.md lists; MVTec "
        "AD itself is at https://www.mvtec.com/company/research/datasets/mvtec-ad"
    )
    name = NAME
    progress = False
    full_scale: int | str = OWN_FULL_SCALE
    max_pixels = MAX_PIXELS
    mask_orientation = "own"

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
                "has_mask": np.bool_,
                "label": tfds.features.ClassLabel(names=LABELS),
                "defect": tfds.features.Text(),
                "path": tfds.features.Text(),
            }
        )
        return tfds.core.DatasetInfo(builder=self, description=DESCRIPTION, features=features)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        assert self.builder_config is not None
        category = find_category(Path(dl_manager.manual_dir), self.builder_config.name)
        full_scale = decide_full_scale(
            self.full_scale, category.train, self.max_pixels, progress=self.progress
        )
        reading = as_reading(full_scale, self.max_pixels)
        found = {split: getattr(category, split) for split in SPLITS}
        return {
            split: self._generate_examples(split, records, reading)
            for split, records in found.items()
            if records
        }

    def _generate_examples(
        self, split: str, records: Sequence[ImageRecord], reading: Reading
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        disable = None if self.progress else True  # None is tqdm's "only on a terminal"
        remarks = SetRemarks(
            images_of(split),
            Geometry("squash", 1, 1, reading=reading),
            advice="prepare with --full_scale",
        )
        for record in tqdm(records, desc="Storing images", unit="img", disable=disable):
            assert isinstance(record.path, Path)
            yield (
                record.name,
                {
                    "image": as_stored(record.path, "RGB", reading, remarks),
                    "mask": stored_mask(record, self.mask_orientation, reading),
                    "has_mask": record.mask_path is not None,
                    "label": record.label,
                    "defect": os.fsencode(record.defect),
                    "path": os.fsencode(record.name),
                },
            )
        for sentence in remarks.new():
            logger.warning("%s", sentence)


def build_tfds(
    manual_dir: Path,
    data_dir: Path,
    categories: Sequence[str] = (),
    *,
    mask_orientation: str = "own",
    full_scale: int | str = OWN_FULL_SCALE,
    max_pixels: int = MAX_PIXELS,
    progress: bool = True,
) -> list[Path]:
    """Makes the sets of categories, each whole or not at all; existing ones are kept.

    Args:
        manual_dir: the folder of categories.
        data_dir: the folder of TFDS sets; created if missing.
        categories: names; all in `manual_dir` by default.
        mask_orientation: see `load_mask`.
        full_scale: as `data.full_scale`; the stored images have 8 bits.
        max_pixels: as `data.max_pixels`.
        progress: show progress bars, if standard error is a terminal.

    Returns:
        The folders of the sets.

    Raises:
        DataError: see `find_category`, `as_stored` and `stored_mask`.
        InUseError: another call makes one of the sets.
    """
    names = list(categories) or list_categories(manual_dir)
    if not names:
        raise DataError(
            f"--manual_dir {manual_dir} holds no category but {describe_entries(manual_dir)}; pass "
            "the folder whose sub-folders hold train/good and test."
        )
    tfds.disable_progress_bar()  # TFDS draws some even without a terminal
    for name in names:
        folder = packed_folder(data_dir, name)
        if folder.exists():
            logger.info("%s already exists and is kept; remove it to make it again", folder)
            continue
        with locked_folder(folder.parent, OUTPUT, "wait until it ends"):
            if folder.exists():  # made by another call meanwhile
                continue
            builder = MvtecAd(config=tfds.core.BuilderConfig(name=name), data_dir=data_dir)
            builder.progress = progress
            builder.full_scale, builder.max_pixels = full_scale, max_pixels
            builder.mask_orientation = mask_orientation
            _build(builder, manual_dir, data_dir, folder.parent)
    return [packed_folder(data_dir, name) for name in names]


def _build(builder: MvtecAd, manual_dir: Path, data_dir: Path, made: Path) -> None:
    """Makes a set in its locked folder, first without what a killed call has left there."""
    unused = made / ".unused"
    for left in (unused, *made.glob(f"incomplete.*_{VERSION}")):
        shutil.rmtree(left, ignore_errors=True)
    settings = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        # TFDS reports a download, and makes a folder for it, though nothing is downloaded.
        with naming(data_dir), redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=unused, file_format="array_record", download_config=settings
            )
    finally:
        shutil.rmtree(unused, ignore_errors=True)


def as_stored(
    path: Path, mode: str, reading: Reading = _DEFAULT, remarks: SetRemarks | None = None
) -> bytes:
    """Returns the bytes of a file that any reader decodes to the pixels of `as_8_bit`.

    That is the file itself if it is a PNG or JPEG in this mode, else a PNG. `remarks` takes the
    facts of the file.

    Raises:
        DataError: see `load_image` and `as_8_bit`.
    """
    picture, levels = read_8_bit(load_image(path, reading), path, mode, reading)
    if remarks is not None:
        remarks.note(path, FileFacts(picture.size, levels))
    return _own_bytes(path, picture, reading) or _png(picture)


def stored_mask(
    record: ImageRecord, orientation: str = "own", reading: Reading = _DEFAULT
) -> bytes:
    """Returns the mask as a grey image file, upright; an empty one where there is no mask.

    Where the layout says that every value but 0 is defective, all of them become 255.

    Raises:
        DataError: see `load_mask`, or the mask is in several files.
    """
    files = mask_files(record)
    if len(files) > 1:
        raise DataError(
            f"{record.path} has {len(files)} masks ({record.mask_path}), and a TFDS set holds one "
            "for each image; train from the folder (data.source=folder)."
        )
    size_wh = image_dimensions(record.path, reading)
    if not files:
        return _png(Image.new("L", size_wh))
    assert isinstance(files[0], Path)
    mask = load_mask(
        files[0],
        size_wh,
        image_path=record.path,
        orientation=orientation,
        setting="--mask_orientation ",
        reading=reading,
    )
    grey = apply_threshold(mask, "any", nonzero=True) if record.mask_nonzero else mask.grey
    own = _own_bytes(files[0], grey, reading) if mask.orientation == 1 else b""
    return own or _png(grey, mask.is_lossy)


def _own_bytes(path: Path, picture: Image.Image, reading: Reading) -> bytes:
    """Returns the file's content if it is a PNG or JPEG of exactly this picture, else nothing."""
    # Other readers may refuse what `load_image` reads all the same.
    with (
        suppress(ValueError, SyntaxError, OSError),
        pillow_warnings(reading.max_pixels),
        Image.open(path) as plain,
    ):
        same = plain.format in ("PNG", "JPEG") and plain.mode == picture.mode
        if same and plain.size == picture.size and plain.tobytes() == picture.tobytes():
            return path.read_bytes()
    return b""


def _png(picture: Image.Image, is_lossy: bool = False) -> bytes:
    """Returns a PNG, with a note if the picture was decoded from a JPEG."""
    texts = PngImagePlugin.PngInfo()
    if is_lossy:
        texts.add_text(LOSSY_NOTE, "decoded from a JPEG")
    file = io.BytesIO()
    picture.save(file, format="PNG", pnginfo=texts)
    return file.getvalue()
