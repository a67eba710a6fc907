"""`rdvar report` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, parse_flags, read_workdir

HELP = """
rdvar report --workdir W [--output FILE] [--checkpoint latest|best]
    Write one HTML page of an evaluated run: metrics, curves, threshold, worst images, losses,
    settings. It needs no network and no other file. By default report.html in W.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    flags.DEFINE_string("output", None, "the file to write", flag_values=values)
    flags.DEFINE_enum("checkpoint", "latest", ["latest", "best"], "which state", flag_values=values)
    parse_flags(values, argv)
    folder = read_workdir(values)
    from rdvar_jax.commands.report import write_report
    from rdvar_jax.runs.workdir import Workdir

    output = Path(values["output"].value) if values["output"].value else None
    written = write_report(Workdir(folder.resolve()), str(values["checkpoint"].value), output)
    print(f"report: {written}")
    return 0
