"""The rooms of docs/architecture.md against the imports of every module.

The tables and lists of that page are the rules; nothing is repeated here.
"""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "rdvar_jax"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")

NOBODY = "nobody"
HAS_JAX = ("jax", "jaxlib", "flax", "optax", "orbax", "tensorstore", "torch")
CATCH_ALL = ("utils", "util", "helpers", "helper", "common", "misc", "tools")


def module_name(path: Path) -> str:
    """`rdvar_jax/data/sets/folder.py` to `rdvar_jax.data.sets.folder`."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def place_of(path: Path) -> str:
    """`training/step.py`: the path as the page writes it."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    """`data/` for what lies in it, `config.py` for a module at the top."""
    first, *below = path.relative_to(PACKAGE).parts
    return f"{first}/" if below else first


def lies_in(place: str, rooms: list[str]) -> bool:
    """Whether a place is one of `rooms`, files or folders, or lies in one of them."""
    return any(place == room or (room[-1] == "/" and place.startswith(room)) for room in rooms)


def read_imports(source: str) -> set[str]:
    """The modules that a source imports, also inside functions, as full dotted names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute here"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"  # a module, or a name inside of one
                found.add(name if name in MODULES else node.module)
    return found


IMPORTS = {name: read_imports(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def read_table(header: str) -> list[list[str]]:
    """The cells of the page's table that begins with the column `header`."""
    lines = PAGE.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(f"| {header} |")]
    assert len(starts) == 1, f"docs/architecture.md must have one table of {header!r}"
    rows = []
    for line in lines[starts[0] + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def read_rule(pattern: str) -> list[str]:
    """The names in backticks of the one sentence that `pattern` finds, over line ends."""
    found = re.findall(pattern, PAGE, flags=re.DOTALL)
    assert len(found) == 1, f"docs/architecture.md must have one sentence like {pattern!r}"
    names = in_backticks(found[0])
    assert names
    return names


def rooms() -> dict[str, set[str]]:
    """Every room of the page and the rooms that it may import."""
    table = {in_backticks(room)[0]: set(in_backticks(may)) for room, _, may in read_table("Room")}
    unknown = set().union(*table.values()) - set(table)
    assert not unknown, f"the table allows rooms that it does not list: {unknown}"
    return table


def edges() -> list[tuple[Path, Path]]:
    """Each import of one of our modules by another: (importer, imported)."""
    return [
        (MODULES[name], MODULES[imported])
        for name, all_imports in IMPORTS.items()
        for imported in sorted(all_imports)
        if imported in MODULES
    ]


def test_the_reader_sees_every_kind_of_import():
    source = """
import jax.numpy as jnp, rdvar_jax.cli.main
from rdvar_jax.commands import train
from rdvar_jax import __version__
from rdvar_jax.training.losses import STAGES
def later():
    from rdvar_jax.scoring import curves
"""
    assert read_imports(source) == {
        "jax.numpy",
        "rdvar_jax.cli.main",
        "rdvar_jax.commands.train",
        "rdvar_jax",
        "rdvar_jax.training.losses",
        "rdvar_jax.scoring.curves",
    }


def test_the_page_lists_the_rooms_that_there_are():
    assert set(rooms()) == {room_of(path) for path in MODULES.values()}


def test_our_imports_are_of_modules_that_exist():
    own = {name for names in IMPORTS.values() for name in names if name.startswith("rdvar_jax")}
    assert own <= set(MODULES)


def test_rooms_import_only_what_the_page_allows():
    allowed, everyone = rooms(), read_rule(r"Everyone may import .*?`\.")
    wrong = [
        f"{place_of(importer)} imports {place_of(imported)}"
        for importer, imported in edges()
        if room_of(imported) not in {room_of(importer), *allowed[room_of(importer)], *everyone}
    ]
    assert not wrong


def test_the_page_allows_nothing_that_no_module_needs():
    used = {(room_of(importer), room_of(imported)) for importer, imported in edges()}
    idle = [
        f"{room} may import {imported} and does not"
        for room, allowed in rooms().items()
        for imported in sorted(allowed)
        if (room, imported) not in used
    ]
    assert not idle


def test_nobody_imports_main():
    assert not [importer for importer, imported in edges() if imported == PACKAGE / "__main__.py"]


def test_nobody_imports_a_command_but_the_command_line():
    commands = PACKAGE / "commands"
    folders = read_rule(r"What they share\sis in .*?which import no command\.")
    assert {PACKAGE / folder for folder in folders} == {
        path for path in commands.iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    found = [(place_of(a), place_of(b)) for a, b in edges() if b.parent == commands]
    assert not [pair for pair in found if not pair[0].startswith("cli/")]


def test_rooms_and_modules_have_an_order():
    graphlib.TopologicalSorter(rooms()).prepare()
    graphlib.TopologicalSorter(
        {name: names & set(MODULES) for name, names in IMPORTS.items()}
    ).prepare()


def test_imports_go_downwards_in_the_table():
    order = [in_backticks(room)[0] for room, _, _ in read_table("Room")]
    wrong = [
        f"{room} imports {imported}, which is above it"
        for room, allowed in rooms().items()
        for imported in allowed
        if order.index(imported) <= order.index(room)
    ]
    assert not wrong


@pytest.mark.parametrize("what", ["an image", "a setting", "a weight tensor"])
def test_the_page_tells_each_path_once(what: str):
    section = PAGE.split(f"## The path of {what}\n")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. (.*?)(?=^\d\. |^$)", section, flags=re.DOTALL | re.MULTILINE)
    files = [name for step in steps for name in in_backticks(step) if name.endswith(".py")]
    assert len(files) == len(set(files)) >= 5
    assert not [name for name in files if not (PACKAGE / name).is_file()]


def test_libraries_stay_where_the_page_says():
    wrong = []
    for libraries, places in read_table("Library"):
        where = [] if places == NOBODY else in_backticks(places)
        assert where or places == NOBODY
        for library in in_backticks(libraries):
            users = [
                place_of(MODULES[name])
                for name, names in IMPORTS.items()
                if library in {imported.split(".")[0] for imported in names}
            ]
            wrong += [f"{user} imports {library}" for user in users if not lies_in(user, where)]
            idle = {place for place in where if not any(lies_in(user, [place]) for user in users)}
            wrong += [f"{place} does not import {library}" for place in sorted(idle)]
    assert not wrong


def test_every_jit_has_the_options_of_its_platform():
    # XLA's own options give wrong sums on CPU; `compiled` in devices/compiler.py has ours, which
    # devices/canary.py checks. A program that is only exported is compiled by who loads it.
    users = {
        place_of(path): re.findall(r"jax\.jit\(", path.read_text(encoding="utf-8"))
        for path in MODULES.values()
    }
    found = {place for place, calls in users.items() if calls}
    assert found == {"devices/compiler.py", "devices/canary.py", "serving/program.py"}


def test_what_needs_no_jax_loads_none():
    without = read_rule(r"can be imported without loading JAX.*?`\.\n\n")
    names = [name for name, path in MODULES.items() if lies_in(place_of(path), without)]
    for place in without:
        assert (PACKAGE / place).exists(), place
    # rdvar_jax/__init__.py comes with each of them. In a process of its own: this one has JAX.
    code = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = [library for library in {HAS_JAX} if library in sys.modules]\n"
        "    assert not loaded, f'{name} loads {loaded}'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def loaded_by(names: list[str]) -> set[str]:
    """Top-level packages outside Python's library in a new process that imports `names`."""
    code = (
        "import importlib, sys\n"
        "before = set(sys.modules)\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - sys.stdlib_module_names))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_command_line_loads_only_what_the_page_says():
    places = read_rule(r"Starting is quick[^.]*`\S+` load\s+nothing beyond Python")
    names = [name for name, path in MODULES.items() if lies_in(place_of(path), places)]
    assert "rdvar_jax.cli.main" in names
    assert loaded_by(names) == {"rdvar_jax"}


def test_scoring_loads_no_training_and_no_plotting():
    places = read_rule(r"Scoring needs .*?; these load none of")
    heavy = read_rule(r"these load none of .*?\.\n")
    names = [name for name, path in MODULES.items() if lies_in(place_of(path), places)]
    assert "rdvar_jax.scoring.scores" in names
    loaded = loaded_by(names)
    assert {"jax", "flax"} <= loaded  # the reader sees what is there
    assert not loaded & set(heavy)


def test_a_bundle_scores_and_is_served_without_the_packages_of_training():
    places = read_rule(r"`rdvar predict --bundle` needs .*?; these\sload none of")
    heavy = read_rule(r"needs `commands/serve\.py`, `server/`; these\sload none of\s.*?\.\n")[2:]
    places = [place for place in places if not place.startswith("rdvar ")]
    names = [name for name, path in MODULES.items() if lies_in(place_of(path), places)]
    assert {"rdvar_jax.commands.predicting.bundle_scorer", "rdvar_jax.server.http.app"} <= set(
        names
    )
    loaded = loaded_by(names)
    assert {"jax", "starlette"} <= loaded
    assert "flax" in heavy and not loaded & set(heavy)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_a_box_for_everything(name: str):
    assert name.split(".")[-1] not in CATCH_ALL


def test_test_modules_have_names_of_their_own():
    # pytest imports them by name alone.
    names = [path.name for path in (REPOSITORY / "tests").rglob("*.py") if path.stem != "conftest"]
    assert sorted(names) == sorted(set(names))
