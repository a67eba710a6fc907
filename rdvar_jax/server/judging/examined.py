"""Images that the server is sent, and what stays of them once they are judged."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from rdvar_jax.data.pixels.decode import FileFacts, decode_file, decode_original
from rdvar_jax.data.pixels.ignore_mask import map_on_image
from rdvar_jax.errors import one_line
from rdvar_jax.report.caption import Caption
from rdvar_jax.report.gallery import QUALITY, make_thumbnails
from rdvar_jax.report.png_file import write_png
from rdvar_jax.report.prediction import draw_overlay
from rdvar_jax.report.prediction_files import exact
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.serving.judgement import judge

_MAX_NAME = 200  # characters of a client's name for a file


@dataclass(frozen=True, eq=False)
class Upload:
    """An image file as a client sends it; read like any other file (`PackedFile`).

    Attributes:
        name: the client's, printable and short; only shown, never a path.
        content: the whole file.
    """

    name: str
    content: bytes

    @classmethod
    def of(cls, name: str, content: bytes) -> "Upload":
        """Takes a file by any name."""
        return cls(printable_name(name), content)

    def __str__(self) -> str:
        return self.name

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return len(self.content)

    @property
    def parent(self) -> Path:
        """No folder; files in others have one."""
        return Path()

    def open(self, mode: str, /) -> IO[bytes]:
        """Opens the content for reading."""
        assert mode == "rb"
        return io.BytesIO(self.content)

    def decode(self, part: Part) -> tuple[np.ndarray, FileFacts]:
        """Returns the pixels to score, uint8 [H, W, 3], and the file's facts.

        Raises:
            DataError: it cannot be read as an image.
        """
        return decode_file(self, part.geometry)

    def picture(self, part: Part) -> np.ndarray:
        """Returns the image at its own size, upright, uint8 [height, width, 3]."""
        return decode_original(self, part.geometry.reading)


@dataclass(frozen=True, eq=False)
class Pixels:
    """An image whose pixels a client sends at the size of the model."""

    name: str
    array: np.ndarray  # uint8 [H, W, 3]

    @cached_property
    def content(self) -> bytes:
        """A PNG of it."""
        file = io.BytesIO()
        write_png(file, self.array)
        return file.getvalue()

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return self.array.nbytes

    def decode(self, part: Part) -> tuple[np.ndarray, FileFacts]:
        """Returns the pixels and their facts, as `Upload.decode` does."""
        return self.array, FileFacts((self.array.shape[1], self.array.shape[0]), None)

    def picture(self, part: Part) -> np.ndarray:
        """Returns the pixels."""
        return self.array


Sent = Upload | Pixels


def printable_name(name: str) -> str:
    """Returns a client's name for a file as one short line."""
    return one_line(name[:_MAX_NAME]) or "image"


def sha256_of(sent: Sent) -> str:
    """Returns the hash of a file as it was sent, or of raw pixels."""
    content = sent.content if isinstance(sent, Upload) else sent.array.tobytes()
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, eq=False)
class Pictures:
    """The image of a verdict, from which its pictures are drawn when somebody asks for them.

    Attributes:
        part: whose image it is.
        sent: the image; `sent.content` is its file, `sent.name` its name.
        anomaly_map: float32 [H, W], raw.
    """

    part: Part
    sent: Sent
    anomaly_map: np.ndarray

    def overlay(self, verdict: Verdict) -> bytes:
        """Draws the image at its own size under its heat, with outlines and a caption, as a PNG."""
        picture, full, above = self._at_own_size(verdict.score)
        caption = Caption(verdict.score, verdict.threshold, verdict.verdict)
        file = io.BytesIO()
        write_png(file, draw_overlay(picture, full, self.part.scale.ends(), above, caption))
        return file.getvalue()

    def thumbnails(self, score: float) -> tuple[bytes, bytes]:
        """Draws two small JPEGs: the image, and the image under its heat with outlines."""
        picture, full, above = self._at_own_size(score)
        plain, heat = make_thumbnails(picture, full, above, self.part.scale.ends())
        return _jpeg(plain), _jpeg(heat)

    def _at_own_size(self, score: float) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        part = self.part
        picture = self.sent.picture(part)
        full = map_on_image(
            self.anomaly_map, part.geometry, picture.shape[:2], part.thresholds.ignore
        )
        return picture, full, judge(self.anomaly_map, full, score, part.thresholds).above


def judged(
    part: Part,
    sent: Sent,
    sha256: str,
    size_wh: tuple[int, int],
    anomaly_map: np.ndarray,
    score: float,
    arrived: str,
    seconds: float,
) -> Verdict:
    """Decides about one scored image; its id is not known yet, and is 0."""
    thresholds, (width, height) = part.thresholds, size_wh
    full = None
    if thresholds.may_have_regions(anomaly_map):
        full = map_on_image(anomaly_map, part.geometry, (height, width), thresholds.ignore)
    found = judge(anomaly_map, full, score, thresholds)
    return Verdict(
        id=0,
        time=arrived,
        part=part.name,
        name=sent.name,
        sha256=sha256,
        width=width,
        height=height,
        score=float(exact(score)),
        threshold=thresholds.image,
        verdict=found.verdict,
        num_regions=found.num_regions,
        regions=found.regions,
        seconds=seconds,
    )


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()
