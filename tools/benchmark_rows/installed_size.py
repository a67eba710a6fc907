"""Size of an installation: `python installed_size.py NAME`, in the environment to measure.

Prints JSON: the bytes of the distribution and of all that it requires, with the extras that NAME
names, as in `rdvar-jax[train]`, and of the whole environment with whatever else is in it. Only
Python's own library.
"""

import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path


def required(name: str) -> set[str]:
    """The names of a distribution and of all that it requires here, normalised."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name, _, extras = waiting.pop().partition("[")
        name = re.sub(r"[-_.]+", "-", name).lower()
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:  # needed on other systems or versions of Python
            continue
        found.add(name)
        for requirement in requirements:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            extra = re.search(r"extra == ['\"]([^'\"]+)", requirement)
            if match and (extra is None or extra[1] in extras.rstrip("]").split(",")):
                waiting.append(match[0])
    return found


def distribution_bytes(name: str) -> int:
    """Bytes of a distribution's files; where it is linked from a checkout, of its package."""
    files = [Path(str(file.locate())) for file in distribution(name).files or []]
    size = sum(path.stat().st_size for path in files if path.is_file())
    if '"editable": true' in (distribution(name).read_text("direct_url.json") or ""):
        spec = find_spec(name.replace("-", "_"))
        for folder in (spec.submodule_search_locations or []) if spec else []:
            size += folder_bytes(folder)
    return size


def folder_bytes(folder: str) -> int:
    """Bytes of the files below a folder; links are not followed."""
    return sum(
        os.lstat(os.path.join(place, name)).st_size
        for place, _, names in os.walk(folder)
        for name in names
    )


if __name__ == "__main__":
    names = required(sys.argv[1])
    print(
        json.dumps(
            {
                "packages": len(names),
                "required_bytes": sum(distribution_bytes(name) for name in names),
                "environment_bytes": folder_bytes(sys.prefix),
            }
        )
    )
