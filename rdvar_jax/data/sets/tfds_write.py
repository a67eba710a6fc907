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

from rdvar_jax.data.pixels.decode import mask_files
from rdvar_jax.data.pixels.image_file import as_8_bit, image_dimensions, load_image
from rdvar_jax.data.sets.folder import describe_entries, find_category, list_categories
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.data.sets.tfds_read import LABELS, NAME, SPLITS, VERSION, packed_folder
from rdvar_jax.errors import DataError
from rdvar_jax.files import naming

logger = logging.getLogger("rdvar_jax")

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
        found = {split: getattr(category, split) for split in SPLITS}
        return {
            split: self._generate_examples(records) for split, records in found.items() if records
        }

    def _generate_examples(
        self, records: Sequence[ImageRecord]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        disable = None if self.progress else True  # None is tqdm's "only on a terminal"
        for record in tqdm(records, desc="Storing images", unit="img", disable=disable):
            assert isinstance(record.path, Path)
            yield (
                record.name,
                {
                    "image": as_stored(record.path, "RGB"),
                    "mask": stored_mask(record),
                    "has_mask": record.mask_path is not None,
                    "label": record.label,
                    "defect": os.fsencode(record.defect),
                    "path": os.fsencode(record.name),
                },
            )


def build_tfds(
    manual_dir: Path, data_dir: Path, categories: Sequence[str] = (), *, progress: bool = True
) -> list[Path]:
    """Makes the sets of categories, each whole or not at all; existing ones are kept.

    Args:
        manual_dir: the folder of categories.
        data_dir: the folder of TFDS sets; created if missing.
        categories: names; all in `manual_dir` by default.
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
        settings = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
        # TFDS reports a download, and makes a folder for it, though nothing is downloaded.
        with naming(data_dir), TemporaryDirectory() as unused, redirect_stdout(io.StringIO()):
            builder.download_and_prepare(
                download_dir=unused, file_format="array_record", download_config=settings
            )
    return [packed_folder(data_dir, name) for name in names]


def as_stored(path: Path, mode: str, nonzero: bool = False) -> bytes:
    """Returns the bytes of a file that any reader decodes to the pixels of `as_8_bit`.

    That is the file itself if it is a PNG or JPEG in this mode, else a PNG.

    Raises:
        DataError: see `load_image` and `as_8_bit`.
    """
    picture = as_8_bit(load_image(path), path, mode, nonzero)
    # Other readers may refuse what `load_image` reads all the same.
    with suppress(ValueError, SyntaxError, OSError), Image.open(path) as plain:
        is_common = plain.format in ("PNG", "JPEG")
        if is_common and plain.mode == mode and plain.tobytes() == picture.tobytes():
            return path.read_bytes()
    return _png(picture)


def stored_mask(record: ImageRecord) -> bytes:
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
        return _png(Image.new("L", image_dimensions(record.path)))
    assert isinstance(files[0], Path)
    return as_stored(files[0], "L", record.mask_nonzero)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
