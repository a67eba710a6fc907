"""The train step on 1, 2, 4 ... devices: of the same global batch, and of the same batch each.

Rows "train", under pmap, and "train+shard_map".
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()

import jax

# As many virtual devices as a test of the machinery needs; they share the processor's cores. Other
# platforms have devices of their own, and this setting says nothing about them.
NUM_CPU_DEVICES = 2
jax.config.update("jax_num_cpu_devices", NUM_CPU_DEVICES)

from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.training.losses import RDVarLoss


def main(settings: Settings) -> None:
    devices = jax.local_devices()
    mode = "shard_map" if settings.row == "train+shard_map" else "pmap"
    calls = {}
    number = 1
    while number <= len(devices):
        parallel = Parallel(mode, tuple(devices[:number]))
        # Strong scaling: the same global batch. Weak scaling: the same batch a device.
        for batch in sorted({settings.batch, settings.batch * number}):
            name = f"{number} device{'s' * (number > 1)}, {batch} images"
            run = Networks(settings, parallel, batch).train(RDVarLoss(lambda_var=0.1))
            calls[name] = Call(run, batch, "train", {"devices": number})
        number *= 2
    first, *others = calls
    device = devices[0]
    facts = {"device": device.device_kind, "num_devices": len(devices)}
    if device.platform == "cpu":
        facts["note"] = "the devices are virtual: they share the same cores"
    serve(calls, STARTED, settings, pairs=[(name, first) for name in others], facts=lambda: facts)


if __name__ == "__main__":
    main(read_settings())
