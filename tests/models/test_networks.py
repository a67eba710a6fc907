"""Sizes, names and initial values of the five networks (SPEC: torchvision and RD4AD)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.initialise import abstract_variables, init_variables
from rdvar_jax.models.student import OneClassBottleneck
from rdvar_jax.models.teacher import normalise
from rdvar_jax.weights.architectures import ARCHITECTURES, IMAGENET_WIDTH, Architecture


def millions(tree) -> float:
    return round(sum(x.size for x in jax.tree.leaves(tree)) / 1e6, 2)


def abstract(arch):
    teacher = build_teacher(arch, IMAGENET_WIDTH)
    student = build_student(arch, IMAGENET_WIDTH)
    shapes = feature_shapes(arch, IMAGENET_WIDTH, 256)
    return (
        teacher,
        abstract_variables(teacher, image_shape(256)),
        student,
        abstract_variables(student, shapes, train=False),
        shapes,
    )


@pytest.mark.parametrize(
    ("arch", "teacher_millions", "ocbe_millions", "decoder_millions"),
    [
        ("wide_resnet50_2", 24.86, 58.89, 24.92),
        ("resnet50", 8.54, 30.83, 15.82),
        ("resnet18", 2.78, 11.68, 3.70),
    ],
)
def test_parameter_counts(arch, teacher_millions, ocbe_millions, decoder_millions):
    _, teacher, _, student, _ = abstract(arch)
    assert millions(teacher["params"]) == teacher_millions
    assert millions(student["params"]["ocbe"]) == ocbe_millions
    assert millions(student["params"]["decoder"]) == decoder_millions


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_student_gives_maps_of_the_teachers_shapes(arch):
    teacher, teacher_variables, student, student_variables, shapes = abstract(arch)
    features = jax.eval_shape(teacher.apply, teacher_variables, image_shape(256))
    assert [f.shape for f in features] == [s.shape for s in shapes]
    decoded = jax.eval_shape(
        lambda v, f: student.apply(v, f, train=False), student_variables, features
    )
    assert [d.shape for d in decoded] == [f.shape for f in features]


def test_wide_resnet50_shapes_of_the_paper():
    shapes = feature_shapes("wide_resnet50_2", 64, 256)
    assert [s.shape for s in shapes] == [(1, 64, 64, 256), (1, 32, 32, 512), (1, 16, 16, 1024)]
    *_, student_variables, _ = abstract("wide_resnet50_2")
    params = student_variables["params"]
    kernels = {
        ("ocbe", "conv1"): (3, 3, 256, 512),
        ("ocbe", "conv2"): (3, 3, 512, 1024),
        ("ocbe", "conv3"): (3, 3, 512, 1024),
        ("ocbe", "bn_layer", "block0", "conv1"): (1, 1, 3072, 1024),
        ("ocbe", "bn_layer", "block0", "conv2"): (3, 3, 1024, 1024),
        ("ocbe", "bn_layer", "block0", "conv3"): (1, 1, 1024, 2048),
        ("ocbe", "bn_layer", "block0", "downsample_conv"): (1, 1, 3072, 2048),
        ("decoder", "layer1", "block0", "conv1"): (1, 1, 2048, 512),
        ("decoder", "layer1", "block0", "conv2"): (2, 2, 512, 512),
        ("decoder", "layer1", "block0", "upsample_deconv"): (2, 2, 2048, 1024),
        ("decoder", "layer3", "block0", "conv2"): (2, 2, 128, 128),
        ("decoder", "layer3", "block5", "conv2"): (3, 3, 128, 128),
    }
    for path, shape in kernels.items():
        node = params
        for name in path:
            node = node[name]
        assert node["kernel"].shape == shape, path
    # Block counts run 3, 4, 6 from deep to shallow: not mirrored.
    counts = [len(params["decoder"][f"layer{k}"]) for k in (1, 2, 3)]
    assert counts == [3, 4, 6]


def test_stride_is_on_the_three_by_three():
    # With the stride on the first 1x1, three quarters of layer2's input would be ignored.
    teacher = build_teacher("resnet50", 4)
    variables = init_variables(teacher, image_shape(32), seed=0)

    def layer2_of(layer1):
        def replace_layer1(next_fun, args, kwargs, context):
            out = next_fun(*args, **kwargs)
            return layer1 if context.module.name == "layer1" else out

        import flax.linen as nn

        with nn.intercept_methods(replace_layer1):
            return teacher.apply(variables, jnp.zeros((1, 32, 32, 3)))[1]

    layer1 = jnp.ones((1, 8, 8, 16))
    odd = layer1.at[0, 1, 1].set(5.0)
    assert not np.allclose(layer2_of(layer1), layer2_of(odd))


def test_the_bottleneck_joins_the_scales_in_rd4ads_order():
    """RD4AD's `bn` weights count on it: layer1's channels first, layer3's last."""
    module = OneClassBottleneck(Architecture("basic", (1, 1, 1), ocbe_blocks=1), stem_width=2)
    rng = np.random.default_rng(0)
    shapes = feature_shapes("resnet18", 2, 64)
    features = [rng.standard_normal(x.shape, np.float32) for x in shapes]
    variables = init_variables(module, shapes, seed=0, train=False)
    block = variables["params"]["bn_layer"]["block0"]

    @jax.jit
    def gradients(kept, features):
        params = {**variables["params"], "bn_layer": {"block0": dict(block)}}
        for name in ("conv1", "downsample_conv"):
            kernel = block[name]["kernel"] * kept.reshape(1, 1, -1, 1)
            params["bn_layer"]["block0"][name] = {"kernel": kernel}
        return jax.grad(lambda x: module.apply({**variables, "params": params}, x, False).sum())(
            features
        )

    for scale in range(3):
        kept = np.repeat(np.arange(3) == scale, 8).astype(np.float32)
        seen = [bool(np.any(gradient)) for gradient in gradients(kept, features)]
        assert seen == [k == scale for k in range(3)]


def test_initial_values_follow_rd4ad():
    student = build_student("resnet18", 16)
    variables = init_variables(student, feature_shapes("resnet18", 16, 64), seed=0, train=False)
    conv = variables["params"]["ocbe"]["conv2"]["kernel"]
    fan_out = 3 * 3 * conv.shape[-1]
    assert conv.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)
    assert abs(conv.mean()) < 0.01 * conv.std() * 10
    deconv = variables["params"]["decoder"]["layer1"]["block0"]["upsample_deconv"]["kernel"]
    bound = (4 * deconv.shape[-1]) ** -0.5
    assert 0.99 * bound < np.abs(deconv).max() <= bound
    assert deconv.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    norm = variables["params"]["decoder"]["layer1"]["block0"]["bn1"]
    stats = variables["batch_stats"]["decoder"]["layer1"]["block0"]["bn1"]
    for values, expected in ((norm["scale"], 1), (norm["bias"], 0), (stats["mean"], 0)):
        assert (values == expected).all()
    assert (stats["var"] == 1).all()


def test_seeds_give_different_students_and_one_seed_the_same():
    student, shapes = build_student("resnet18", 4), feature_shapes("resnet18", 4, 32)
    first, again, other = (
        init_variables(student, shapes, seed=seed, train=False) for seed in (3, 3, 4)
    )
    assert jax.tree.all(jax.tree.map(np.array_equal, first, again))
    kernel = first["params"]["ocbe"]["conv1"]["kernel"]
    assert not np.array_equal(kernel, other["params"]["ocbe"]["conv1"]["kernel"])
    assert not np.array_equal(
        first["params"]["decoder"]["layer1"]["block1"]["conv1"]["kernel"],
        first["params"]["decoder"]["layer1"]["block1"]["conv2"]["kernel"],
    )


def test_normalisation_is_imagenets():
    images = np.array([0, 128, 255], np.uint8).reshape(1, 1, 1, 3)
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(normalise(images).ravel(), expected, rtol=1e-6)
