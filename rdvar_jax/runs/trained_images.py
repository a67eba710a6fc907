"""`trained_images.json` of a run: names and hashes of the images that it was trained on."""

import base64
import json
import logging
from collections.abc import Sequence
from typing import NamedTuple

from rdvar_jax.data.loading.arrays import TrainSet
from rdvar_jax.data.loading.copies import Copy, TrainedImages
from rdvar_jax.data.pixels.image_hash import DETAIL_BYTES, ImageHash
from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.errors import CheckpointError
from rdvar_jax.files import write_json
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep

logger = logging.getLogger("rdvar_jax")

METHOD = "sha256 of the shape and RGB pixels; 64x64 brightness comparisons"


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
    """Writes names and hashes of the training images, and their fingerprint (`TrainSet`)."""
    entries = [
        {"name": name, "sha256": one.sha256, "detail": base64.b64encode(one.detail).decode()}
        for name, one in zip(images.names, images.hashes, strict=True)
    ]
    value = {"method": METHOD, "fingerprint": fingerprint, "images": entries}
    write_json(workdir.trained_images, value)


def read_trained_images(workdir: Workdir, saved: SavedStep) -> TrainedImages | None:
    """Reads the training images of a saved state.

    Returns:
        None if they are not known: the run was imported, or made by an earlier version.

    Raises:
        CheckpointError: the file is damaged, or belongs to other images.
    """
    path = workdir.trained_images
    try:
        value = json.loads(path.read_text())
        if value["method"] != METHOD:
            return None
        entries, fingerprint = value["images"], value["fingerprint"]
        hashes = [
            ImageHash(str(one["sha256"]), base64.b64decode(one["detail"], validate=True))
            for one in entries
        ]
        if not hashes or any(len(one.detail) != DETAIL_BYTES for one in hashes):
            raise ValueError("wrong number of bits")
        found = TrainedImages([str(one["name"]) for one in entries], hashes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read; run rdvar train again with the run's settings, which writes "
            "it anew, or remove it."
        ) from error
    if fingerprint != saved.provenance.get("data"):
        raise CheckpointError(
            f"{path} belongs to other training images than the state of step {saved.step}; run "
            "rdvar train again with the run's settings, which writes it anew, or remove it."
        )
    return found


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
