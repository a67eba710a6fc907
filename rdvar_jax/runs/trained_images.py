"""`trained_images.json` of a run: names and hashes of the images that it was trained on."""

import base64
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from rdvar_jax.data.loading.arrays import TrainSet
from rdvar_jax.data.loading.copies import Copy, TrainedImages
from rdvar_jax.data.pixels.image_hash import DETAIL_BYTES, ImageHash
from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.sealed import DamagedFile, Entries, read_sealed, refuse_unsealed, write_sealed
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.manifest import SavedStep

logger = logging.getLogger("rdvar_jax")

METHOD = "sha256 of the shape and RGB pixels; 64x64 brightness comparisons"
MAX_DETAILS = 30_000  # of images: with more, the file would be too large to be read again
ENTRIES = Entries({"method": str, "fingerprint": str, "images": list}, old=frozenset())
WAY_OUT = (
    "run rdvar train again with the run's settings, which writes it anew without training, or "
    "remove it."
)


class Seen(NamedTuple):
    """An image that the run was trained on, or a copy of one."""

    name: str
    copy: Copy

    def __str__(self) -> str:
        kind = "the same pixels as" if self.copy.is_exact else "nearly the same as"
        return f"{self.name} ({kind} {self.copy.name})"


def images_of(train_set: TrainSet) -> TrainedImages:
    """Returns the names and hashes of a set's images, for `write_trained_images`."""
    # An array given to `fit` has no names.
    names = [record.name for record in train_set.records]
    return TrainedImages(
        names or [f"image {index}" for index in range(len(train_set.hashes))], train_set.hashes
    )


def write_trained_images(workdir: Workdir, images: TrainedImages, fingerprint: str) -> None:
    """Writes names and hashes of the training images, and their fingerprint (`TrainSet`).

    Of more than `MAX_DETAILS` images only equal pixels will be found. A file that says the same
    already is left alone.
    """
    entries = [
        {"name": name, "sha256": one.sha256, "detail": base64.b64encode(one.detail).decode()}
        for name, one in zip(images.names, images.hashes, strict=True)
    ]
    if len(entries) > MAX_DETAILS:
        entries = [{**entry, "detail": ""} for entry in entries]
    value = {"method": METHOD, "fingerprint": fingerprint, "images": entries}
    with suppress(FileNotFoundError, DamagedFile):
        kept = read_sealed(workdir.trained_images, ENTRIES, WAY_OUT)
        if kept.is_sealed and kept.value == value:
            return
    write_sealed(workdir.trained_images, value)


def read_trained_images(workdir: Workdir, saved: SavedStep) -> TrainedImages | None:
    """Reads the training images of a saved state.

    Returns:
        None if they are not known: the run was imported, or made by an earlier version.

    Raises:
        CheckpointError: the file is damaged, or belongs to other images.
    """
    path = workdir.trained_images
    try:
        kept = read_sealed(path, ENTRIES, WAY_OUT)
    except FileNotFoundError:
        return None
    if not kept.is_sealed:
        refuse_unsealed(path, WAY_OUT)
    if kept.value["method"] != METHOD:
        return None
    if kept.value["fingerprint"] != saved.provenance.get("data"):
        raise CheckpointError(
            f"{path} belongs to other training images than the state of step {saved.step}; "
            f"{WAY_OUT}"
        )
    try:
        return _parse(kept.value["images"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFile(path, error, WAY_OUT) from error


def _parse(entries: list[Any]) -> TrainedImages:
    """Returns the images of a file; raises an error if its entries are not those of one."""
    hashes = [
        ImageHash(str(one["sha256"]), base64.b64decode(one["detail"], validate=True))
        for one in entries
    ]
    length = 0 if len(entries) > MAX_DETAILS else DETAIL_BYTES
    if any(len(one.detail) != length for one in hashes):
        raise ValueError("a hash has another length")
    return TrainedImages([str(one["name"]) for one in entries], hashes)


def find_seen(
    known: TrainedImages, names: Sequence[str], hashes: Sequence[ImageHash]
) -> list[Seen | None]:
    """Returns for each image which training image it is or copies; None for a new one."""
    copies = map(known.find, hashes)
    return [
        None if copy is None else Seen(name, copy) for name, copy in zip(names, copies, strict=True)
    ]


def describe_seen(seen: Sequence[Seen], number: int, kind: str) -> str:
    """Returns the start of a sentence: how many of `number` images are not new, and which.

    Args:
        seen: at least one.
        number: of all images that were compared.
        kind: such as "good images".
    """
    exact = sum(one.copy.is_exact for one in seen)
    return (
        f"this run was trained on {len(seen)} of the {number} {kind} ({exact} with the same "
        f"pixels, {len(seen) - exact} nearly so: saved, resized or brightened again): "
        f"{some_names([str(one) for one in seen])}"
    )
