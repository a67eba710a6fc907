"""One HTML page of all experiments in a folder, to be read from top to bottom."""

from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.files.replacing import write_text
from rdvar_jax.report.page.templates import render
from reproduction.experiments import EXPERIMENTS
from reproduction.report import Report, report_from_json


def write_page(output: Path) -> Path:
    """Writes `index.html` from the reports of all experiments that the folder holds."""
    reports = [
        report_from_json(path.read_text())
        for name in EXPERIMENTS
        if (path := output / name / "report.json").exists()
    ]
    page = output / "index.html"
    write_text(page, make_page(reports))
    return page


def make_page(reports: Sequence[Report]) -> str:
    """The page; pictures are those beside each report."""
    return render(Path(__file__).with_name("page.html"), reports=reports)
