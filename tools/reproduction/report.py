"""Report of an experiment: text, tables and pictures, as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from reproduction.paired import mean_and_deviation
from reproduction.sweep import Outcome


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    caption: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Picture:
    """A picture beside the report; `text` says what it shows."""

    file: str
    text: str


@dataclass(frozen=True)
class Report:
    """One experiment, to be read from top to bottom.

    Attributes:
        name: of the experiment, and of its folder.
        title: what it is.
        warnings: what must be known before any number is believed.
        setting: what was run.
        findings: plain sentences.
        tables: the numbers.
        pictures: files in the same folder.
        missing: one sentence for each run without a result.
    """

    name: str
    title: str
    warnings: list[str] = field(default_factory=list)
    setting: str = ""
    findings: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def report_from_json(text: str) -> Report:
    """Reads the output of `to_json`."""
    values = json.loads(text)
    values["tables"] = [Table(**table) for table in values["tables"]]
    values["pictures"] = [Picture(**picture) for picture in values["pictures"]]
    return Report(**values)


def markdown(report: Report) -> str:
    """The whole report, without its pictures' pixels."""
    parts = [f"# {report.title}"]
    parts += [f"**{warning}**" for warning in report.warnings]
    parts += [report.setting]
    if report.findings:
        parts.append("\n".join(f"- {finding}" for finding in report.findings))
    for table in report.tables:
        rows = [table.header, ["---"] * len(table.header), *table.rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        parts.append(f"{table.caption}\n\n" + "\n".join(lines))
    parts += [f"![{picture.text}]({picture.file})" for picture in report.pictures]
    if report.missing:
        parts.append("Runs without a result:")
        parts.append("\n".join(f"- {sentence}" for sentence in report.missing))
    return "\n\n".join(part for part in parts if part) + "\n"


def tables_csv(report: Report) -> str:
    """All tables of a report, each with its caption as the first column."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] = []
    for table in report.tables:
        if table.header != header:
            header = table.header
            writer.writerow(["table", *header])
        writer.writerows([table.caption, *row] for row in table.rows)
    return text.getvalue()


def runs_csv(outcomes: Sequence[Outcome]) -> str:
    """One row a run, with every metric in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(outcomes[0].result["metrics"]) if outcomes else []
    of_run = ["train_seconds", "cpu_seconds", "resumed"]
    measures = sorted({name for o in outcomes for name in o.result.get("collapse") or ()})
    header = ["variant", "category", "seed", *names, *measures, "oracle_image_auroc", *of_run]
    writer.writerow([*header, "run"])
    for outcome in outcomes:
        metrics, oracle = outcome.result["metrics"], outcome.result["oracle"] or {}
        collapse = outcome.result.get("collapse") or {}
        writer.writerow(
            [
                outcome.variant,
                outcome.category,
                outcome.seed,
                *(metrics[name] for name in names),
                *(collapse.get(name, "") for name in measures),
                oracle.get("image_auroc", ""),
                *(outcome.timing.get(name, "") for name in of_run),
                outcome.result["address"],
            ]
        )
    return text.getvalue()


def runs_jsonl(outcomes: Sequence[Outcome]) -> str:
    """One line a run: its whole result with the losses of every epoch, and its times."""
    return "".join(
        json.dumps({"variant": o.variant, **o.result, "timing": o.timing}, ensure_ascii=False)
        + "\n"
        for o in outcomes
    )


def percents(
    outcomes: Sequence[Outcome], variant: str, metric: str, source: str = "metrics"
) -> dict[str, dict[int, float]]:
    """A metric of a variant's runs, in percent, by category and seed.

    Args:
        outcomes: of an experiment.
        variant: one of its variants.
        metric: such as "image_auroc". Runs in which it is not defined are left out.
        source: "metrics" of the last epoch, or "oracle".
    """
    found: dict[str, dict[int, float]] = {}
    for outcome in outcomes:
        value = (outcome.result[source] or {}).get(metric)
        if outcome.variant == variant and value is not None:
            found.setdefault(outcome.category, {})[outcome.seed] = 100 * value
    return found


def spread(values: Mapping[int, float]) -> str:
    """Mean ± standard deviation over seeds of one category."""
    return plus_minus(*mean_and_deviation({"": values})[:2]) if values else ""


def plus_minus(mean: float, deviation: float | None) -> str:
    """A mean with its deviation, where there is one."""
    return f"{mean:.2f}" if deviation is None else f"{mean:.2f} ± {deviation:.2f}"


def signed(value: float | None) -> str:
    """A difference with its sign; a missing one is empty."""
    return "" if value is None else f"{value:+.2f}"
