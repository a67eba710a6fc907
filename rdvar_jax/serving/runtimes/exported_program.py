"""Programs of `jax.export` on JAX's default device."""

import hashlib
from collections.abc import Mapping

import jax
import numpy as np
from jax import export

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.serving.manifest import BadContent
from rdvar_jax.weights.printable import printable


class ExportedProgram:
    """A bundle's program with its weights on the device.

    Args:
        program: of `export_program`.
        weights: by name.
        size: H and W of its images.
        batch: images scored at once, at most.

    Raises:
        BadContent, ValueError, KeyError, TypeError: the program cannot be run here or does not fit
          weights and size.
        CompilerError: this version of JAX computes wrong numbers on this computer.
    """

    name = "jax"

    def __init__(
        self, program: bytes, weights: Mapping[str, np.ndarray], size: tuple[int, int], batch: int
    ):
        for name, array in weights.items():
            if not np.isfinite(array).all():
                raise BadContent(f"its weights {printable(name)} are not finite")
        self._batch = batch
        exported = export.deserialize(bytearray(program))
        if export.default_export_platform() not in exported.platforms:
            raise ValueError(f"it was exported for {', '.join(exported.platforms)}")
        self._check_shapes(exported, weights, size)
        device = jax.local_devices()[0]
        self._weights = jax.device_put(dict(weights), device)
        made_from = f"exported {hashlib.sha256(program).hexdigest()}"
        self._program = compiled(exported.call, platform=device.platform, made_from=made_from)

    def _check_shapes(
        self, exported: export.Exported, weights: Mapping[str, np.ndarray], size: tuple[int, int]
    ) -> None:
        """Raises an exception if the program does not take the images or returns other arrays."""
        for count in (1, 2):
            images = jax.ShapeDtypeStruct((count, *size, 3), np.uint8)
            found = jax.tree.map(
                lambda x: (x.shape, x.dtype.name),
                jax.eval_shape(exported.call, dict(weights), images),
            )
            if found != (((count, *size), "float32"), ((count,), "float32")):
                raise BadContent("its program does not return maps and scores of its images")

    def score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes maps and scores of 1, 2, 4, ... images, padded to these; see `Runtime`."""
        count = len(pixels)
        padded = min(1 << (count - 1).bit_length(), self._batch)
        pixels = np.pad(pixels, ((0, padded - count), (0, 0), (0, 0), (0, 0)))
        maps, scores = jax.device_get(self._program(self._weights, pixels))
        return maps[:count], scores[:count]
