"""Diagnoses of an image set: errors, remarks and duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rdvar_jax.data.loading.mask_survey import MaskChoice
from rdvar_jax.data.loading.scan import ImageStats
from rdvar_jax.data.loading.skipping import leave_out
from rdvar_jax.data.pixels.decode import check_one_size
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.mask_rule import MaskThreshold
from rdvar_jax.data.sets.records import UNLABELLED, ImageRecord
from rdvar_jax.errors import DataError

SPLITS = ("train", "validation", "test")
MAX_NAMES = 10


def problems_of(
    facts: dict[str, list[ImageStats]], geometry: Geometry, on_error: str, allow_mixed_sizes: bool
) -> list[str]:
    """Returns a sentence for each problem that makes training or evaluation refuse the set.

    Args:
        facts: per split.
        geometry: how images are resized.
        on_error: "fail" or "skip".
        allow_mixed_sizes: files may differ in width and height.
    """
    problems = []
    for split, found in facts.items():
        bad = {i: one.problem for i, one in enumerate(found) if one.problem is not None}
        if on_error == "fail":
            problems += bad.values()
        else:
            failures = {index: DataError(problem) for index, problem in bad.items()}
            problems += _raised(leave_out, [one.record for one in found], failures, split)
        read = [one for one in found if one.size_wh is not None]
        if not allow_mixed_sizes:
            sizes = [one.size_wh for one in read]
            problems += _raised(check_one_size, [one.record for one in read], sizes, geometry)
    return problems


def remarks_of(facts: dict[str, list[ImageStats]], on_error: str, choice: MaskChoice) -> list[str]:
    """Returns a sentence for each oddity that is allowed but that the user should know."""
    everything = [one for found in facts.values() for one in found]
    remarks = []
    if on_error == "skip":
        remarks += [f"left out: {one.problem}" for one in everything if one.problem is not None]
    remarks += [
        f"The mask of {one.record.path} is empty once it is resized: the image counts as "
        "defective, but none of its pixels does."
        for one in everything
        if one.has_empty_mask and choice.problem is None
    ]
    if choice.remark is not None:
        remarks.append(choice.remark)
    return remarks + _turned_apart(everything) + _inverted(everything) + _missing(facts)


def mask_problems(choice: MaskChoice) -> list[str]:
    """Returns the sentence about masks that all are empty, if they are."""
    return [] if choice.problem is None else [f"{choice.problem[0].upper()}{choice.problem[1:]}."]


def mask_lines(
    facts: dict[str, list[ImageStats]], choice: MaskChoice, setting: MaskThreshold
) -> list[str]:
    """Returns lines on the masks' values, and on how many pixels they mark."""
    masked = [one for found in facts.values() for one in found if one.marked is not None]
    if not masked:
        return []
    named = {"half": "more than half of white", "any": "any but 0"}
    rule = named.get(str(choice.threshold), f"{choice.threshold} or more")
    lines = []
    if choice.values:
        lines = [f"values      {choice.values}; defective: {rule} (data.mask_threshold={setting})"]
    areas = sorted((one.marked or 0, one.record.name) for one in masked if one.marked)
    total = sum(one.size_wh[0] * one.size_wh[1] for one in masked if one.size_wh is not None)
    share = f"{100 * sum(area for area, _ in areas) / total:.2g}% of the pixels of their images"
    if areas:
        (least, smallest), (most, largest) = areas[0], areas[-1]
        share += f"; smallest {least} pixels ({smallest}), largest {most} pixels ({largest})"
    return [*lines, f"marked      {share}"]


def duplicates(
    facts: dict[str, list[ImageStats]],
) -> dict[tuple[str, str], list[list[ImageRecord]]]:
    """Groups images with the same pixels, by the first two splits that hold one of them."""
    groups: dict[bytes, list[tuple[str, ImageRecord]]] = defaultdict(list)
    for split, found in facts.items():
        for one in found:
            if one.digest:
                groups[one.digest].append((split, one.record))
    found_in: dict[tuple[str, str], list[list[ImageRecord]]] = defaultdict(list)
    for group in groups.values():
        if len(group) > 1:
            splits = sorted({split for split, _ in group}, key=SPLITS.index)
            found_in[splits[0], splits[min(1, len(splits) - 1)]].append([r for _, r in group])
    return dict(found_in)


def kinds(found: Sequence[ImageStats]) -> list[tuple[str, list[ImageStats]]]:
    """Groups images by kind of defect, good ones first."""
    by_kind: dict[str, list[ImageStats]] = defaultdict(list)
    for one in found:
        by_kind[one.record.defect].append(one)
    return sorted(by_kind.items(), key=lambda item: (item[1][0].record.label > 0, item[0]))


def counted(values: Iterable[str]) -> str:
    """Counts values, most frequent first: "RGB 300, grey 20"."""
    numbers = Counter(values).most_common()
    return ", ".join(f"{value} {number}" for value, number in numbers)


def _turned_apart(everything: Sequence[ImageStats]) -> list[str]:
    found = [(one, *one.turned_apart) for one in everything if one.turned_apart is not None]
    if not found:
        return []
    one, image, mask = found[0]
    return [
        f"The EXIF orientation of {len(found)} of the images differs from that of the mask, such "
        f"as of {one.record.path} (orientation {image}, of the mask {mask}; 1 is upright), and "
        "the sizes do not show whether the masks are turned; look at them with --output, and if "
        "they are, set data.mask_orientation=image."
    ]


def _inverted(everything: Sequence[ImageStats]) -> list[str]:
    names = [
        one.record.name
        for one in everything
        if one.marked and one.size_wh and 2 * one.marked > one.size_wh[0] * one.size_wh[1]
    ]
    if not names:
        return []
    shown = ", ".join(names[:MAX_NAMES]) + (", ..." if len(names) > MAX_NAMES else "")
    return [
        f"{len(names)} masks mark more than half of their image ({shown}); invert them if the "
        "defects are black in them."
    ]


def _missing(facts: dict[str, list[ImageStats]]) -> list[str]:
    """Returns a sentence for what the test images leave undefined, so that it is not measured."""
    records = [one.record for one in facts.get("test", [])]
    labels = {record.label for record in records}
    if not records:
        return ["There are no test images: the set can be trained on but not evaluated."]
    if UNLABELLED in labels:
        return ["The test images have no labels: they get scores and no metrics."]
    if 1 not in labels:
        return ["There is no defective test image: scores and a threshold, but no AUROC."]
    remarks = []
    if 0 not in labels:
        remarks.append("There is no good test image: no image AUROC.")
    if not any(record.mask_path for record in records):
        remarks.append("There are no masks: image metrics only, no pixel metrics.")
    return remarks


def _raised(check, *arguments) -> list[str]:
    try:
        check(*arguments)
    except DataError as error:
        return [str(error)]
    return []
