"""The parts of `rdvar predict` on the kit's photographs, each alone, in a process that is warm.

`data` is the kit's file. Decoding by the library's threads, and this project's networks, as a run
scores with them, on the decoded images.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rdvar_jax.cli.start import start_jax

start_jax()

import jax
from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from benchmark_rows.kit import read_kit
from rdvar_jax.data.pixels.decode import decode_images
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.devices.parallel import Parallel

DECODING, NETWORKS = "decoding alone", "networks alone"


def main(settings: Settings) -> None:
    assert settings.data is not None
    inputs = find_inputs([Path(path) for path in read_kit(settings.data).photographs])

    def decode():
        return decode_images(inputs, settings.image_size, progress=False, allow_mixed_sizes=True)

    networks = Networks(settings, Parallel("pmap", (jax.local_devices()[0],)), settings.batch)
    count = len(inputs)
    calls = {
        DECODING: Call(decode, count),
        NETWORKS: Call(networks.score(decode()), count, "score"),
    }
    serve(calls, STARTED, settings)


if __name__ == "__main__":
    main(read_settings())
