"""`rdvar inspect` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import read_config
from rdvar_jax.errors import DataError

HELP = """
rdvar inspect --config FILE[:CATEGORY] [--output FILE.png|FOLDER] [--config.SECTION.NAME=VALUE ...]
    Say what is understood of the images of data.root/CATEGORY, before anything is trained: layout,
    counts, sizes, masks, duplicates, memory, and all that is wrong. With --output a contact sheet.
    Exit code 2 where training or evaluation would refuse the set.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    flags.DEFINE_string("output", None, "the contact sheet, or its folder", flag_values=values)
    config = read_config(values, argv)
    from rdvar_jax.commands.inspect import inspect_set
    from rdvar_jax.runs.config import resolved

    output = values["output"].value
    found = inspect_set(resolved(config), Path(output) if output else None)
    print(found.text)
    number = len(found.problems)
    if number:
        raise DataError(
            f"{config.data.category} cannot be used, because of the "
            f"{f'{number} problems' if number > 1 else 'problem'} above; mend what they name."
        )
    return 0
