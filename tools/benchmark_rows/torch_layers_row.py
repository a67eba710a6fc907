"""The same convolutions and gradients in PyTorch, `channels_last`; needs torch.

On a GPU that is cuDNN, which chooses its algorithms by trying them.
"""

# The clock starts before the large imports.
# ruff: noqa: E402

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import os
import time

STARTED = time.perf_counter()

from collections.abc import Callable
from pathlib import Path

import torch
from layer import PASSES, Layer, read_layers
from serve import Call, Settings, read_settings, serve


def main(settings: Settings) -> None:
    _, precision, *copies = settings.row.split("+")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    calls = {}
    for layer in read_layers(Path(settings.data).read_text()):
        timed = Timed(layer, dtype, int(copies[0]) if copies else 1, device)
        for name in PASSES:
            if name in settings.passes and layer.counts[name]:
                calls[f"torch, {name}, {layer.name}"] = Call(timed.make(name), timed.copies)
    serve(calls, STARTED, settings, facts=lambda: {"versions": {"torch": torch.__version__}})


class Timed:
    """One layer with `copies` random inputs, kernels and cotangents on the device."""

    def __init__(self, layer: Layer, dtype: torch.dtype, copies: int, device: str):
        self.layer, self.copies, self.device = layer, copies, device

        def draw(shape: tuple[int, ...]) -> list:
            return [
                torch.randn(shape, device=device, dtype=dtype).contiguous(
                    memory_format=torch.channels_last
                )
                for _ in range(copies)
            ]

        def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape[0], shape[3], shape[1], shape[2]

        rows, columns, c_in, c_out = layer.kernel_shape
        self.transposed = layer.kind == "deconv"
        self.inputs = draw(channels_first(layer.shape))
        self.kernels = draw((*((c_in, c_out) if self.transposed else (c_out, c_in)), rows, columns))
        self.cotangents = draw(channels_first(layer.output_shape))

    def make(self, name: str) -> Callable[[], object]:
        """Makes the function that runs one of `PASSES` and waits for the results."""
        padding = 0 if self.transposed else (self.layer.kernel_size - 1) // 2
        about = ([self.layer.stride] * 2, [padding] * 2, [1, 1], self.transposed, [0, 0], 1)

        def one(x, kernel, cotangent):
            if name in ("forward", "scoring"):
                return torch.ops.aten.convolution(x, kernel, None, *about)
            mask = [name == "input gradient", name == "kernel gradient", False]
            return torch.ops.aten.convolution_backward(cotangent, x, kernel, None, *about, mask)

        @torch.no_grad()
        def run():
            every = zip(self.inputs, self.kernels, self.cotangents, strict=True)
            return [one(*each) for each in every]

        return recorded(run) if self.device == "cuda" else run


def recorded(run: Callable[[], object]) -> Callable[[], object]:
    """Records the kernels of `run` and replays them: a launch from Python outlasts many layers."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # cuDNN chooses its algorithms
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = run()

    def replay():
        graph.replay()
        torch.cuda.synchronize()
        return kept

    return replay


if __name__ == "__main__":
    main(read_settings())
