"""docs/reference.md names every public name, and the examples of the cheap ones are true."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import rdvar_jax

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHEAP = ("auroc", "average_precision", "f1_max", "aupro", "Architecture", "RDVarLoss",
         "ReverseDistillation")  # fmt: skip


def names_and_numpy() -> dict:
    return {"np": np} | {name: getattr(rdvar_jax, name) for name in rdvar_jax.__all__}


@pytest.mark.parametrize("name", CHEAP)
def test_the_example_of_a_public_name_is_true(name):
    docstring = getattr(rdvar_jax, name).__doc__
    check(doctest.DocTestParser().get_doctest(docstring, names_and_numpy(), name, None, None))


def test_the_example_on_the_page_is_true():
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^   >>> .*?(?=^```)", page, flags=re.DOTALL | re.MULTILINE)
    check(doctest.DocTestParser().get_doctest(example, names_and_numpy(), "page", None, None))


def check(examples: doctest.DocTest) -> None:
    assert examples.examples, f"{examples.name} shows no example"
    said: list[str] = []
    result = doctest.DocTestRunner().run(examples, out=said.append)
    assert result.failed == 0, "".join(said)


def test_each_public_name_is_on_the_page_once():
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    tables = "".join(re.findall(r"```\{eval-rst\}\n(.*?)```", page, flags=re.DOTALL))
    listed = re.findall(r"^   ([A-Za-z]\w*)$|^\.\. py:data:: (\w+)$", tables, flags=re.MULTILINE)
    names = ["".join(pair) for pair in listed]
    assert sorted(names) == sorted(set(rdvar_jax.__all__) - {"__version__"})


def test_every_public_function_and_class_shows_an_example():
    for name in set(rdvar_jax.__all__) - {"__version__", "ARCHITECTURES"}:
        assert ">>>" in getattr(rdvar_jax, name).__doc__, name
