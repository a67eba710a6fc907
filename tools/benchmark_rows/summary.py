"""From single times to medians, spreads and ratios, as plain dictionaries for the JSON file."""

import statistics
from collections.abc import Sequence
from typing import Any

# A ratio of two rows, in each of these.
RATIO_KEYS = ("seconds_median", "seconds_min", "cpu_seconds_min")


def summarise(calls: Sequence[dict[str, float]], about: dict[str, Any]) -> dict[str, Any]:
    """Summarises a row: `calls` from `Process.time_once`, `about` with the images of a call."""
    seconds = [call["seconds"] for call in calls]
    median = statistics.median(seconds)
    return {
        **about,
        "seconds_median": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "cpu_seconds_median": statistics.median(call["cpu_seconds"] for call in calls),
        "cpu_seconds_min": min(call["cpu_seconds"] for call in calls),
        "images_per_second": about["images"] / median if about.get("images") else None,
        "peak_gb": max(call["peak_gb"] for call in calls),
        "others_cores": max(call["others_cores"] for call in calls),
        "calls": list(calls),
    }


def compare(
    rows: dict[str, dict[str, Any]], pairs: Sequence[tuple[str, str]], max_others: float
) -> dict[str, Any]:
    """{"rows", "disturbed", "ratios", "efficiency"}.

    The last two are None where other processes disturbed a call, since they would be worth nothing,
    and where there is nothing to compare with.

    Args:
        rows: by name, from `summarise`; call i of each is of the same round.
        pairs: of rows, for the ratio of the first over the second.
        max_others: cores that others may have taken during a call.
    """
    disturbed = any(row["others_cores"] > max_others for row in rows.values())
    result = {"rows": rows, "disturbed": disturbed, "ratios": None, "efficiency": None}
    if disturbed:
        return result
    if pairs:
        result["ratios"] = {
            f"{first} / {second}": _ratio(rows[first], rows[second]) for first, second in pairs
        }
    result["efficiency"] = _efficiency(rows) or None
    return result


def _ratio(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    rounds = [
        a["seconds"] / b["seconds"] for a, b in zip(first["calls"], second["calls"], strict=True)
    ]
    return {
        **{key: first[key] / second[key] for key in RATIO_KEYS},
        "by_round": {
            "median": statistics.median(rounds),
            "min": min(rounds),
            "max": max(rounds),
        },
    }


def _efficiency(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Scaling of the rows on D > 1 devices, against the one on a single device.

    Strong scaling, the same batch: t1 / (D tD). Weak scaling, the same batch a device: t1 / tD.
    """
    single = [row for row in rows.values() if row.get("devices") == 1]
    result = {}
    for name, row in rows.items():
        devices = row.get("devices", 1)
        if devices == 1 or not single:
            continue
        speed_up = single[0]["seconds_median"] / row["seconds_median"]
        strong = row["images"] == single[0]["images"]
        kind, value = ("strong", speed_up / devices) if strong else ("weak", speed_up)
        result[name] = {"scaling": kind, "efficiency": value}
    return result


def add_arithmetic(
    result: dict[str, Any], gflop_an_image: dict[str, float], peaks: Sequence[float]
) -> None:
    """Adds GFLOP/s to the rows of a group that have a kind, and their share of the peak.

    The share is left out where the group was disturbed.

    Args:
        result: a group, from `compare`; changed.
        gflop_an_image: by kind.
        peaks: GFLOP/s of a large matrix product, before, between and after the rounds.
    """
    for row in result["rows"].values():
        if row.get("kind") not in gflop_an_image:
            continue
        row["gflop_per_second"] = gflop_an_image[row["kind"]] * row["images_per_second"]
        share = row["gflop_per_second"] / max(peaks)
        row["share_of_peak"] = None if result["disturbed"] else share
    result["matrix_peak_gflop_per_second"] = list(peaks)
