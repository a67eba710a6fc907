"""Shell completion, asked of bash itself."""

import contextlib
import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rdvar_jax.cli.completion import SHELLS
from rdvar_jax.cli.main import COMMANDS, main

BASH = shutil.which("bash")

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
function=$(complete -p rdvar | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "rdvar.bash"
    path.write_text(printed("bash"))
    return path


def printed(shell: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert main(["--print_completion", shell]) == 0
    return output.getvalue()


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", script, "rdvar", *words],
        capture_output=True,
        text=True,
        cwd=script.parent,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_with_the_flags(shell):
    text = printed(shell)
    for name in ("rdvar", "predict", "save_maps", "config.train.epochs"):
        assert name in text


@pytest.mark.skipif(BASH is None, reason="no bash")
def test_bash_completes_commands_flags_settings_and_paths(script):
    subprocess.run(["bash", "-n", script], check=True)
    (script.parent / "images").mkdir()
    assert completed(script, "") == {*COMMANDS, "help"}
    assert completed(script, "tr") == {"train"}
    assert completed(script, "predict", "--save") == {"--save_masks", "--save_maps"}
    assert completed(script, "threshold", "--method", "") == {
        "mean",
        "fpr",
        "quantile",
        "gpd",
        "cost",
    }
    assert "--config.train.epochs" in completed(script, "train", "--config.tr")
    assert completed(script, "report", "--workdir", "") == {"images"}  # folders alone
    assert completed(script, "predict", "--input", "r") == {"rdvar.bash"}
    assert not any(word.startswith("--config.") for word in completed(script, "report", "--"))
