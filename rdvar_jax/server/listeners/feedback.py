"""Images that somebody labelled on the page, kept for the next training.

    FOLDER/PART/good/20261128T150405678Z-12-a.png
    FOLDER/PART/defective/...

`rdvar train --from_feedback FOLDER/PART` trains on them too.
"""

import io
import re
import threading
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from rdvar_jax.files.replacing import replacing
from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.server.listeners.recent import RecentVerdict

_SUFFIXES = {"AVIF": ".avif", "BMP": ".bmp", "HEIF": ".heic", "JPEG": ".jpg", "PNG": ".png"}
_SUFFIXES |= {"TIFF": ".tif", "WEBP": ".webp"}
_MAX_NAME = 80  # characters


class Feedback:
    """Keeps images with labels in a folder; all methods may be called by any thread.

    Args:
        folder: created with the first image.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._kept: dict[int, tuple[str, Path]] = {}  # label and file by id
        self._lock = threading.Lock()

    def labels(self) -> dict[int, str]:
        """Returns the labels since the start, by id."""
        with self._lock:
            return {id: label for id, (label, _) in self._kept.items()}

    def keep(self, found: RecentVerdict, label: str | None) -> Path | None:
        """Keeps the image of a verdict under a label, instead of any other; None removes it.

        Returns:
            The file, or None.

        Raises:
            OSError: it cannot be written.
        """
        verdict, pictures = found.verdict, found.pictures
        with self._lock:
            before = self._kept.get(verdict.id)
            path = None
            if label is not None:
                assert pictures is not None
                content = pictures.sent.content
                folder = self._folder / _printable(verdict.part) / label
                path = folder / _file_name(verdict, content)
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_bytes(content)
                self._kept[verdict.id] = label, path
            # Only once the new one is there, so that the image is never lost.
            if before is not None and before[1] != path:
                before[1].unlink(missing_ok=True)
                if label is None:
                    del self._kept[verdict.id]
            return path


def _file_name(verdict: Verdict, content: bytes) -> str:
    """Returns a name that no other image has, with the suffix of its content."""
    time = re.sub(r"[-:.]", "", verdict.time)
    given = Path(verdict.name.replace("\\", "/")).name
    try:
        with Image.open(io.BytesIO(content)) as image:
            suffix = _SUFFIXES.get(image.format or "")
    except UnidentifiedImageError:
        suffix = None  # read by a plug-in that is not Pillow's
    stem, own = (given.rsplit(".", 1) + [""])[:2] if "." in given else (given, "")
    suffix = suffix or f".{own}"
    return f"{time}-{verdict.id}-{_printable(stem)}{suffix}"


def _printable(name: str) -> str:
    """Returns a name that every file system takes: letters, digits, dots, - and _."""
    return re.sub(r"[^\w.-]", "_", name)[:_MAX_NAME].strip(".") or "image"
