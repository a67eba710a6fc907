"""Writes image folders as the TFDS set `mvtec_ad`, for `rdvar prepare --source tfds`.

TensorFlow is not needed: examples are written as ArrayRecord, and images are stored as files.
"""

import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.pixels.decode import FileFacts, mask_files
from rdvar_jax.data.pixels.file_errors import pillow_warnings
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import as_8_bit, image_dimensions, load_image
from rdvar_jax.data.pixels.reading import MAX_PIXELS, OWN_FULL_SCALE, Reading, as_reading
from rdvar_jax.data.pixels.set_remarks import SetRemarks, images_of
from rdvar_jax.data.sets.folder import describe_entries, find_category, list_categories
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.data.sets.tfds_read import LABELS, NAME, SPLITS, VERSION, packed_folder
from rdvar_jax.errors import DataError

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
                    "image": as_stored(record.path, "RGB", reading=reading, remarks=remarks),
                    "mask": stored_mask(record, reading),
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
    full_scale: int | str = OWN_FULL_SCALE,
    max_pixels: int = MAX_PIXELS,
    progress: bool = True,
) -> list[Path]:
    """Makes the sets of categories, each whole or not at all; existing ones are kept.

    Args:
        manual_dir: the folder of categories.
        data_dir: the folder of TFDS sets; created if missing.
        categories: names; all in `manual_dir` by default.
        full_scale: as `data.full_scale`; the stored images have 8 bits.
        max_pixels: as `data.max_pixels`.
        progress: show progress bars, if standard error is a terminal.

    Returns:
        The folders of the sets.

    Raises:
        DataError: see `find_category` and `as_stored`, or an image has several masks.
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
        builder = MvtecAd(config=tfds.core.BuilderConfig(name=name), data_dir=data_dir)
        builder.progress = progress
        builder.full_scale, builder.max_pixels = full_scale, max_pixels
        settings = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
        # TFDS reports a download, and makes a folder for it, though nothing is downloaded.
        with TemporaryDirectory() as unused, redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=unused, file_format="array_record", download_config=settings
            )
    return [packed_folder(data_dir, name) for name in names]


def as_stored(
    path: Path,
    mode: str,
    nonzero: bool = False,
    reading: Reading = _DEFAULT,
    remarks: SetRemarks | None = None,
) -> bytes:
    """Returns the bytes of a file that any reader decodes to the pixels of `as_8_bit`.

    That is the file itself if it is a PNG or JPEG in this mode, else a PNG. `remarks` takes the
    facts of the file.

    Raises:
        DataError: see `load_image` and `as_8_bit`.
    """
    picture, levels = as_8_bit(load_image(path, reading), path, mode, nonzero, reading)
    if remarks is not None:
        remarks.note(path, FileFacts(picture.size, levels))
    # Other readers may refuse what `load_image` reads all the same.
    with (
        suppress(ValueError, SyntaxError, OSError),
        pillow_warnings(reading.max_pixels),
        Image.open(path) as plain,
    ):
        is_common = plain.format in ("PNG", "JPEG")
        if is_common and plain.mode == mode and plain.tobytes() == picture.tobytes():
            return path.read_bytes()
    return _png(picture)


def stored_mask(record: ImageRecord, reading: Reading = _DEFAULT) -> bytes:
    """Returns the mask as a grey image file; an empty one where there is no mask.

    Raises:
        DataError: see `as_stored`, or the mask is in several files.
    """
    files = mask_files(record)
    if len(files) > 1:
        raise DataError(
            f"{record.path} has {len(files)} masks ({record.mask_path}), and a TFDS set holds one "
            "for each image; train from the folder (data.source=folder)."
        )
    if not files:
        return _png(Image.new("L", image_dimensions(record.path, reading)))
    assert isinstance(files[0], Path)
    # Masks have their type's own full scale.
    return as_stored(files[0], "L", record.mask_nonzero, Reading(max_pixels=reading.max_pixels))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
