"""Explanations of a stored threshold, in plain words: origin, promise, and what tests add."""

from collections.abc import Mapping
from typing import Any

from rdvar_jax.report.page.verdicts import Verdicts

CONFIDENCE = 0.95  # of the range in which an observed share leaves the true one


def origin(stored: Mapping[str, Any]) -> str:
    """Says which images the threshold in `threshold.json` was chosen from."""
    number, split = stored["num_images"], stored["split"]
    images = _images(number, "good image" if split in ("input", "validation") else "training image")
    what = {
        "input": f"{images} that {_was(number)} not trained on",
        "validation": f"{images} kept from training",
        "train": images,
        "folds": f"{images}, each scored by a network that was not trained on it",
    }.get(split, f"{_images(number, 'image')} ({split})")
    words = f"It was chosen from the scores of {what}"
    if split == "folds":
        words += fold_words(stored.get("folds"))
    above = stored.get("num_above")
    if above is not None:
        words += f"; {above} of them {'is' if above == 1 else 'are'} above it"
    words += "."
    if split == "train":
        words += (
            " The network knows these images and scores them lower than new ones, so more of the "
            "new good images will be above it."
        )
    return words


def fold_words(folds: Mapping[str, Any] | None) -> str:
    """Says how many folds there were and how their scores were corrected, in parentheses."""
    shifts = (folds or {}).get("shifts")
    if not folds or not shifts:
        return ""
    words = (
        f"in {len(shifts)} folds; {min(shifts):+.3g} to {max(shifts):+.3g} was added to their "
        "scores, for the final network's scale"
    )
    if (factor := folds.get("factor", 1)) < 1:
        words += (
            f", and their excess over its own scores multiplied by {factor:.2g}, because it has "
            "seen more images"
        )
    return f" ({words})"


def promise(stored: Mapping[str, Any]) -> list[str]:
    """Says what the threshold promises for new good images, and what a method is."""
    method, words = stored.get("method"), []
    if method == "cost":
        cost = stored.get("cost_missed")
        words.append(
            "It was chosen with labels, so that missed defects and false alarms cost the least "
            "together"
            + ("." if cost is None else f", one missed defect counting as {cost:g} false alarms.")
            + " On the images that it was chosen from it looks better than it will on new ones."
        )
    if method == "quantile" and stored.get("quantile") is not None:
        words.append(f"{_percent(stored['quantile'])} of these scores are not above it.")
    if method == "gpd":
        words.append(
            "The highest scores were extrapolated: an estimate for rare alarms, without guarantee."
        )
    if (mean := stored.get("mean_rate")) is not None:
        words.append(f"On average {_percent(mean)} of new good images are above it.")
        if stored.get("rate_low") is not None and stored.get("rate_high") is not None:
            low, high = _percent(stored["rate_low"]), _percent(stored["rate_high"])
            words.append(
                f"That depends on which good images it was chosen from: in 9 of 10 such choices "
                f"the share is between {low} and {high}."
            )
    bound = stored.get("fpr_bound")
    if bound is not None:
        confidence = stored["confidence"]
        words.append(
            f"At most {_percent(bound)} of new good images will be called defective, with "
            f"confidence {_percent(confidence)}: of 100 thresholds chosen like this one, each from "
            f"other good images, about {100 * confidence:.3g} keep that limit."
        )
    elif mean is None:
        words.append("No share of false alarms is guaranteed for new good images.")
    return words


def observed(stored: Mapping[str, Any], verdicts: Verdicts, good_images: Any = None) -> str | None:
    """Compares the share of false alarms among the good test images with the promise.

    Args:
        stored: from `threshold.json`.
        verdicts: of the threshold on the test images.
        good_images: of `results.json`; None if they are test images of their own.

    Returns:
        None without good test images, or where nothing is promised.
    """
    number, false = verdicts.num_good, verdicts.num_false
    mean = stored.get("mean_rate")
    rate = stored.get("fpr_bound") if mean is None else mean
    if not number or rate is None:
        return None
    promised = f"The {_percent(rate)} above are about all new good images"
    if good_images and stored["split"] == "folds":
        return f"{promised}; the counts on this page are of the images that it was chosen from."
    low, high = share_range(false, number)
    seen = f"{false} of {number} on this page ({_percent(false / number)})"
    words = (
        f"{promised}. The {seen} {'is' if false == 1 else 'are'} what a sample of {number} showed; "
        f"the share among all may be anywhere between {_percent(low, 2)} and {_percent(high, 2)}"
    )
    limit = rate if mean is None else (stored.get("rate_high") or rate)
    if low <= limit:
        return f"{words}, and the two do not contradict each other."
    return (
        f"{words}, which is more than promised. So these images differ from the ones that it was "
        "chosen from, perhaps in light, camera or part: choose a threshold from images like these."
    )


def share_range(number: int, total: int) -> tuple[float, float]:
    """Returns Clopper and Pearson's range of a true share of which `number` of `total` were seen.

    The true share is outside of it in at most 5 % of all such samples.
    """
    from scipy.special import betaincinv

    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if number == 0 else float(betaincinv(number, total - number + 1, tail))
    high = 1.0 if number == total else float(betaincinv(number + 1, total - number, 1 - tail))
    return low, high


def good_images_words(good_images: Mapping[str, Any] | None) -> str | None:
    """Explains good images of an evaluation that are no test images of their own."""
    if not good_images or good_images.get("kind") != "folds":
        return None
    return (
        "The good images are the training photographs, each scored by a network that was not "
        f"trained on it{fold_words(good_images)}."
    )


def _percent(share: float, digits: int = 3) -> str:
    return f"{100 * share:.{digits}g} %"


def _images(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
