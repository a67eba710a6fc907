"""Cost of the variance loss (the paper's Table II): one state, three compiled train steps.

The library computes and reports L_var also where its weight is 0. So there are two programs to
compare with: that one, and a step that has no L_var at all.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()

import jax
from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.training.losses import RDVarLoss

WITH, ZERO, WITHOUT = "lambda 0.1", "lambda 0", "no L_var"


def main(settings: Settings) -> None:
    device = jax.local_devices()[0]
    networks = Networks(settings, Parallel("pmap", (device,)), settings.batch)
    losses = {
        WITH: RDVarLoss(lambda_var=0.1),
        ZERO: RDVarLoss(lambda_var=0.0),
        WITHOUT: RDVarLoss(lambda_var=0.0, stages=()),
    }
    calls = {
        name: Call(networks.train(loss), settings.batch, "train") for name, loss in losses.items()
    }
    pairs = [(WITH, WITHOUT), (WITH, ZERO)]
    serve(calls, STARTED, settings, pairs=pairs, facts=lambda: {"device": device.device_kind})


if __name__ == "__main__":
    main(read_settings())
