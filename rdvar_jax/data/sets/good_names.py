"""Names of folders that usually hold good images."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

USUAL = frozenset(
    "good goods ok okay io normal normals gut gute inordnung pass passed fine intact undamaged "
    "faultless flawless accept accepted conform conforming defectfree nodefect nodefects "
    "withoutdefect withoutdefects nondefective notdefective nonanomalous noanomaly healthy golden "
    "bon buono bueno goed bra dobry 良品 正常 合格 양품 정상".split()
)
"""Compared in lower case, without numbers at the ends and without separators."""

_AROUND = re.compile(
    r"^(?:[\W\d_]|(?:train|test|all)(?=[\W_]))+"
    r"|[\W\d_]+(?:(?:images?|imgs?|parts?|samples?|pictures?)[\W\d_]*)?$"
)


def looks_good(name: str) -> bool:
    """Whether a folder's name is a usual one of good images: OK, Good, 0_good, good_2, good-new."""
    name = name.casefold()
    if re.match(r"good[\W_]", name):
        return True
    return re.sub(r"[\W_]", "", _AROUND.sub("", name)) in USUAL


def lookalikes(folders: Sequence[Path], good: Sequence[str]) -> list[Path]:
    """Returns the folders that look good without being one of those named `good`."""
    return [path for path in folders if path.name not in good and looks_good(path.name)]


def ask_about(folders: Sequence[Path], good: Sequence[str]) -> str:
    """Returns a clause that asks what these folders hold.

    Args:
        folders: of one parent.
        good: data.good_names as it is now.
    """
    names = [path.name for path in folders]
    paths = ", ".join([str(folders[0]), *names[1:]])
    value = shlex.quote(",".join(dict.fromkeys((*good, *names))))
    one = len(folders) == 1
    return (
        f"{paths} {'looks' if one else 'look'} like good images; set data.good_names={value} if "
        f"{'it is' if one else 'they are'}, else rename {'it' if one else 'them'}"
    )
