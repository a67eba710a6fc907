"""`rdvar predict`: scores, verdicts and pictures of any images."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdvar_jax.commands.predicting.image_writer import PICTURES, ImageWriter, Outputs
from rdvar_jax.commands.predicting.output_part import (
    Part,
    locked_output,
    name_key,
    numbered_output,
    whole_or_nothing,
)
from rdvar_jax.commands.predicting.prediction_checks import (
    Counts,
    check_output,
    check_thresholds,
    say,
    writing,
)
from rdvar_jax.commands.predicting.prediction_page import PAGE, write_page
from rdvar_jax.commands.predicting.scorer import Load, Scorer
from rdvar_jax.data.loading.ahead import ahead
from rdvar_jax.data.loading.progress import progress_bar
from rdvar_jax.data.pixels.kept_pictures import MAX_BYTES, KeptPictures
from rdvar_jax.data.sets.inputs import (
    InputImage,
    check_result_names,
    decode_batches,
    find_inputs,
    literal_folder,
)
from rdvar_jax.errors import DataError
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.report.prediction_files import SKIPPED, ImageResult, add_skipped, new_scores
from rdvar_jax.report.scale import RunningScale
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.serving.judgement import NO_THRESHOLDS, Thresholds

logger = logging.getLogger("rdvar_jax")

ORIGIN = "prediction.json"  # in the output: the state and the settings that made it
NAMELESS = "images"  # output of inputs without a name, such as /
_MAX_NAME_BYTES = 200  # of an output's name that is not given
_MAX_SCORED_BYTES = 1 << 28  # of images and maps kept from the pass for the colour scale

# The images of a batch with their pixels [B, H, W, 3], maps [B, H, W] and scores [B].
Scored = tuple[Sequence[InputImage], np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class NewFolder:
    """An output that is not given: `name` in `folder`, with -2, -3, ... where it is taken."""

    folder: Path
    name: str


def predict(
    load: Load,
    inputs: Sequence[Path],
    output: Path | NewFolder,
    *,
    thresholds: Thresholds = NO_THRESHOLDS,
    wanted: Outputs = PICTURES,
    need_verdicts: bool = False,
    on_error: str = "fail",
) -> tuple[Counts, Path]:
    """Scores images with a run's state, as `evaluate` does, or with a bundle; writes the results.

    While a batch is scored, the next one is read and the files of the one before are written; of
    all others only paths and rows stay in memory.
    The output is all or nothing: after an error, Ctrl-C or SIGTERM everything written is removed
    again, and after a kill by the next call.

    Args:
        load: of `run_scorer` or `bundle_scorer`; called once the inputs are found.
        inputs: image files, and folders that are searched at any depth.
        output: a folder that is new, empty, or holds a part that a killed call left. It gets
          `scores.csv` and `scores.jsonl`, one folder for each kind of file, laid out like the
          inputs, `prediction.json`, which names the state, and `index.html` where wanted.
        thresholds: explicit thresholds; the others are those of run or bundle.
        wanted: files to write for each image. Without a colour scale of the run they have that of
          all maps of this call; those over 256 MiB are then computed twice.
        need_verdicts: refuse to score without a threshold.
        on_error: "fail" ends at the first image that cannot be read. "skip" lists such images with
          the reason in `skipped.csv`, and fails only if no image is left. Those of a format that
          nothing installed reads are always listed there.

    Returns:
        The numbers of images scored, defective and skipped, and the output.

    Raises:
        UserError: the run or bundle, an input or the output cannot be used.
    """
    thresholds.check()
    unread: dict[str, str] = {}
    images = find_inputs(inputs, unread)
    check_result_names(images)
    is_new = isinstance(output, NewFolder)
    named = output.folder / output.name if is_new else output
    check_output(named, inputs, images)
    with ExitStack() as stack:
        with writing(named):
            if is_new:
                named = stack.enter_context(numbered_output(output.folder, output.name))
            else:
                stack.enter_context(locked_output(named))
            part = stack.enter_context(whole_or_nothing(named))
        check_result_names(images, name_key(named))
        scorer = load(thresholds)
        check_thresholds(scorer.thresholds, wanted, need_verdicts)
        call = _Call(scorer, images, unread, on_error == "skip")
        scale = scorer.scale
        if wanted.colored and scale is None:
            scale = call.count_scale()
        with writing(named):
            counts = _write(call, named, wanted, scale, part)
    say(scorer.remarks)
    if counts.num_skipped:
        logger.warning(
            "%d of %d images cannot be read and were skipped; %s has the reasons",
            counts.num_skipped,
            len(images) + len(unread),
            named / SKIPPED,
        )
    return counts, named


def default_name(inputs: Sequence[Path]) -> str:
    """Returns the name of an output that is not given: that of the first input.

    It is the folder's name, the file's without its suffix, or that of a pattern's folder.
    """
    first = inputs[0]
    if not first.exists():
        first = literal_folder(first)[0]
    path = Path(os.path.abspath(first))
    name = (path.name if path.is_dir() else path.stem).lstrip(".") or NAMELESS
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = os.fsencode(name)[:_MAX_NAME_BYTES].decode(errors="ignore")
    return name


class _Call:
    """The images of a call, scored batch by batch, and those skipped with the reason.

    Args:
        scorer: that scores them.
        images: to be scored.
        unread: reasons by the names of others, for which there is no reader.
        may_skip: whether images that cannot be read are skipped too.
    """

    def __init__(
        self,
        scorer: Scorer,
        images: Sequence[InputImage],
        unread: Mapping[str, str],
        may_skip: bool,
    ):
        self.scorer, self._skipped = scorer, dict[InputImage, str]()
        self._images, self._unread, self._may_skip = images, unread, may_skip
        self._again, self._next = list[Scored](), 0  # results of the images before that index

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Name and reason of each image that has no score."""
        return [
            *self._unread.items(),
            *((image.name, reason) for image, reason in self._skipped.items()),
        ]

    def scored(self, description: str, kept: KeptPictures | None = None) -> Iterator[Scored]:
        scorer = self.scorer
        with progress_bar(len(self._images), description, "img") as done:
            for again in self._again:
                yield again
                done(len(again[0]))

            def skip(image: InputImage, reason: str) -> None:
                self._skipped[image] = reason
                done(1)

            for batch, pixels in decode_batches(
                self._images[self._next :],
                scorer.geometry,
                scorer.batch_size,
                skip if self._may_skip else None,
                scorer.remarks,
                kept,
            ):
                maps, scores = scorer.score(pixels)
                refuse_not_finite([image.name for image in batch], scores)
                yield batch, pixels, maps, scores
                done(len(batch))
        if len(self._skipped) == len(self._images):
            raise DataError(f"No image can be read; the first: {self._skipped[self._images[0]]}")

    def count_scale(self) -> tuple[float, float]:
        """Computes the colour scale from the images themselves.

        The first results are kept for `scored`, as far as memory allows.
        """
        logger.info("the colour scale comes from the images, which are all scored first for that")
        running, free = RunningScale(), _MAX_SCORED_BYTES
        batch_size = 1 if self.scorer.geometry.is_tiled else self.scorer.batch_size
        again = list[Scored]()
        for scored in self.scored("colour scale"):
            batch, pixels, maps, _ = scored
            running.add(self.scorer.counted(maps))
            free -= pixels.nbytes + maps.nbytes
            if free >= 0:
                again.append(scored)
                # Whole batches: an image's score depends on its batch, in its last bits.
                last = self._images.index(batch[-1], self._next)
                self._next = (last // batch_size + 1) * batch_size
        self._again = again
        return running.scale()


def _write(
    call: _Call, output: Path, wanted: Outputs, scale: tuple[float, float] | None, part: Part
) -> Counts:
    scorer = call.scorer
    # Tiled images are scored at their own size.
    draws = wanted.at_own_size and not scorer.geometry.is_tiled
    kept = KeptPictures(MAX_BYTES if draws else 0)
    writer = ImageWriter(output, scorer.geometry, scorer.thresholds, wanted, scale, part.note, kept)
    counts, rows = Counts(), list[tuple[InputImage, ImageResult]]()
    scored = (
        each
        for batch, *arrays in call.scored("predicting", kept)
        for each in zip(batch, *arrays, strict=True)
    )

    def write(each: tuple) -> tuple[InputImage, ImageResult]:
        return each[0], writer.write(*each)

    # Ahead, because drawing and compressing a picture takes longer than scoring it.
    with new_scores(output) as lines, ahead(write, scored, scorer.batch_size) as results:
        for image, row in results:
            lines.add(row)
            counts.add(row.verdict)
            if wanted.page:
                rows.append((image, row))
    for name, reason in call.skipped:
        add_skipped(output, name, reason)
    counts.num_skipped = len(call.skipped)
    used = scorer.thresholds
    limits = {"image": used.image, "pixel": used.pixel, "min_area": used.min_area}
    part.note(output / ORIGIN)
    write_sealed(output / ORIGIN, {**scorer.about, "thresholds": limits, "color_scale": scale})
    if wanted.page:
        part.note(output / PAGE)
        write_page(output, scorer, wanted, rows, call.skipped)
    return counts
