"""One HTML page of all experiments in a folder, to be read from top to bottom."""

import html
from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.files import write_text
from reproduction.experiments import EXPERIMENTS
from reproduction.report import Report, Table, report_from_json

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1000px;
  padding: 0 1rem; color: #212529; overflow-wrap: break-word; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; white-space: nowrap; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid #dee2e6; }
td { white-space: nowrap; }
th { vertical-align: bottom; font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; border: 1px solid #dee2e6; }
figure { margin: 1rem 0; }
figcaption { color: #6c757d; font-size: .9rem; }
.warning { border-left: 4px solid #b02020; background: #fdf0ef; padding: .5rem .8rem; }
.setting { color: #495057; }
"""


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
    links = "".join(
        f'<li><a href="#{report.name}">{html.escape(report.title)}</a></li>' for report in reports
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The paper's experiments</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style></head><body>
<h1>The paper's experiments</h1>
<p>Reverse distillation (RD) with and without the variance loss L_var, by
<code>tools/reproduce.py</code>. Each part says what was run, what can be concluded, and then shows
the numbers.</p>
<ol>{links}</ol>
{"".join(map(_section, reports))}
</body></html>
"""


def _section(report: Report) -> str:
    warnings = "".join(f'<p class="warning">{html.escape(text)}</p>' for text in report.warnings)
    findings = "".join(f"<li>{html.escape(text)}</li>" for text in report.findings)
    pictures = "".join(
        f'<figure><img src="{html.escape(f"{report.name}/{picture.file}")}" '
        f'alt="{html.escape(picture.text)}"><figcaption>{html.escape(picture.text)}</figcaption>'
        "</figure>"
        for picture in report.pictures
    )
    missing = "".join(f"<li>{html.escape(text)}</li>" for text in report.missing)
    return "\n".join(
        [
            f'<section id="{report.name}"><h2>{html.escape(report.title)}</h2>',
            warnings,
            f'<p class="setting">{html.escape(report.setting)}</p>',
            f"<ul>{findings}</ul>" if findings else "",
            "".join(map(_table, report.tables)),
            pictures,
            f"<h3>Runs without a result</h3><ul>{missing}</ul>" if missing else "",
            "</section>",
        ]
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="table"><table><caption>{html.escape(table.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
