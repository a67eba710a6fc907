"""The report as Markdown and as a picture."""

from pathlib import Path
from typing import Any

from benchmark_rows.sizes import sizes_markdown
from benchmark_rows.tables import number, percent, table


def markdown(report: dict[str, Any]) -> str:
    """Formats all measurements as tables, cell by cell."""
    machine = report["machine"]
    parts = [
        f"Stem width {report['stem_width']}, {report['precision']}, {report['rounds']} rounds; "
        f"{machine['processor']}, {machine['cores']} cores, {', '.join(machine['vector_units'])}; "
        f"devices: {', '.join(report['devices']) or 'none'}; "
        f"no ratio where others took more than {report['max_others_cores']:g} cores. "
        f"Commit {report['commit']}.",
        sizes_markdown(report["cells"]),
        *(cell_markdown(cell) for cell in report["cells"] if cell["groups"]),
        sizes_table(report["installed"]),
    ]
    if report["left_out"]:
        names = [f"{one['group']} of {cell_name(one)}" for one in report["left_out"]]
        parts.append(f"Left out, no time: {', '.join(names)}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def cell_markdown(cell: dict[str, Any]) -> str:
    """Formats the groups of one backbone and image size."""
    groups = cell["groups"]
    parts = [
        f"## {cell_name(cell)}",
        times_table(groups),
        ratios_table(groups),
        *(
            facts_list(name, group)
            for name, group in groups.items()
            if group.get("facts") or group["efficiency"] or group.get("left_out")
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def cell_name(cell: dict[str, Any]) -> str:
    return f"{cell['arch']}, {cell['image_size']} px"


def times_table(groups: dict[str, Any]) -> str:
    """One line for each row of each group."""
    header = ["Group", "Row", "median s", "min s", "max s", "CPU s, min", "images/s", "GFLOP/s"]
    header += ["of the peak", "peak GB", "others"]
    lines = [
        [
            group,
            name,
            *(
                number(row[key])
                for key in ("seconds_median", "seconds_min", "seconds_max", "cpu_seconds_min")
            ),
            number(row["images_per_second"]),
            number(row.get("gflop_per_second")),
            percent(row.get("share_of_peak")),
            number(row["peak_gb"]),
            f"{row['others_cores']:.2f}",
        ]
        for group, result in groups.items()
        for name, row in result["rows"].items()
    ]
    return table(header, lines)


def ratios_table(groups: dict[str, Any]) -> str:
    """One line for each pair; "by round" is the ratio within each round, with its spread."""
    header = ["Group", "First / second", "medians", "minima", "CPU, minima", "by round"]
    lines = []
    for group, result in groups.items():
        if not result["ratios"]:
            reason = "disturbed by other processes" if result["disturbed"] else "one row only"
            lines.append([group, f"none: {reason}", "", "", "", ""])
            continue
        for pair, ratio in result["ratios"].items():
            rounds = ratio["by_round"]
            values = [ratio[key] for key in ("seconds_median", "seconds_min", "cpu_seconds_min")]
            spread = f"{rounds['median']:.3f} ({rounds['min']:.3f} to {rounds['max']:.3f})"
            if group == "l_var":
                more = [f"{100 * (rounds[key] - 1):+.1f} %" for key in ("median", "min", "max")]
                spread += f"; {more[0]} ({more[1]} to {more[2]})"
            lines.append([group, pair, *(f"{value:.3f}" for value in values), spread])
    return table(header, lines)


def facts_list(name: str, group: dict[str, Any]) -> str:
    """Lines with the processes' facts and the efficiency of several devices."""
    lines = [f"{name}:", ""]
    for key, value in group.get("facts", {}).items():
        lines.append(f"- {key.replace('_', ' ')}: {in_words(value)}")
    for row, scaling in (group["efficiency"] or {}).items():
        lines.append(f"- {row}, {scaling['scaling']} scaling: {percent(scaling['efficiency'])}")
    for row, reason in group.get("left_out", {}).items():
        lines.append(f"- {row}: left out, {reason}")
    return "\n".join(lines)


def sizes_table(installed: dict[str, Any]) -> str:
    """One line for each installation; nothing where none was looked at."""
    header = ["Installed", "packages required", "their MB", "whole environment, MB"]
    lines = [
        [
            name,
            str(size["packages"]),
            f"{size['required_bytes'] / 1e6:.0f}",
            f"{size['environment_bytes'] / 1e6:.0f}",
        ]
        for name, size in installed.items()
    ]
    return table(header, lines) if lines else ""


def in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " x ".join(map(in_words, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def draw(report: dict[str, Any], path: Path) -> None:
    """Horizontal bars of the medians, one panel a group, with the spread as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = {
        f"{cell_name(cell)}: {name}": group
        for cell in report["cells"]
        for name, group in cell["groups"].items()
    }
    heights = [len(result["rows"]) + 1.2 for result in groups.values()]
    figure, panels = pyplot.subplots(
        len(groups),
        squeeze=False,
        figsize=(9, 0.35 * sum(heights) + 0.5),
        height_ratios=heights,
        layout="constrained",
    )
    for axes, (group, result) in zip(panels[:, 0], groups.items(), strict=True):
        names, rows = list(result["rows"]), list(result["rows"].values())
        middle = [row["seconds_median"] for row in rows]
        spread = [
            [row["seconds_median"] - row["seconds_min"] for row in rows],
            [row["seconds_max"] - row["seconds_median"] for row in rows],
        ]
        theirs = ("torch", "anomalib", "import: anomalib")
        colours = ["tab:orange" if name.startswith(theirs) else "tab:blue" for name in names]
        axes.barh(names, middle, xerr=spread, color=colours)
        axes.invert_yaxis()
        axes.set_title(group + (", disturbed by others" if result["disturbed"] else ""), loc="left")
    panels[-1, 0].set_xlabel("seconds a call; bar: median, line: smallest to largest")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
