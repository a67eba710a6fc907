"""This project's train step and scoring: rows "train", "train+OPTION" and "score"."""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.command_line.start import start_jax

start_jax()  # as `rdvar` does, before JAX is imported

import jax
from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from rdvar_jax.parallel import Parallel
from rdvar_jax.training.losses import LossSettings


def main(settings: Settings) -> None:
    kind, *options = settings.row.split("+")
    device = jax.local_devices()[0]
    parallel = Parallel("shard_map" if "shard_map" in options else "pmap", (device,))
    networks = Networks(settings, parallel, settings.batch)
    if kind == "score":
        run = networks.score()
    else:
        cached = "cache" in options
        kind = "train+cache" if cached else "train"
        run = networks.train(LossSettings(lambda_var=0.1), cached)
    name = f"jax {settings.row} {settings.batch}"
    call = Call(run, settings.batch, kind)
    serve({name: call}, STARTED, settings, facts=lambda: {"device": device.device_kind})


if __name__ == "__main__":
    main(read_settings())
