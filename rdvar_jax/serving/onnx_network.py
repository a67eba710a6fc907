"""ONNX models of trained runs: uint8 images in, raw maps and scores out.

The networks of `models/`, with their names, in ONNX operations. Tests compare each backbone with
the Flax modules.
"""

from collections.abc import Mapping

import numpy as np

from rdvar_jax.errors import ConfigError
from rdvar_jax.models.cosine import EPSILON
from rdvar_jax.models.fold import norm_of
from rdvar_jax.models.image_size import ImageSize, height_width
from rdvar_jax.models.stfpm import PyramidStudent
from rdvar_jax.models.student import Student, StudentNetwork
from rdvar_jax.models.teacher import DEVIATION, MEAN
from rdvar_jax.scoring.maps import blur_matrix, map_matrices, upsampling_matrices
from rdvar_jax.scoring.pooling import MAX, Pooling, count_pooled, num_counted
from rdvar_jax.serving.onnx_graph import GraphBuilder
from rdvar_jax.serving.onnx_names import INPUT, LOWEST, MAP, SCORE
from rdvar_jax.weights.architectures import Architecture, get_architecture


def build_onnx(
    arch: str,
    weights: Mapping[str, np.ndarray],
    image_size: ImageSize,
    sigma: float,
    properties: Mapping[str, str],
    pooling: Pooling = MAX,
    ignored: np.ndarray | None = None,
    student: type[StudentNetwork] = Student,
) -> bytes:
    """Builds the model of a run.

    Args:
        arch: name of the backbone.
        weights: from `folded_weights`.
        image_size: S or (H, W).
        sigma: of the map's blur, in pixels.
        properties: metadata of the model.
        pooling: as in `make_score_step`.
        ignored: bool [H, W], pixels that do not count, a constant of the model; None if all do.
        student: the trained network's class.

    Returns:
        A serialised model with the input "images", uint8 [B, H, W, 3], and the outputs "maps"
        [B, H, W] and "scores" [B], float32, for any B.

    Raises:
        ConfigError: the student has no ONNX form.
    """
    network = _Network(get_architecture(arch), weights)
    graph = network.graph
    images = _normalised(graph)
    targets = network.pyramid(images, "teacher")
    shape = height_width(image_size)
    name = MAP if ignored is None else "maps/all"
    if student is Student:
        features = network.decoder(network.bottleneck(targets))
        maps = _summed(graph, targets, features, shape, sigma, name)
    elif student is PyramidStudent:
        features = network.pyramid(images, "student/network")
        maps = _multiplied(graph, targets, features, shape, sigma, name)
    else:
        raise ConfigError(
            f"{student.__name__} cannot be written as an ONNX model; use --format stablehlo."
        )
    if ignored is not None:
        left_out = graph.constant("ignored", ignored)
        zero, lowest = (
            graph.constant(name, np.array(value, np.float32))
            for name, value in (("ignored/zero", 0), (LOWEST, -np.inf))
        )
        graph.add("Where", [left_out, zero, maps], MAP)
        maps = graph.add("Where", [left_out, lowest, maps], "maps/counted")
    _add_score(graph, maps, pooling, num_counted(ignored, shape[0] * shape[1]))
    return graph.model(
        "reverse_distillation",
        {INPUT: (np.uint8, ["B", *shape, 3])},
        {MAP: ["B", *shape], SCORE: ["B"]},
        properties,
    )


def _add_score(graph: GraphBuilder, maps: str, pooling: Pooling, num_pixels: int) -> None:
    """Adds the scores of maps of this many pixels that count; see `pooled`."""
    if pooling == MAX:
        graph.add("ReduceMax", [maps], SCORE, axes=[1, 2], keepdims=0)
        return
    count = np.array([count_pooled(float(pooling), num_pixels)], np.int64)
    flat = graph.add("Flatten", [maps], "score/values", axis=1)
    highest = graph.add_first(
        "TopK",
        [flat, graph.constant("score/count", count)],
        "score/highest",
        "score/places",
        axis=1,
    )
    graph.add("ReduceMean", [highest], SCORE, axes=[1], keepdims=0)


class _Network:
    """Teacher and student in one graph."""

    def __init__(self, architecture: Architecture, weights: Mapping[str, np.ndarray]):
        self.graph = GraphBuilder()
        self._arch, self._weights = architecture, weights

    def pyramid(self, x: str, path: str) -> list[str]:
        """Adds the teacher, or a student like it; returns layer1, layer2, layer3."""
        x = self.graph.relu(self._conv(x, f"{path}/conv1", stride=2))
        x = self.graph.add(
            "MaxPool", [x], f"{path}/pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        )
        features = []
        for index, num_blocks in enumerate(self._arch.stage_blocks, start=1):
            x = self._stage(x, f"{path}/layer{index}", num_blocks, 1 if index == 1 else 2)
            features.append(x)
        return features

    def bottleneck(self, teacher_features: list[str]) -> str:
        """Adds the bottleneck; returns the one-class embedding."""
        f1, f2, f3 = teacher_features
        for name in ("conv1", "conv2"):
            f1 = self.graph.relu(self._conv(f1, f"student/ocbe/{name}", stride=2))
        f2 = self.graph.relu(self._conv(f2, "student/ocbe/conv3", stride=2))
        fused = self.graph.add("Concat", [f1, f2, f3], "student/ocbe/fused", axis=1)
        return self._stage(fused, "student/ocbe/bn_layer", self._arch.ocbe_blocks, stride=2)

    def decoder(self, x: str) -> list[str]:
        """Adds the decoder; returns D1, D2, D3, shaped like the teacher's maps."""
        features = []
        for index, num_blocks in enumerate(self._arch.stage_blocks, start=1):
            x = self._stage(x, f"student/decoder/layer{index}", num_blocks)
            features.append(x)
        return features[::-1]

    def _stage(self, x: str, path: str, num_blocks: int, stride: int = 1) -> str:
        for index in range(num_blocks):
            x = self._block(x, f"{path}/block{index}", stride if index == 0 else 1)
        return x

    def _block(self, x: str, path: str, stride: int) -> str:
        """Adds a residual block, with a deconvolution if the weights have one."""
        if self._arch.block == "basic":
            y = self.graph.relu(self._conv(x, f"{path}/conv1", stride))
            y = self._conv(y, f"{path}/conv2")
        else:
            y = self.graph.relu(self._conv(x, f"{path}/conv1"))
            y = self.graph.relu(self._conv(y, f"{path}/conv2", stride))
            y = self._conv(y, f"{path}/conv3")
        for shortcut in (f"{path}/downsample_conv", f"{path}/upsample_deconv"):
            if f"{shortcut}/kernel" in self._weights:
                x = self._conv(x, shortcut, stride)
        return self.graph.relu(self.graph.add("Add", [y, x], f"{path}/sum"))

    def _conv(self, x: str, path: str, stride: int = 1) -> str:
        """Adds a convolution or deconvolution with the bias of its folded normalisation."""
        folder, _, name = path.rpartition("/")
        kernel = self._weights[f"{path}/kernel"]
        bias = self._weights[f"{folder}/{norm_of(name)}/bias"]
        if kernel.shape[0] == 2:  # only the deconvolutions have an even kernel
            return self.graph.deconv(x, kernel, bias, path)
        return self.graph.conv(x, kernel, bias, path, stride)


def _normalised(graph: GraphBuilder) -> str:
    """Adds ImageNet's normalisation of uint8 images [B, H, W, 3]; returns [B, 3, H, W]."""
    factor, offset = 1 / (255 * DEVIATION), -MEAN / DEVIATION
    x = graph.add("Transpose", [INPUT], "pixels", perm=[0, 3, 1, 2])
    x = graph.add("Cast", [x], "pixels/float", to=1)  # TensorProto.FLOAT
    for operation, name, values in (("Mul", "factor", factor), ("Add", "offset", offset)):
        constant = graph.constant(name, values.astype(np.float32).reshape(1, 3, 1, 1))
        x = graph.add(operation, [x, constant], f"normalised/{name}")
    return x


def _summed(
    graph: GraphBuilder,
    targets: list[str],
    features: list[str],
    shape: tuple[int, int],
    sigma: float,
    output: str,
) -> str:
    """Adds the sum of B (1 - cos) C^T over the scales (`anomaly_maps`); returns [B, H, W]."""
    rows, columns = (
        map_matrices(side, [side // 4, side // 8, side // 16], sigma) for side in shape
    )
    parts = []
    for index, of_scale in enumerate(zip(targets, features, rows, columns, strict=True), start=1):
        teacher, student, left, right = of_scale
        name = f"scale{index}"
        distance = _cosine_distance(graph, name, teacher, student)
        parts.append(_from_both_sides(graph, name, distance, left, right, f"{name}/map"))
    return graph.add("Sum", parts, output)


def _multiplied(
    graph: GraphBuilder,
    targets: list[str],
    features: list[str],
    shape: tuple[int, int],
    sigma: float,
    output: str,
) -> str:
    """Adds the blurred product over the scales (`product_maps`); returns [B, H, W]."""
    rows, columns = (
        upsampling_matrices(side, [side // 4, side // 8, side // 16]) for side in shape
    )
    parts = []
    for index, of_scale in enumerate(zip(targets, features, rows, columns, strict=True), start=1):
        teacher, student, left, right = of_scale
        name = f"scale{index}"
        distance = _unit_distance(graph, name, teacher, student)
        parts.append(_from_both_sides(graph, name, distance, left, right, f"{name}/map"))
    two = graph.add("Mul", parts[:2], "scales/two")
    product = output if sigma == 0 else "scales/all"
    product = graph.add("Mul", [two, parts[2]], product)
    if sigma == 0:
        return product
    left, right = (blur_matrix(side, sigma).astype(np.float32) for side in shape)
    return _from_both_sides(graph, "blur", product, left, right, output)


def _cosine_distance(graph: GraphBuilder, name: str, teacher: str, student: str) -> str:
    """Adds 1 - cos over the channels; returns [B, h, w]."""
    channels = graph.constant(f"{name}/channels", np.array([1], np.int64))
    least = graph.constant(f"{name}/least", np.array(EPSILON, np.float32))
    one = graph.constant(f"{name}/one", np.array(1, np.float32))
    product = graph.add("Mul", [teacher, student], f"{name}/product")
    cosine = graph.add("ReduceSum", [product, channels], f"{name}/dot", keepdims=0)
    for features, what in ((teacher, "teacher"), (student, "student")):
        norm = graph.add("ReduceL2", [features], f"{name}/{what}/norm", axes=[1], keepdims=0)
        norm = graph.add("Max", [norm, least], f"{name}/{what}/clamped")
        cosine = graph.add("Div", [cosine, norm], f"{name}/cosine/{what}")
    return graph.add("Sub", [one, cosine], f"{name}/distance")


def _unit_distance(graph: GraphBuilder, name: str, teacher: str, student: str) -> str:
    """Adds half the squared distance of unit vectors of channels; returns [B, h, w]."""
    channels = graph.constant(f"{name}/channels", np.array([1], np.int64))
    least = graph.constant(f"{name}/least", np.array(EPSILON, np.float32))
    half = graph.constant(f"{name}/half", np.array(0.5, np.float32))
    units = []
    for features, what in ((teacher, "teacher"), (student, "student")):
        norm = graph.add("ReduceL2", [features], f"{name}/{what}/norm", axes=[1], keepdims=1)
        norm = graph.add("Max", [norm, least], f"{name}/{what}/clamped")
        units.append(graph.add("Div", [features, norm], f"{name}/{what}/unit"))
    difference = graph.add("Sub", units, f"{name}/difference")
    squared = graph.add("Mul", [difference, difference], f"{name}/squared")
    total = graph.add("ReduceSum", [squared, channels], f"{name}/total", keepdims=0)
    return graph.add("Mul", [total, half], f"{name}/distance")


def _from_both_sides(
    graph: GraphBuilder,
    name: str,
    maps: str,
    rows_matrix: np.ndarray,
    columns_matrix: np.ndarray,
    output: str,
) -> str:
    """Adds L m R^T of maps [B, h, w]; returns [B, H, W]."""
    left = graph.constant(f"{name}/rows", rows_matrix)
    right = graph.constant(f"{name}/columns", columns_matrix.T)
    rows = graph.add("MatMul", [left, maps], f"{name}/rows/product")
    return graph.add("MatMul", [rows, right], output)
