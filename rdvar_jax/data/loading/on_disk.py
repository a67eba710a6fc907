"""Images that stay on disk: decoded on access, not cached."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from rdvar_jax.data.loading.ahead import ahead
from rdvar_jax.data.pixels.decode import FileFacts, check_one_size, decode_block, decode_image
from rdvar_jax.data.pixels.geometry import Size, as_geometry
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError

BLOCK = 64
"""Images that `ImagesOnDisk.blocks` decodes at once."""


class ImagesOnDisk:
    """Array-like of all images, uint8 [N, H, W, 3], indexed by an image or a slice.

    Each access decodes again. Can be pickled, so that worker processes can decode.
    """

    def __init__(self, records: Sequence[HasPath], size: Size):
        self.records = records
        self._geometry = as_geometry(size)
        self.shape = (len(records), self._geometry.height, self._geometry.width, 3)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int | slice | Sequence[int]) -> np.ndarray:
        """Returns an image [H, W, 3], or images [n, H, W, 3], which are decoded in threads."""
        if isinstance(index, slice):
            return decode_block(self.records[index], self._geometry)[0]
        if isinstance(index, Sequence):
            return decode_block(self._records(index), self._geometry)[0]
        return self._decode(self.records[index])

    def only(self, indices: Sequence[int]) -> "ImagesOnDisk":
        """Returns the set of these images alone; nothing is decoded."""
        return ImagesOnDisk(self._records(indices), self._geometry)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images of `indices` in that order, [n, H, W, 3], decoded in this thread."""
        return np.stack([self[int(index)] for index in indices])

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """Yields all images in order, [n, H, W, 3]; while a batch is used, threads decode the next.

        Raises:
            DataError: an image cannot be read; raised when its batch is due.
        """
        with ahead(self._decode, self.records, batch_size) as decoded:
            for start in range(0, len(self), batch_size):
                number = min(batch_size, len(self) - start)
                yield np.stack(list(islice(decoded, number)))

    def blocks(
        self,
        *,
        num_workers: int | None = None,
        progress: bool = True,
        allow_mixed_sizes: bool = False,
        failures: dict[int, DataError] | None = None,
        facts: dict[int, FileFacts] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields all images in order, uint8 [n, H, W, 3] with n at most `BLOCK`.

        The arguments are those of `decode_images`.

        Raises:
            DataError: see `decode_images`; different sizes are reported after the last block.
        """
        facts = {} if facts is None else facts
        # Imported late: a detector finds images with this room and may run without tqdm.
        from tqdm import tqdm

        disable = None if progress else True  # None is tqdm's "only on a terminal"
        with tqdm(total=len(self), desc="Checking images", disable=disable) as bar:
            for start in range(0, len(self), BLOCK):
                records = self.records[start : start + BLOCK]
                failed = None if failures is None else {}
                images, found = decode_block(
                    records, self._geometry, num_workers=num_workers, failures=failed
                )
                facts.update({start + index: one for index, one in found.items()})
                if failures is not None and failed:
                    failures.update({start + index: error for index, error in failed.items()})
                yield images
                bar.update(len(images))
        if not allow_mixed_sizes:
            sizes_wh = [one.size_wh for one in facts.values()]
            check_one_size(self._records(list(facts)), sizes_wh, self._geometry)

    def _decode(self, record: HasPath) -> np.ndarray:
        return decode_image(record.path, self._geometry)

    def _records(self, indices: Sequence[int]) -> list[HasPath]:
        return [self.records[index] for index in indices]


class TilesOnDisk:
    """Tiles [N T, H, W, 3] of images that stay on disk, those of an image together."""

    def __init__(self, images: ImagesOnDisk, places: Sequence[tuple[slice, slice]]):
        self._images = images
        self._places = places
        rows, columns = places[0]
        tile = rows.stop - rows.start, columns.stop - columns.start
        self.shape = (len(images) * len(places), *tile, 3)
        self.dtype = images.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        image, tile = divmod(index, len(self._places))
        return self._images[image][self._places[tile]]

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns the tiles of `indices` in that order, [n, H, W, 3], decoded in this thread."""
        return np.stack([self[int(index)] for index in indices])
