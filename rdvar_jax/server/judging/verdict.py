"""Verdict of one image that the server was sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdvar_jax.report.prediction_files import exact


@dataclass(frozen=True)
class Verdict:
    """What was found in one image, and when.

    Attributes:
        id: rises with each verdict; never given twice by one log, nor by one process without one.
        time: when the image had arrived, UTC, such as "2026-11-28T15:04:05.678Z".
        part: name of the model.
        name: of the file, as the client calls it; printable.
        sha256: of the file as it was sent, in hex.
        width, height: of the upright image, in pixels.
        score: raw, a float32 value.
        threshold: of the image's score, or None.
        verdict: "good" or "defective"; None without a threshold.
        num_regions: number of all regions; None without a threshold of pixels.
        regions: `box` [x0, y0, x1, y1], `area` and `score` of the highest ones, as in
          `scores.jsonl`.
        seconds: from the whole image until the verdict.
    """

    id: int
    time: str
    part: str
    name: str
    sha256: str
    width: int
    height: int
    score: float
    threshold: float | None
    verdict: str | None
    num_regions: int | None
    regions: Sequence[dict[str, Any]] | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Returns the fields as JSON has them; scores with the digits that tell float32 apart."""
        return {
            "id": self.id,
            "time": self.time,
            "part": self.part,
            "name": self.name,
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "score": float(exact(self.score)),
            "threshold": None if self.threshold is None else float(exact(self.threshold)),
            "verdict": self.verdict,
            "num_regions": self.num_regions,
            "regions": None if self.regions is None else list(self.regions),
            "seconds": round(self.seconds, 6),
        }
