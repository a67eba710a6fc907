"""The names that the package gives, and what importing them costs."""

import subprocess
import sys

import pytest

import rdvar_jax

HEAVY = ("jax", "numpy", "flax", "optax", "orbax", "PIL", "ml_collections")


def test_dir_and_all_are_true():
    assert dir(rdvar_jax) == sorted(rdvar_jax.__all__)
    for name in rdvar_jax.__all__:
        assert getattr(rdvar_jax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = rdvar_jax.train


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, rdvar_jax; dir(rdvar_jax); rdvar_jax.__version__\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # this process has them all


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.delitem(rdvar_jax.__dict__, "fit", raising=False)
    for name in [name for name in sys.modules if name.startswith("rdvar_jax.runs.fitted")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rdvar_jax.runs.fitted", None)

    def refuse(name):
        raise ModuleNotFoundError("No module named 'optax'", name="optax")

    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(ModuleNotFoundError, match=r'rdvar_jax.fit: optax.*"rdvar-jax\[train\]"'):
        _ = rdvar_jax.fit
