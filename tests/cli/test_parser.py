"""Spelling of flags, defaults in help, and errors in one sentence."""

from pathlib import Path

import pytest

from rdvar_jax.cli.parser import Parser, Switch
from rdvar_jax.errors import ConfigError


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="program")
    parser.add_path("--output", required=True, metavar="FILE", help="the file")
    parser.add_path("--input", nargs="+", action="extend", default=[], metavar="PATH", help="files")
    parser.add_argument("--limit", type=float, default=0.5, help="a number")
    parser.add_argument("--range", default="", help="numbers")
    parser.add_argument("--heat_maps", action=Switch, default=True, help="pictures")
    parser.add_argument("--save_maps", action=Switch, help="arrays")
    parser.loose_words = "input"
    return parser


def read(parser: Parser, *words: str):
    return parser.read(["--output", "o", *words])


@pytest.mark.parametrize(
    "words", [("--limit", "3"), ("--limit=3",), ("--limit=1", "--limit=3"), ("--limit", "3e0")]
)
def test_a_value_stands_apart_or_behind_an_equals_sign(parser, words):
    assert read(parser, *words).limit == 3


@pytest.mark.parametrize("text", ["-1", "-.5", "-1e-3", "-inf", "-2,3"])
def test_negative_numbers_are_values(parser, text):
    assert read(parser, "--range", text).range == text
    assert read(parser, f"--range={text}").range == text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (True, False)),
        (("--noheat_maps", "--save_maps"), (False, True)),
        (("--noheat-maps", "--save-maps"), (False, True)),
        (("--heat_maps=false", "--save_maps=True"), (False, True)),
        (("--noheat_maps=false", "--nosave_maps=0"), (True, True)),
        (("--save_maps", "--nosave_maps"), (True, False)),
    ],
)
def test_switches(parser, words, expected):
    args = read(parser, *words)
    assert (args.heat_maps, args.save_maps) == expected


@pytest.mark.parametrize(
    "words",
    [
        ("--input", "a", "b", "c"),
        ("--input=a", "b", "c"),
        ("--input", "a", "--input", "b", "c"),
        ("--input", "a", "--save_maps", "b", "--limit", "2", "c"),
        ("--input", "a", "--", "b", "c"),
    ],
)
def test_words_without_a_flag_belong_to_the_input(parser, words):
    assert read(parser, *words).input == [Path("a"), Path("b"), Path("c")]
    assert read(parser, "--input", "d").input == [Path("d")]  # nothing was kept


def test_behind_two_dashes_nothing_is_a_flag(parser):
    assert read(parser, "--", "-a", "--limit").input == [Path("-a"), Path("--limit")]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--limt=3",), "unknown flag --limt; did you mean --limit?"),
        (("--lim=3",), "unknown flag --lim; did you mean --limit?"),  # no abbreviations
        (("--save-map",), "unknown flag --save-map; did you mean --save_maps?"),
        (("-limit", "3"), "unknown flag -limit; did you mean --limit?"),
        (("--quiet",), "unknown flag --quiet; see program --help."),
        (("--limit=x",), "argument --limit: invalid float value: 'x'; see program --help."),
        (("--limit",), "argument --limit: expected one argument; see program --help."),
        (("--save_maps=3",), "argument --save_maps/--nosave_maps: ignored explicit argument '3'"),
        (("--output=",), "argument --output: the path is empty; see program --help."),
    ],
)
def test_errors_are_one_sentence(parser, words, sentence):
    with pytest.raises(ConfigError) as info:
        read(parser, *words)
    assert str(info.value).startswith(sentence)
    assert len(str(info.value).splitlines()) == 1


def test_a_misspelt_flag_comes_before_the_missing_one(parser):
    with pytest.raises(ConfigError, match="unknown flag --ouput; did you mean --output?"):
        parser.read(["--ouput", "o"])
    with pytest.raises(ConfigError, match=r"^--output is missing; give --output FILE, the file\.$"):
        parser.read([])


def test_words_that_nobody_takes(parser):
    parser.loose_words = None
    with pytest.raises(ConfigError, match="arguments not understood: a b; see program --help"):
        read(parser, "a", "b")


def test_help_ends_with_defaults(parser):
    text = " ".join(parser.format_help().split())
    for end in (
        "the file (required)",
        "a number (default: 0.5)",
        "pictures (default: on)",
        "arrays (default: off)",
    ):
        assert end in text
