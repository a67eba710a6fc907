"""Rendering of page templates: with escaping, and one style sheet for report and tools."""

from pathlib import Path
from typing import Any

SHARED = Path(__file__).parent


def render(template: Path, **values: Any) -> str:
    """Renders a template, which may extend `base.html` and import `table.html`.

    Args:
        template: the file; its includes may be beside it or in this folder.
        values: its variables; a missing one is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, SHARED]),
        autoescape=True,  # names of files and categories are untrusted
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(values)
