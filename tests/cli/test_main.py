"""Commands, their help, and exit codes."""

import logging
import shlex
import signal
import subprocess
import sys

import pytest

from rdvar_jax.cli.main import COMMANDS, build_parsers, main
from rdvar_jax.cli.settings import apply_settings, take_settings
from rdvar_jax.errors import ConfigError, DataError, OneLineFormatter
from rdvar_jax.runs.config import default_config
from rdvar_jax.version import __version__


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)


def examples(command: str) -> list[list[str]]:
    """The words of each example of a command's help."""
    text = COMMANDS[command].EXAMPLES.replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines()]


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command(args, capsys):
    assert main(args) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"\n    {name} " in text
        assert command.DESCRIPTION.splitlines()[0] in " ".join(text.split())


def test_nothing_is_not_enough(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out
    assert main(["--"]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_every_flag_its_default_and_examples(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert main(["help", command]) == 0
    assert capsys.readouterr().out == text
    assert text.startswith(f"usage: rdvar {command} ")
    without_settings = ("report", "prepare", "serve", "weights", "settings")
    assert ("\nsettings:\n" in text) == (command not in without_settings)
    assert "examples:\n  rdvar " in text
    _, parsers = build_parsers()
    for action in parsers[command]._actions[1:]:
        for flag in action.option_strings:
            assert flag in text
        helped = parsers[command]._get_formatter()._get_help_string(action)
        assert helped and helped.endswith(")"), action.option_strings
        shown = helped % {"default": action.default}
        assert shown in " ".join(text.split())
        assert "(required)" in shown or "(default: " in shown
        for empty in ("None", "[]", "()", ""):
            assert f"(default: {empty})" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_understood(command):
    _, parsers = build_parsers()
    assert examples(command)
    for program, name, *words in examples(command):
        assert (program, name) == ("rdvar", command)
        settings, rest = take_settings(words)
        assert not settings or parsers[command].useful_settings is not None
        parsers[command].read(rest)
        apply_settings(default_config(), settings)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["trian"], "unknown command 'trian'; did you mean train?"),
        (["help", "evalute"], "unknown command 'evalute'; did you mean evaluate?"),
        (["fly"], "unknown command 'fly'; see rdvar --help."),
        (["--verison"], "unknown flag --verison; did you mean --version?"),
        (["evaluate", "--wrokdir", "W"], "unknown flag --wrokdir; did you mean --workdir?"),
        (["evaluate", "W"], "--workdir is missing; give --workdir FOLDER, the run's folder."),
        (["evaluate", "--workdir=W", "more"], "arguments not understood: more; see rdvar evaluate"),
        (["report", "--workdir=W", "--config.data.root=D"], "rdvar report takes no settings"),
        (["evaluate", "--workdir=W", "--checkpoint=first"], "argument --checkpoint: invalid"),
        (["--print_completion=dos"], "argument --print_completion: invalid choice"),
        (["prepare", "--source=synthetic"], "--source synthetic needs --output FOLDER."),
        (["prepare", "--source=tfds"], "--source tfds needs --manual_dir FOLDER and --data_dir"),
        (["train", "--config=no.py:a", "--workdir=W"], "--config no.py: there is no such file and"),
    ],
)
def test_wrong_arguments_are_one_sentence(args, sentence, capsys):
    assert main(args) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith(f"rdvar: {sentence}")
    assert len(printed.err.splitlines()) == 1


def test_missing_flags_are_all_named(capsys):
    assert main(["prepare"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(" is missing; give " in line for line in lines)
    assert [line.split(" is missing")[0] for line in lines] == ["rdvar: --source"]
    assert main(["predict", "--watch"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line, word in zip(lines, ("--workdir is", "no image is given", "--output is"), strict=True):
        assert line.startswith(f"rdvar: {word}")


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (143, 143, ""),
        (ConfigError("a", "b"), 2, "rdvar: a\nrdvar: b\n"),
        (DataError("c"), 2, "rdvar: c\n"),
        (FileNotFoundError(2, "No such file", "f"), 2, "rdvar: f: No such file\n"),
        # Names of files that would pass for lines of their own.
        (ConfigError("a\nrdvar: done", "\x1b[2J"), 2, "rdvar: a\\nrdvar: done\nrdvar: \\x1b[2J\n"),
        (FileNotFoundError(2, "No", "a\r\nrdvar: b"), 2, "rdvar: a\\r\\nrdvar: b: No\n"),
        (
            ModuleNotFoundError(name="grain"),
            2,
            'rdvar: grain is required but not installed; run: pip install "rdvar-jax[stream]"\n',
        ),
    ],
)
def test_exit_codes(outcome, code, said, monkeypatch, capsys):
    def run(args, settings):
        assert str(args.workdir) == "W"
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr("rdvar_jax.cli.report.run", run)
    assert main(["report", "--workdir", "W"]) == code
    assert capsys.readouterr().err == said


def test_sigterm_is_raised_as_ctrl_c_is_and_once(monkeypatch, capsys):
    cleaned = []

    def run(args, settings):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # does not interrupt cleaning up
            cleaned.append(True)

    monkeypatch.setattr("rdvar_jax.cli.report.run", run)
    assert main(["report", "--workdir", "W"]) == 143
    assert cleaned
    said = "rdvar: stopped by SIGTERM; files saved before are intact\n"
    assert capsys.readouterr().err == said
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_program_around_it_is_kept(monkeypatch):
    seen, before = [], signal.signal(signal.SIGTERM, lambda *_: seen.append(True))
    try:
        monkeypatch.setattr(
            "rdvar_jax.cli.report.run", lambda *_: signal.raise_signal(signal.SIGTERM) or 0
        )
        assert main(["report", "--workdir", "W"]) == 0 and seen
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_log_line_is_one_printable_line():
    record = logging.makeLogRecord({"msg": "%s: good", "args": ("a\nb.png\x1b[31m\r\u202e\udcff",)})
    assert OneLineFormatter("%(message)s").format(record) == (
        r"a\nb.png\x1b[31m\r\u202e\udcff: good"
    )


def test_a_defect_of_the_program_keeps_its_traceback(monkeypatch):
    def run(args, settings):
        raise ZeroDivisionError

    monkeypatch.setattr("rdvar_jax.cli.report.run", run)
    with pytest.raises(ZeroDivisionError):
        main(["report", "--workdir", "W"])


def test_a_command_gets_its_flags_and_settings(monkeypatch):
    seen = []
    monkeypatch.setattr("rdvar_jax.cli.predict.run", lambda *given: seen.append(given) or 0)
    words = ["--workdir", "W", "--config.score.batch_size", "4", "--input", "a.png", "b.png"]
    assert main(["predict", *words, "--threshold", "-0.5", "--output=O", "--color_scale=-1,2"]) == 0
    ((args, settings),) = seen
    assert settings == [("score.batch_size", "4")]
    assert list(map(str, args.input)) == ["a.png", "b.png"]
    assert (args.threshold, args.color_scale, args.heat_maps) == (-0.5, (-1, 2), True)


def test_a_reader_that_has_seen_enough_is_no_error():
    # A process, since it is about the standard output of one.
    command = [sys.executable, "-m", "rdvar_jax", "settings"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_python_m_rdvar_jax():
    done = subprocess.run(
        [sys.executable, "-m", "rdvar_jax", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")
