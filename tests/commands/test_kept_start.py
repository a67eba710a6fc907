"""Commands that find their programs in the cache write what commands without a cache write."""

import subprocess
import sys
from pathlib import Path

import pytest
from rdvar_process import MAIN

from rdvar_jax.devices.kept_files import SUFFIX

# Names of the output are in its page.
COMPARED = ("scores.csv", "scores.jsonl", "prediction.json", "maps/000.npy", "overlays/000.png")


class Starts:
    """`rdvar` in processes of their own, on one device, with a cache in a folder.

    Args:
        rdvar: of the tests.
        folder: for the cache and outputs.
    """

    def __init__(self, rdvar, folder: Path):
        self.folder, self.count = folder, 0
        self.programs = folder / "cache"
        self.environment = rdvar.environment | {
            "JAX_NUM_CPU_DEVICES": "1",
            "JAX_COMPILATION_CACHE_DIR": str(self.programs),
            "RDVAR_KEEP_PROGRAMS": "1",
        }

    def begin(self, *args, **environment: str):
        self.count += 1
        output = self.folder / str(self.count) / "output"
        output.parent.mkdir()
        command = [sys.executable, "-c", MAIN, "predict", *args, "--save_maps", "--output", output]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, output

    def finish(self, begun) -> dict[str, bytes]:
        process, output = begun
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return {name: (output / name).read_bytes() for name in COMPARED}

    def predict(self, *args, **environment: str) -> dict[str, bytes]:
        return self.finish(self.begin(*args, **environment))

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.programs.glob(f"*{SUFFIX}")}


@pytest.mark.slow
@pytest.mark.parametrize("source", ["--workdir", "--bundle"])
def test_outputs_do_not_depend_on_the_cache(rdvar, finished, tmp_path, source):
    starts, image = Starts(rdvar, tmp_path), rdvar.root / "tile" / "test" / "spot" / "000.png"
    path = finished.workdir if source == "--workdir" else finished.exports / "part.rdvar"
    args = (source, path, image)
    expected = starts.predict(*args, JAX_ENABLE_COMPILATION_CACHE="0")
    assert not starts.kept()

    two = [starts.begin(*args) for _ in range(2)]  # both make the same files
    assert [starts.finish(one) for one in two] == [expected] * 2
    kept = starts.kept()
    assert len([name for name in kept if not name.startswith("shapes")]) == (
        2 if source == "--workdir" else 1
    )
    assert starts.predict(*args) == expected
    assert starts.kept() == kept

    for name, content in kept.items():
        flipped = bytearray(content)
        flipped[len(flipped) * 3 // 4] ^= 1
        (starts.programs / name).write_bytes(flipped)
    assert starts.predict(*args) == expected
    assert starts.kept().keys() == kept.keys()

    starts.environment["JAX_COMPILATION_CACHE_DIR"] = str(image)  # a file, not a folder
    assert starts.predict(*args) == expected
