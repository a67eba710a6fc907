"""Scoring with exported files: rows "bundle", with `Detector`, and "onnx", with ONNX Runtime."""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()  # as `rdvar` does, before JAX is imported

import jax
from jax_networks import Networks
from serve import Call, Settings, read_settings, serve

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, write_bundle
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.program import bundled_weights, export_program, folded_weights
from rdvar_jax.weights.safetensors_file import safetensors_bytes


def main(settings: Settings) -> None:
    networks = Networks(settings, Parallel("pmap", (jax.local_devices()[0],)), settings.batch)
    make = {"bundle": bundle, "onnx": onnx}[settings.row]
    with tempfile.TemporaryDirectory() as folder:
        run, facts = make(settings, networks, Path(folder))
    name = f"{settings.row} {settings.batch}"
    call = Call(run, settings.batch, "score")
    serve({name: call}, STARTED, settings, facts=lambda: facts)


def bundle(
    settings: Settings, networks: Networks, folder: Path
) -> tuple[Callable[[], object], dict]:
    """Writes a bundle, loads it, and scores the batch; results arrive on the host."""
    weights = folded_weights(networks.teacher_variables, networks.variables)
    pair, size, precision = (
        (networks.teacher, networks.student),
        settings.image_size,
        settings.precision,
    )
    weights = bundled_weights(*pair, weights, size, precision)
    program = export_program(*pair, weights, size, SIGMA, precision)
    about = {"image": {"geometry": "squash", "height": size, "width": size}, "threshold": None}
    members = {PROGRAM: program, WEIGHTS: safetensors_bytes(weights, {})}
    write_bundle(folder / "x.rdvar", about, members)
    detector = Detector.load(folder / "x.rdvar", batch_size=settings.batch)
    device = jax.local_devices()[0].device_kind
    return lambda: detector.predict(networks.images), {"device": device}


def onnx(settings: Settings, networks: Networks, folder: Path) -> tuple[Callable[[], object], dict]:
    """Writes an ONNX model and scores the batch with ONNX Runtime on the CPU."""
    import onnxruntime

    from rdvar_jax.serving.onnx_network import INPUT, build_onnx

    weights = folded_weights(networks.teacher_variables, networks.variables)
    path = folder / "x.onnx"
    path.write_bytes(build_onnx(settings.arch, weights, settings.image_size, SIGMA, {}))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    versions = {"onnxruntime": onnxruntime.__version__}
    return lambda: session.run(None, {INPUT: networks.images}), {"versions": versions}


if __name__ == "__main__":
    main(read_settings())
