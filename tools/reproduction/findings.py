"""Plain sentences on what differences say, and the table cells that go with them."""

from collections.abc import Mapping

from reproduction.paired import SIGNIFICANT, Difference, mean_and_deviation
from reproduction.report import signed

METRICS = {"image_auroc": "Image AUROC", "pixel_auroc": "Pixel AUROC", "aupro": "AUPRO"}
PAIRED_HEADER = ["difference", "95 % t interval", "bootstrap", "more / same / less", "p"]
# Of image AUROC, in points (docs/evidence.md).
OF_INTEREST = 0.3
POINTS = "percentage points"


def paired_cells(difference: Difference | None) -> list[str]:
    """The cells of PAIRED_HEADER."""
    if difference is None:
        return [""] * len(PAIRED_HEADER)
    return [
        signed(difference.mean),
        t_interval_in_words(difference),
        interval(difference),
        f"{difference.wins} / {difference.ties} / {difference.losses}",
        f"{difference.p:.2g}",
    ]


def interval(difference: Difference) -> str:
    """The bootstrap interval; one seed has none."""
    if difference.low is None or difference.high is None:
        return "one seed: none"
    return f"{signed(difference.low)} to {signed(difference.high)}"


def t_interval_in_words(difference: Difference) -> str:
    """The t interval; one seed has none."""
    if difference.t_low is None or difference.t_high is None:
        return "one seed: none"
    return f"{signed(difference.t_low)} to {signed(difference.t_high)}"


def registered_verdict(difference: Difference | None) -> str:
    """Says what docs/evidence.md concludes from the difference in image AUROC over the sets."""
    if difference is None or difference.t_low is None or difference.t_high is None:
        return "Registered conclusion: none, since each set needs pairs of two seeds or more."
    low, high = difference.t_low, difference.t_high
    if low > OF_INTEREST:
        said = "L_var helps, by more than the smallest effect of interest"
    elif low > 0:
        said = "L_var helps; whether by as much as the smallest effect of interest is open"
    elif high < -OF_INTEREST:
        said = "L_var harms, by more than the smallest effect of interest"
    elif high < 0:
        said = "L_var harms; whether by as much as the smallest effect of interest is open"
    elif low > -OF_INTEREST and high < OF_INTEREST:
        said = "L_var changes nothing of interest"
    else:
        said = "undecided: an effect of interest is neither shown nor excluded"
    return (
        f"Registered conclusion (image AUROC, RD + L_var less RD: {signed(difference.mean)} "
        f"{POINTS}, 95 % t interval {t_interval_in_words(difference)}; of interest: "
        f"{OF_INTEREST:g}): {said}."
    )


def verdict(
    metric: str,
    first: str,
    second: str,
    difference: Difference | None,
    reference: Mapping[str, Mapping[int, float]],
) -> str:
    """Says in one sentence whether a difference exceeds seed noise.

    Args:
        metric: what is compared, such as "Image AUROC".
        first, second: names of the variants; the difference is second - first.
        difference: of their runs.
        reference: values of `first` by category and seed.
    """
    if difference is None:
        return f"{metric}: there is no pair of runs to compare."
    _, deviation, seeds = mean_and_deviation(reference)
    noise = (
        f"{first} alone varies by {deviation:.2f} over {seeds} seeds (standard deviation)"
        if deviation is not None
        else f"how much {first} varies over seeds is not known from one"
    )
    said = (
        f"{metric}: {second} differs from {first} by {signed(difference.mean)} {POINTS} "
        f"(95 % interval {interval(difference)}; {difference.num_pairs} pairs, of which "
        f"{difference.wins} more, {difference.ties} the same, {difference.losses} less, sign test "
        f"p = {difference.p:.2g}), while {noise}"
    )
    return f"{said}: {_judgement(difference)}"


def _judgement(difference: Difference) -> str:
    if difference.exceeds_noise:
        which = "gain" if difference.mean > 0 else "loss"
        return f"the {which} exceeds seed noise."
    if difference.smallest_p > SIGNIFICANT:
        return (
            f"no more than seed noise is shown, and could not be: of {difference.num_pairs} "
            f"pairs the sign test gives p = {difference.smallest_p:.2g} at best."
        )
    return "this does not exceed seed noise."
