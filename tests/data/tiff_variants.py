"""Small TIFF files of every layout, with their samples and the pixels that they mean."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

# No multiple of the tiles' side, and rows of 1, 2, 4 or 12 bits end within a byte.
HEIGHT, WIDTH, TILE = 13, 21, 16


@dataclass(frozen=True)
class Variant:
    """One file: how it is written, what it means, and whether it must be read."""

    write: Callable[[Path], object]
    samples: np.ndarray | None  # as another reader returns them; None where it does not
    rgb: np.ndarray | None  # None: has no agreed meaning
    is_read: bool
    tolerance: int = 0


@dataclass(frozen=True)
class Layout:
    """Kinds of samples, for every byte order, plane layout and compression."""

    photometric: str
    bits: int
    num: int = 1
    extra: tuple[str, ...] = ()
    dtype: str = ""
    reads: str = "all"  # or none, contig, little, planes

    def samples(self) -> np.ndarray:
        rng = np.random.default_rng(self.bits + 100 * self.num)
        shape = (HEIGHT, WIDTH, self.num) if self.num > 1 else (HEIGHT, WIDTH)
        dtype = np.dtype(self.dtype or ("u1" if self.bits <= 8 else "u2"))
        if self.bits == 1:
            dtype = np.dtype(bool)
        high = 2**self.bits if dtype.kind in "ub" else 2 ** min(self.bits - 1, 16)
        return rng.integers(0, min(high, 65536), shape).astype(dtype)

    def rgb(self, samples: np.ndarray, colours: np.ndarray) -> np.ndarray | None:
        if self.reads == "none" and self.dtype:
            return None
        if self.photometric == "palette":
            return colours[samples if self.num == 1 else samples[..., 0]] >> 8
        values = samples.astype(np.int64)
        if self.photometric.startswith("minis"):
            grey = values if self.num == 1 else values[..., 0]
            # As large as 16 bits, whatever the type.
            full = 2 ** min(self.bits, 16) - 1
            grey = np.rint(grey * 255 / full).astype(np.int64)
            if self.photometric == "miniswhite":
                grey = 255 - grey
            return np.repeat(grey[..., None], 3, 2)
        if self.bits == 16:
            values = values >> 8
        if self.photometric == "separated":
            white = 255 - values[..., 3:4]
            return white - np.rint(values[..., :3] * white / 255).astype(np.int64)
        return values[..., :3]


_ALPHA, _ASSOCIATED, _SPARE = ("unassalpha",), ("assocalpha",), ("unspecified",)
LAYOUTS = [
    *(Layout("minisblack", bits) for bits in (1, 2, 4, 8, 16)),
    *(Layout("miniswhite", bits) for bits in (1, 2, 4, 8)),
    Layout("minisblack", 12, reads="little"),
    *(Layout("minisblack", bits, reads="none") for bits in (3, 5, 6, 7, 10, 14)),
    *(Layout("miniswhite", bits, reads="none") for bits in (12, 16)),
    Layout("minisblack", 32, dtype="u4", reads="little"),
    Layout("minisblack", 16, dtype="i2", reads="little or raw"),
    Layout("minisblack", 32, dtype="i4", reads="little or raw"),
    Layout("minisblack", 8, dtype="i1", reads="none"),
    Layout("minisblack", 64, dtype="u8", reads="none"),
    *(Layout("minisblack", bits, dtype=f"f{bits // 8}", reads="none") for bits in (16, 32, 64)),
    Layout("minisblack", 8, 2, _ALPHA, reads="contig or compressed"),
    Layout("minisblack", 8, 2, _SPARE, reads="contig or compressed"),
    Layout("minisblack", 8, 2, _ASSOCIATED, reads="none"),
    Layout("minisblack", 16, 2, _ALPHA, reads="none"),
    Layout("rgb", 8, 3),
    Layout("rgb", 16, 3, reads="contig or compressed"),
    Layout("rgb", 8, 4, _ALPHA),
    Layout("rgb", 16, 4, _ALPHA, reads="contig or compressed"),
    Layout("rgb", 8, 4, _SPARE, reads="contig or compressed"),
    Layout("rgb", 16, 4, _SPARE, reads="contig or compressed"),
    Layout("rgb", 8, 5, _SPARE * 2, reads="contig or compressed"),
    Layout("rgb", 8, 4, _ASSOCIATED, reads="none"),
    Layout("rgb", 16, 4, _ASSOCIATED, reads="none"),
    Layout("rgb", 32, 3, dtype="u4", reads="none"),
    Layout("rgb", 32, 3, dtype="f4", reads="none"),
    Layout("rgb", 8, 3, dtype="i1", reads="none"),
    Layout("palette", 8),
    Layout("separated", 8, 4),
    Layout("separated", 16, 4, reads="contig or compressed"),
    Layout("separated", 8, 5, _SPARE, reads="contig or compressed"),
    Layout("cielab", 8, 3, dtype="u1", reads="none"),
]
# compression, predictor, tiled
STORAGES = [
    (None, False, False),
    (None, False, True),
    ("lzw", True, False),
    ("zlib", False, True),
    ("packbits", False, False),
    ("zstd", True, True),
]
COLOURS = np.random.default_rng(7).integers(0, 65536, (256, 3)).astype(np.uint16)


def variants() -> Iterator[tuple[str, Variant]]:
    """Yields the name and the file of every combination that tifffile can write, and others."""
    for layout in LAYOUTS:
        for order in "<>":
            for planes in ("contig", "separate") if layout.num > 1 else ("contig",):
                for storage in STORAGES:
                    if layout.bits not in (1, 8, 16, 32, 64) and storage[0]:
                        continue  # tifffile does not pack and compress
                    if layout.bits in (1, 64) and storage[1]:
                        continue
                    yield _by_tifffile(layout, order, planes, storage)


def _by_tifffile(
    layout: Layout, order: str, planes: str, storage: tuple[str | None, bool, bool]
) -> tuple[str, Variant]:
    compression, predictor, is_tiled = storage
    samples = layout.samples()
    options: dict = {"compression": compression, "predictor": predictor, "byteorder": order}
    if is_tiled:
        options["tile"] = (TILE, TILE)
    elif compression is None:
        options["rowsperstrip"] = 5
    if layout.num > 1:
        options["planarconfig"] = planes
    if layout.extra:
        options["extrasamples"] = layout.extra
    if layout.photometric == "palette":
        options["colormap"] = COLOURS.T
    if layout.bits not in (1, 8, 16, 32, 64):
        options["bitspersample"] = layout.bits
    written = np.moveaxis(samples, -1, 0) if planes == "separate" else samples
    written = np.ascontiguousarray(written)

    def write(path: Path) -> None:
        tifffile.imwrite(path, written, photometric=layout.photometric, metadata=None, **options)

    is_read = {
        "all": True,
        "none": False,
        "little": order == "<",
        "little or raw": order == "<" or compression is None,
        "contig or compressed": planes == "contig" or compression is not None,
    }[layout.reads]
    parts = [layout.photometric, layout.dtype or f"u{layout.bits}bit", *layout.extra]
    parts += ["little" if order == "<" else "big", planes, compression or "raw"]
    parts += ["predictor"] * predictor + ["tiled" if is_tiled else "strips"]
    # tifffile does not read what it packs into odd bits, big-endian.
    is_odd = layout.bits in (10, 12, 14) and order == ">"
    return "-".join(parts), Variant(
        write, None if is_odd else written, layout.rgb(samples, COLOURS), is_read
    )
