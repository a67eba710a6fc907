"""`rdvar settings` on the command line."""

import argparse
import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator, Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting

DESCRIPTION = """List all settings with their defaults and meanings.

Set them with --config.SECTION.NAME=VALUE. A preset changes some of the defaults.
"""

EXAMPLES = """\
rdvar settings
"""


def add_arguments(parser: Parser) -> None:
    """Adds nothing: the command has no flags."""


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    print("\n".join(setting_lines()))
    return 0


def setting_lines() -> Iterator[str]:
    """Yields each setting of the default config below its comments in the source."""
    from rdvar_jax.runs.config import default_config

    config = default_config()
    source = textwrap.dedent(inspect.getsource(default_config))
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    sections = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict))
    last = sections.lineno
    for name, section in zip(sections.keys, sections.values, strict=True):
        assert isinstance(name, ast.Constant) and isinstance(section, ast.Dict)
        yield from ["", f"[{name.value}]"]
        for key, value in zip(section.keys, section.values, strict=True):
            assert isinstance(key, ast.Constant) and value.end_lineno is not None
            lines = range(last + 1, value.end_lineno + 1)
            yield from (comments[line] for line in lines if line in comments)
            yield f"{name.value}.{key.value} = {config[name.value][key.value]!r}"
            last = value.end_lineno
