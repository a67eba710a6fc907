"""`rdvar settings`: every setting, its default, and the comment beside it in the source."""

from rdvar_jax.cli.main import main
from rdvar_jax.cli.settings import setting_names
from rdvar_jax.runs.config import default_config


def test_every_setting_is_listed_with_its_default(capsys, monkeypatch):
    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    config = default_config()
    expected = []
    for name in setting_names(config):
        section, key = name.split(".")
        expected.append(f"{name} = {config[section][key]!r}")
    assert sorted(line for line in lines if " = " in line and line[0] != "#") == sorted(expected)
    at = lines.index("data.tile_overlap = 0.25")
    assert lines[at - 1] == "# Minimum overlap of neighbouring tiles, as a fraction of a tile."
    at = lines.index("distributed.coordinator = ''")
    assert lines[at - 1] == "# host:port on which process 0 listens"  # behind it in the source
    assert "[train]" in lines
