"""`Detector` in Python on the kit's photographs: rows "one" and "list".

`data` is the kit's file. As a user's own script: without what `rdvar` sets up. "one" loads the
bundle and scores one photograph, and is timed from outside; "list" also times its parts alone:
decoding by the library's threads, and the network on the decoded images.
"""

# The clock starts before the large imports.
# ruff: noqa: E402

import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from serve import Call, Settings, read_settings, serve

from benchmark_rows.kit import BATCH_SIZE, read_kit
from rdvar_jax import Detector

NAME, DECODING, NETWORK = "Detector.predict", "decoding alone", "bundle's network alone"


def main(settings: Settings) -> None:
    assert settings.data is not None
    kit = read_kit(settings.data)
    detector = Detector.load(kit.bundle, batch_size=BATCH_SIZE)
    if settings.row == "one":
        one = kit.photographs[:1]
        serve({NAME: Call(lambda: detector.predict(one), 1)}, STARTED, settings)
        return

    from rdvar_jax.data.pixels.decode import decode_images
    from rdvar_jax.data.sets.inputs import find_inputs

    photographs = kit.photographs
    inputs = find_inputs([Path(path) for path in photographs])

    def decode():
        return decode_images(inputs, settings.image_size, progress=False, allow_mixed_sizes=True)

    pixels = decode()

    def network():
        for start in range(0, len(pixels), BATCH_SIZE):
            detector.score(pixels[start : start + BATCH_SIZE])

    count = len(photographs)
    calls = {
        NAME: Call(lambda: detector.predict(photographs), count),
        DECODING: Call(decode, count),
        NETWORK: Call(network, count),
    }
    serve(calls, STARTED, settings)


if __name__ == "__main__":
    main(read_settings())
