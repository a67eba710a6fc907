"""Sphinx configuration of `make docs`: the pages of this folder, and the reference."""

import os
import re
from pathlib import Path

from rdvar_jax.version import __version__

FOLDER = Path(__file__).parent
SECTION = re.compile("(Args|Returns|Raises|Yields|Attributes|Example|Reference|Source|Note)s?:")

project = "rdvar_jax"
author = "The rdvar_jax authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_templates", "benchmarks", "examples"]
templates_path = ["_templates"]
# The tables of docs/results are linked from reproduction.md.
suppress_warnings = ["toc.not_included"]
html_theme = "furo"
html_title = f"rdvar_jax {version}"
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 3
# The reference has one page per public name; the internals have one per module.
autosummary_generate = True
autosummary_context = {
    # Their public names have their own pages.
    "with_public_names": ["rdvar_jax", "rdvar_jax.synthetic"],
    # Members for users of each class; the others are internal.
    "public_members": {
        "Architecture": ["name", "expansion", "num_features"],
        "Detector": ["load", "predict"],
        "Fitted": ["save"],
        "Loss": ["__call__"],
        "RDVarLoss": ["__call__"],
        "ReverseDistillation": ["features", "with_student", "with_new_student"],
        "Run": ["open", "model", "detector"],
    },
}
autodoc_member_order = "bysource"
autoclass_content = "both"  # docstrings of the class and of its constructor
autodoc_typehints = "signature"
napoleon_use_ivar = True  # attributes are members too, and would appear twice


def leave_links_out_of_the_folder(app, docname: str, source: list[str]) -> None:
    """Replaces links to files outside of the site by their text."""
    here = (FOLDER / docname).parent

    def resolve(link: re.Match) -> str:
        target = Path(os.path.normpath(here / link[2].split("#")[0]))
        return link[0] if target.is_relative_to(FOLDER) else link[1]

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\((\.\.?/[^)\s]+)\)", resolve, source[0])


def read_as_plain_text(app, what, name, obj, options, lines: list[str]) -> None:
    """Converts docstrings, which are plain sentences with `code`, to reStructuredText.

    Indented blocks and tables are shown verbatim. The only other markup is lists and the sections
    of Google's style.
    """
    shown, verbatim, in_section = [], False, False
    for number, line in enumerate(lines):
        indented = line.startswith("  ")
        if line and not indented:
            in_section = SECTION.fullmatch(line) is not None
        begins = number > 0 and not lines[number - 1].strip() and indented and not in_section
        is_table = line.startswith("|")
        if line and not verbatim and (begins or is_table):
            shown += ["", "::", ""]
            verbatim = True
        elif line and verbatim and not (indented or is_table):
            shown.append("")
            verbatim = False
        shown.append(f"    {line}" if verbatim else _as_text(line))
    lines[:] = shown


def _as_text(line: str) -> str:
    parts = re.split(r"(``[^`]+``|`[^`]+`)", line)
    return "".join(
        f"``{part.strip('`')}``" if part.startswith("`") else _escape(part) for part in parts
    )


def _escape(text: str) -> str:
    text = re.sub(r"(?<!^)[*|]|^(?<!\s)[*|](?! )", r"\\\g<0>", text)
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)


# Evaluated annotations spell out numpy's ArrayLike.
ARRAY_LIKE = re.compile(r"~?numpy[\w.]*\._Buffer \|.*?_NestedSequence\[complex \| bytes \| str\]")
# Users do not call these constructors: `fit`, `evaluate`, `Run.open` and `Detector.load` do.
NOT_CALLED = ("Detector", "Evaluation", "Fitted", "Loss", "Run")


def shorten_signature(app, what, name, obj, options, signature, returns):
    """Shortens signatures for readers."""
    if name in (f"rdvar_jax.{public}" for public in NOT_CALLED):
        return "", None
    return signature and ARRAY_LIKE.sub("ArrayLike", signature), returns


def setup(app) -> None:
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("source-read", leave_links_out_of_the_folder)
    app.connect("autodoc-process-docstring", read_as_plain_text, priority=400)  # before napoleon
