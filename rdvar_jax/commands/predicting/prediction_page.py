"""`index.html` of a prediction, from its rows and pictures."""

from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.commands.predicting.image_writer import (
    HEAT,
    HEAT_MAPS,
    OVERLAYS,
    PLAIN,
    THUMBNAILS,
    Outputs,
)
from rdvar_jax.commands.predicting.scorer import Scorer
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.files.replacing import write_text
from rdvar_jax.report.page.prediction import Shown, render_prediction
from rdvar_jax.report.prediction_files import ImageResult

PAGE = "index.html"


def write_page(
    output: Path,
    scorer: Scorer,
    wanted: Outputs,
    rows: Sequence[tuple[InputImage, ImageResult]],
    skipped: Sequence[tuple[str, str]],
) -> None:
    """Writes the page of all images.

    Args:
        output: the folder of the results; the page refers to pictures in it.
        scorer: that scored the images.
        wanted: the pictures that there are.
        rows: each image with its result.
        skipped: name and reason of each image that could not be read.

    Raises:
        OSError: the page cannot be written.
    """
    full = OVERLAYS if wanted.overlays else HEAT_MAPS if wanted.heat_maps else None
    shown = [
        Shown(
            result,
            heat=f"{THUMBNAILS}/{HEAT}/{image.result_name('.jpg')}",
            plain=f"{THUMBNAILS}/{PLAIN}/{image.result_name('.jpg')}",
            full=None if full is None else f"{full}/{image.result_name('.png')}",
        )
        for image, result in rows
    ]
    threshold = scorer.thresholds.image
    page = render_prediction(
        shown, skipped, scorer.title, output.name, threshold, scorer.threshold_words
    )
    write_text(output / PAGE, page)
