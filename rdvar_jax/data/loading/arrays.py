"""A category's decoded images, for training and testing.

They are held in memory where they fit a budget: MVTec AD's largest category, 391 images of
256 x 256, is 77 MB. Otherwise they stay on disk, with the same results bit for bit.
"""

import dataclasses
import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from rdvar_jax.data.loading.mask_survey import choose_threshold
from rdvar_jax.data.loading.on_disk import ImagesOnDisk, TilesOnDisk
from rdvar_jax.data.loading.skipping import Skipped, leave_out
from rdvar_jax.data.pixels.decode import FileFacts, decode_images, decode_masks
from rdvar_jax.data.pixels.geometry import Size, as_geometry
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.pixels.image_hash import ImageHash, hash_images
from rdvar_jax.data.pixels.mask_rule import AUTO, MaskThreshold
from rdvar_jax.data.pixels.set_remarks import Aspects, SetRemarks, aspects_of, images_of
from rdvar_jax.data.sets.records import UNLABELLED, Category, ImageRecord
from rdvar_jax.errors import DataError

_logger = logging.getLogger("rdvar_jax")

Images: TypeAlias = np.ndarray | ImagesOnDisk
Inputs: TypeAlias = Images | TilesOnDisk  # what the networks see

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True, eq=False)  # array `==` is elementwise
class TrainSet:
    """Good images: N of H x W, in the order of `records`."""

    records: tuple[ImageRecord, ...]
    images: Images  # uint8 [N, H, W, 3]
    fingerprint: str  # of names and pixels, so that a resumed run notices changed data
    skipped: tuple[Skipped, ...] = ()  # images left out with on_error "skip"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of `data`, to load them again
    hashes: tuple[ImageHash, ...] = ()  # [N]; of tiled images, before they are cut
    aspects: Aspects | None = None  # of the files; None if they are unknown


@dataclass(frozen=True, eq=False)
class TestSet:
    """Good and defective images: N of H x W, in the order of `records`."""

    __test__ = False  # the name makes pytest take it for a test class

    records: tuple[ImageRecord, ...]
    images: Images  # uint8 [N, H, W, 3]
    masks: np.ndarray  # bool [N, H, W], True where defective
    labels: np.ndarray  # int32 [N], 0 good, 1 defective, or UNLABELLED
    # bool [N, H, W], False in the padding of geometry "pad"; None without padding.
    valid_mask: np.ndarray | None = None
    skipped: tuple[Skipped, ...] = ()  # images left out with on_error "skip"
    # What data.mask_threshold was resolved to: "half", "any" or a number.
    mask_threshold: MaskThreshold = "half"
    mask_problem: str | None = None  # why no mask marks a pixel at that threshold
    hashes: tuple[ImageHash, ...] = ()  # [N]

    @property
    def has_masks(self) -> bool:
        """Whether any image has a mask."""
        return any(record.mask_path is not None for record in self.records)

    @property
    def has_labels(self) -> bool:
        """Whether every image has a label."""
        return bool((self.labels != UNLABELLED).all())

    @property
    def undefined(self) -> dict[str, str]:
        """Metrics that are undefined on this set, `image` or `pixel`, and why."""
        if not self.has_labels:
            return dict.fromkeys(("image", "pixel"), "the test images have no labels")
        reasons = {}
        for label, kind in ((1, "defective"), (0, "good")):
            if not (self.labels == label).any():
                reasons["image"] = f"there is no {kind} test image"
        if not (self.labels == 1).any():
            reasons["pixel"] = reasons["image"]
        elif not self.has_masks:
            reasons["pixel"] = "the set has no masks"
        elif self.mask_problem is not None:
            reasons["pixel"] = self.mask_problem
        elif not self.masks.any():
            reasons["pixel"] = "no mask marks a pixel once it is resized"
        elif (self.masks if self.valid_mask is None else self.masks | ~self.valid_mask).all():
            reasons["pixel"] = "the masks mark every pixel of every image"
        return reasons

    def warn_undefined(self, name: str) -> None:
        """Warns about each kind of metric that is undefined on this set."""
        for kind, reason in self.undefined.items():
            _logger.warning("%s: %s metrics are undefined, because %s", name, kind, reason)


def image_bytes(number: int, size: Size) -> int:
    """Returns the size in bytes of `number` decoded images."""
    geometry = as_geometry(size)
    return number * geometry.height * geometry.width * 3


def load_train(
    category: Category,
    size: Size,
    *,
    memory_budget: float = math.inf,
    num_workers: int | None = None,
    progress: bool = True,
    allow_mixed_sizes: bool = False,
    on_error: str = "fail",
    split: str = "train",
) -> TrainSet:
    """Decodes the training images of `category` to uint8 [N, H, W, 3].

    With `on_error` "skip", unreadable images are left out; see `leave_out`, whose messages name
    `split`.

    Over a `memory_budget` in bytes the images stay on disk. They are still all decoded once, a few
    at a time: for the fingerprint, and because a bad file is better found now than hours later.

    Raises:
        DataError: see `decode_images` and `leave_out`.
    """
    records = category.train
    options = {"num_workers": num_workers, "progress": progress}
    options |= {"allow_mixed_sizes": allow_mixed_sizes}
    failures = {} if on_error == "skip" else None
    facts: dict[int, FileFacts] = {}
    if image_bytes(len(records), size) > memory_budget:
        images = ImagesOnDisk(records, size)
        hashes: list[ImageHash] = []
        blocks = _hashed(images.blocks(**options, failures=failures, facts=facts), hashes)
        fingerprint = _hash(records, images.shape, blocks)
        aspects = _remark(images_of(split), size, records, facts)
        skipped = leave_out(records, failures or {}, split)
        if skipped:
            records, images = _without(failures, records, images)
            hashes.clear()
            blocks = _hashed(images.blocks(**options), hashes)
            fingerprint = _hash(records, images.shape, blocks)
        return TrainSet(
            records, images, fingerprint, skipped, hashes=tuple(hashes), aspects=aspects
        )
    images = decode_images(records, size, **options, failures=failures, facts=facts)
    aspects = _remark(images_of(split), size, records, facts)
    skipped = leave_out(records, failures or {}, split)
    records, images = _without(failures, records, images)
    fingerprint = compute_fingerprint(records, images)
    return TrainSet(
        records, images, fingerprint, skipped, hashes=hash_images(images), aspects=aspects
    )


def load_validation(
    category: Category,
    size: Size,
    *,
    num_workers: int | None = None,
    progress: bool = True,
    allow_mixed_sizes: bool = False,
    on_error: str = "fail",
) -> TrainSet:
    """Decodes the good images that are kept from training, as `load_train` does; N may be 0.

    Raises:
        DataError: see `load_train`.
    """
    return load_train(
        dataclasses.replace(category, train=category.validation),
        size,
        num_workers=num_workers,
        progress=progress,
        allow_mixed_sizes=allow_mixed_sizes,
        on_error=on_error,
        split="validation",
    )


def load_test(
    category: Category,
    size: Size,
    *,
    threshold: MaskThreshold = AUTO,
    orientation: str = "own",
    memory_budget: float = math.inf,
    num_workers: int | None = None,
    progress: bool = True,
    allow_mixed_sizes: bool = False,
    on_error: str = "fail",
) -> TestSet:
    """Decodes the test images of `category`, and their masks, to `size`.

    `threshold` and `orientation` are those of `decode_mask`, or "auto" (`choose_threshold`). Warns
    if the masks hold defects under the threshold.

    With `on_error` "skip", images that cannot be read or whose masks cannot be used are left out;
    see `leave_out`. Over a `memory_budget` the images stay on disk, as in `load_train`, but the
    masks do not.

    Raises:
        DataError: see `decode_images`, `decode_masks` and `leave_out`.
    """
    failures = {} if on_error == "skip" else None
    options = {"num_workers": num_workers, "progress": progress}
    facts: dict[int, FileFacts] = {}
    options |= {"allow_mixed_sizes": allow_mixed_sizes, "failures": failures, "facts": facts}
    images: Images
    hashes: list[ImageHash] = []
    if image_bytes(len(category.test), size) > memory_budget:
        images = ImagesOnDisk(category.test, size)
        for _ in _hashed(images.blocks(**options), hashes):
            pass  # to find bad files before anything is scored
    else:
        images = decode_images(category.test, size, **options)
        hashes += hash_images(images)
    _remark(images_of("test"), size, category.test, facts)
    choice = choose_threshold(
        category.test,
        threshold,
        num_workers=num_workers,
        progress=progress,
        reading=as_geometry(size).reading,
    )
    if threshold == AUTO and choice.threshold != "half":
        _logger.info(
            "%s: the masks hold %s: values of %s or more are defective (data.mask_threshold=auto)",
            category.name,
            choice.values,
            choice.threshold,
        )
    if choice.remark is not None:
        _logger.warning("%s: %s", category.name, choice.remark)
    masks = decode_masks(
        category.test,
        size,
        threshold=choice.threshold,
        orientation=orientation,
        warn_empty=choice.problem is None,
        num_workers=num_workers,
        progress=progress,
        failures=failures,
    )
    skipped = leave_out(category.test, failures or {}, "test")
    records, images, masks = _without(failures, category.test, images, masks)
    hashes = [one for index, one in enumerate(hashes) if index not in (failures or {})]
    labels = np.array([record.label for record in records], np.int32)
    geometry, valid_mask = as_geometry(size), None
    if geometry.pads:
        sizes_wh = (image_dimensions(one.path, geometry.reading) for one in records)
        valid_mask = np.stack([geometry.valid_mask(size_wh) for size_wh in sizes_wh])
    return TestSet(
        records,
        images,
        masks,
        labels,
        valid_mask,
        skipped,
        choice.threshold,
        choice.problem,
        tuple(hashes),
    )


def _remark(
    images: str, size: Size, records: Sequence[ImageRecord], facts: Mapping[int, FileFacts]
) -> Aspects | None:
    """Warns of what should be known of a set's files, and returns their aspects."""
    remarks = SetRemarks(images, as_geometry(size))
    for index, one in facts.items():
        remarks.note(records[index].path, one)
    for sentence in remarks.new():
        _logger.warning("%s", sentence)
    return aspects_of(one.size_wh for one in facts.values())


def _without(
    failures: dict[int, DataError] | None, records: tuple[ImageRecord, ...], *arrays: Images
) -> tuple[Any, ...]:
    """Drops the failed entries from records and arrays [N, ...]."""
    if not failures:
        return records, *arrays
    kept = [index for index in range(len(records)) if index not in failures]
    return tuple(records[index] for index in kept), *(
        array.only(kept) if isinstance(array, ImagesOnDisk) else array[kept] for array in arrays
    )


def _hashed(blocks: Iterable[np.ndarray], hashes: list[ImageHash]) -> Iterator[np.ndarray]:
    """Yields blocks of images [n, H, W, 3] and collects the images' hashes."""
    for images in blocks:
        hashes += hash_images(images)
        yield images


def compute_fingerprint(records: Sequence[ImageRecord], images: np.ndarray) -> str:
    """Returns the sha256 in hex of the shape, each record's name, and the decoded pixels, in order.

    Pixels rather than files, because a run depends on these: another size or another JPEG decoder
    changes the fingerprint, another PNG compression does not.
    """
    return _hash(records, images.shape, [images])


def _hash(
    records: Sequence[ImageRecord], shape: tuple[int, ...], blocks: Iterable[np.ndarray]
) -> str:
    digest = hashlib.sha256(repr(shape).encode())
    for record in records:
        digest.update(os.fsencode(record.name) + b"\0")
    for images in blocks:
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()
