"""Single convolutions of this project's networks, with their gradients: the rows of layer_table.py.

`data` is the file with the layers. A row is "LAYERS+PRECISION", or "LAYERS+PRECISION+N": N
independent copies in one call, for GPUs, on which starting a call takes longer than a layer.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from layer import PASSES, Layer, read_layers
from serve import Call, Settings, read_settings, serve

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.models.layers import Conv, Deconv
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.prepared_kernels import with_prepared_kernels


def main(settings: Settings) -> None:
    _, precision, *copies = settings.row.split("+")
    assert settings.data is not None
    device = jax.local_devices()[0]
    calls = {}
    for layer in read_layers(Path(settings.data).read_text()):
        timed = Timed(layer, precision, int(copies[0]) if copies else 1, device)
        for name in PASSES:
            if name in settings.passes and layer.counts[name]:
                calls[f"ours, {name}, {layer.name}"] = Call(timed.make(name), timed.copies)
    serve(calls, STARTED, settings, facts=lambda: {"device": device.device_kind})


class Timed:
    """One layer with `copies` random inputs, kernels and cotangents on the device."""

    def __init__(self, layer: Layer, precision: str, copies: int, device: Any):
        self.layer, self.precision, self.copies, self.device = layer, precision, copies, device
        dtype = compute_dtype(precision)
        rng = np.random.default_rng(0)

        def draw(shape: tuple[int, ...], dtype: Any) -> list[jax.Array]:
            return [
                jax.device_put(rng.standard_normal(shape, np.float32), device).astype(dtype)
                for _ in range(copies)
            ]

        self.inputs = draw(layer.shape, dtype)
        self.kernels = draw(layer.kernel_shape, jnp.float32)  # as the parameters are
        self.cotangents = draw(layer.output_shape, dtype)
        if layer.kind == "deconv":
            self.module = Deconv(layer.features)
        else:
            self.module = Conv(layer.features, layer.kernel_size, layer.stride)

    def make(self, name: str) -> Callable[[], object]:
        """Makes the function that runs one of `PASSES` and waits for the results."""
        if name == "scoring":
            return self._scoring()
        module = self.module

        def apply(x, kernel):
            return module.apply({"params": {"kernel": kernel}}, x)

        def one(x, kernel, cotangent):
            if name == "forward":
                return apply(x, kernel)
            index = 0 if name == "input gradient" else 1
            return jax.vjp(apply, x, kernel)[1](cotangent)[index]

        def several(inputs, kernels, cotangents):
            return [one(*each) for each in zip(inputs, kernels, cotangents, strict=True)]

        run = self._compiled(several)
        return lambda: jax.block_until_ready(run(self.inputs, self.kernels, self.cotangents))

    def _scoring(self) -> Callable[[], object]:
        shape = jax.ShapeDtypeStruct(self.layer.shape, self.inputs[0].dtype)
        prepare = self._compiled(lambda kernel: self._prepared(kernel, shape))
        variables = [prepare(kernel) for kernel in self.kernels]

        def several(inputs, variables):
            pairs = zip(inputs, variables, strict=True)
            return [self.module.apply(values, x) for x, values in pairs]

        run = self._compiled(several)
        return lambda: jax.block_until_ready(run(self.inputs, variables))

    def _prepared(self, kernel, shape):
        variables = {"params": {"kernel": kernel}}
        if shape.dtype != jnp.float32:
            return variables
        return with_prepared_kernels(self.module, variables, shape)

    def _compiled(self, fn: Callable) -> Callable:
        return compiled(with_precision(self.precision, fn), platform=self.device.platform)


if __name__ == "__main__":
    main(read_settings())
