"""This project's train step and scoring: rows "train", "score" and either with "+OPTION".

Options: "cache" for kept teacher features, "shard_map" instead of pmap; "K_alone" and "K_a_call",
such as "4_a_call", time K steps, of a call each or in one call; "ynn_reductions" lets YNNPACK
compute reductions, as this project did until jaxlib 0.10.2 got some of them wrong.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()  # as `rdvar` does, before JAX is imported

import jax
from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from rdvar_jax.devices import compiler
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.training.losses import RDVarLoss

YNN_REDUCTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


def main(settings: Settings) -> None:
    kind, *options = settings.row.split("+")
    if "ynn_reductions" in options:
        compiler.CPU_OPTIONS.update(YNN_REDUCTIONS)  # before the first compilation
        compiler.check_compiler = lambda *_: None  # it would find them wrong; here time counts
    device = jax.local_devices()[0]
    parallel = Parallel("shard_map" if "shard_map" in options else "pmap", (device,))
    networks, images = Networks(settings, parallel, settings.batch), settings.batch
    if kind == "score":
        run = networks.score()
    else:
        cached = "cache" in options
        kind = "train+cache" if cached else "train"
        steps_a_call, calls = (count_of(options, ending) for ending in ("_a_call", "_alone"))
        run = networks.train(RDVarLoss(lambda_var=0.1), cached, steps_a_call, calls)
        images *= steps_a_call * calls
    name = f"jax {settings.row} {settings.batch}"
    call = Call(run, images, kind)

    def facts():
        memory = (device.memory_stats() or {}).get("peak_bytes_in_use")  # None on CPU
        of_device = {} if memory is None else {"device_peak_gb": memory / 1e9}
        return {"device": device.device_kind, **of_device}

    serve({name: call}, STARTED, settings, facts=facts)


def count_of(options: list[str], ending: str) -> int:
    """K of an option "K_..." with this ending; 1 without one."""
    found = [option.removesuffix(ending) for option in options if option.endswith(ending)]
    return int(found[0]) if found else 1


if __name__ == "__main__":
    main(read_settings())
