"""The result as Markdown: a line for each row, and the ratios that were asked for."""

from typing import Any

from benchmark_rows.tables import number, percent, table

from gpu.layers import table_of
from gpu.outcome import Row
from gpu.timed import FAST, USUAL

# Of a step, of the plan's batch: names, and rows by how their names begin, with their precision.
STEP_RATIOS = {
    "RD4AD as published / here": (("torch train+published", USUAL), ("jax train+cache", FAST)),
    "PyTorch tuned / here": (("torch train+tuned", FAST), ("jax train", FAST)),
    "PyTorch tuned / here, features kept": (
        ("torch train+tuned", FAST),
        ("jax train+cache", FAST),
    ),
    "PyTorch compiled / here, features kept": (
        ("torch train+inductor", FAST),
        ("jax train+cache", FAST),
    ),
    "4 calls / 4 steps in one call": (
        ("jax train+cache+4_alone", FAST),
        ("jax train+cache+4_a_call", FAST),
    ),
    "16 calls / 16 steps in one call": (
        ("jax train+cache+16_alone", FAST),
        ("jax train+cache+16_a_call", FAST),
    ),
    "shard_map / pmap": (("jax train+cache+shard_map", FAST), ("jax train+cache", FAST)),
}


def markdown(report: dict[str, Any]) -> str:
    """Formats the rows of all branches."""
    device = report["device"]
    parts = [
        f"{report['status']}. {device.get('kind', '')} ({device.get('nvidia_smi', 'no GPU')}), "
        f"{report['machine']['processor']}, {', '.join(report['machine']['vector_units'])}; "
        f"{report['plan']['arch']}, {report['plan']['image_size']} px, stem width "
        f"{report['plan']['stem_width']}; commit {report['commit']}; "
        f"{report['seconds']:.0f} s in all."
    ]
    rows_of_all = [row for rows in report["branches"].values() for row in rows]
    ratios = ratios_of(rows_of_all, report["plan"]["batch"])
    if ratios:
        lines = [[name, f"{value:.2f}"] for name, value in ratios.items()]
        parts.append(table(["Seconds over seconds an image", "ratio"], lines))
    for branch, rows in report["branches"].items():
        lines = [_cells(row) for row in rows]
        header = [branch, "ms, median", "ms, min", "images/s", "GFLOP/s", "of the peak", ""]
        parts.append(table(header, lines))
        parts += [table_of(row) for row in rows if "layers" in row]
    if report["not_begun"]:
        parts.append(f"Not begun, no time: {', '.join(report['not_begun'])}.")
    return "\n\n".join(parts) + "\n"


def ratios_of(rows: list[Row], batch: int) -> dict[str, float]:
    """Ratios of seconds an image, of rows that were both measured.

    Args:
        rows: of all branches.
        batch: of a step.
    """

    def seconds(start: str, precision: str, batch: int) -> float | None:
        for row in rows:
            if row["row"] == f"{start}, batch {batch}, {precision}" and "images_per_second" in row:
                return 1 / row["images_per_second"]
        return None

    found = {
        name: (seconds(*first, batch), seconds(*second, batch))
        for name, (first, second) in STEP_RATIOS.items()
    }
    scored = sorted({row["batch"] for row in rows if row.get("kind") == "score"})
    for images in scored:
        pair = (seconds("torch score", FAST, images), seconds("jax score", FAST, images))
        found[f"PyTorch / here, scoring {images}"] = pair
    return {name: a / b for name, (a, b) in found.items() if a is not None and b is not None}


def add_shares(branches: dict[str, list[Row]]) -> None:
    """Adds to each row its GFLOP/s and their share of the matrix peak in its precision."""
    measured = branches.get("peaks", [])
    peaks = {
        row["precision"]: row["peak_gflop_per_second"]
        for row in measured
        if "peak_gflop_per_second" in row
    }
    gflop: dict[str, float] = {}
    for row in measured:
        gflop |= row.get("gflop_an_image", {})
    for row in (row for rows in branches.values() for row in rows):
        if row.get("kind") in gflop and row.get("images_per_second"):
            row["gflop_per_second"] = gflop[row["kind"]] * row["images_per_second"]
            if row["precision"] in peaks:
                row["share_of_peak"] = row["gflop_per_second"] / peaks[row["precision"]]


def _cells(row: Row) -> list[str]:
    if "left_out" in row:
        return [row["row"], "", "", "", "", "", f"left out: {row['left_out']}"]
    if "failed" in row:
        return [row["row"], "", "", "", "", "", f"FAILED: {row['failed'].splitlines()[-1]}"]
    note = ""
    if "error" in row:
        note = f"{row['error']:.1e} from float64, allowed {row['bound']:g}"
    elif "metrics" in row:
        metrics = ", ".join(f"{name} {number(value)}" for name, value in row["metrics"].items())
        times = ", ".join(f"{name} {value:.0f} s" for name, value in row["seconds"].items())
        note = f"{row['epochs']} of {row['of_epochs']} epochs; {times}; {metrics}"
    elif "ratios" in row:
        note = ", ".join(f"{name} {value:.3f}" for name, value in row["ratios"].items())
    times = [number(1e3 * row[key]) for key in ("seconds_median", "seconds_min") if key in row]
    speed = row.get("gflop_per_second", row.get("peak_gflop_per_second"))
    return [
        row["row"],
        *(times or ["", ""]),
        number(row.get("images_per_second")),
        number(speed),
        percent(row.get("share_of_peak")),
        note,
    ]
