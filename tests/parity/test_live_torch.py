"""The library against PyTorch itself, at full width, for every backbone.

`make test-torch` takes one backbone of each kind, `make test-nightly` the two that only add depth.

Train steps are compared twice. In float64, with narrow networks, every parameter must agree: the
formulas are the same. In float32, at full width, Adam's first steps make the rounding of a gradient
near zero into steps of a whole learning rate, in PyTorch as here, and the next steps start from
there. So parameters are compared where the first gradient is above `MEANINGFUL` of its tensor's
largest, and what PyTorch differs by from itself, in another memory format, is the measure. That
float32 gradients are as exact as PyTorch's is shown against PyTorch's own in float64.

`tools/parity_table.py` runs these tests and keeps what they measure.
"""

# torch is not among this project's own dependencies, so it may be absent where pyright runs.
# pyright: reportMissingImports=false

import copy
import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from differences import assert_close, difference, named, update_errors
from library_model import LEARNING_RATE, LibraryModel
from PIL import Image

import rdvar_jax.training.losses
from rdvar_jax.weights.architectures import ARCHITECTURES
from rdvar_jax.weights.torch_format.reader import read_torch_object

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "tools"))

from torch_reference import network  # noqa: E402
from torch_reference.losses import LossSettings  # noqa: E402
from torch_reference.quantities import (  # noqa: E402
    forward_quantities,
    sample,
    step_quantities,
)
from torch_reference.scoring import blur, scores, summed_maps  # noqa: E402
from torch_reference.training import AS_PUBLISHED, TUNED, Flavour  # noqa: E402
from torch_reference.weights import randomise, save_checkpoint, state_arrays  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.torch]

ARCHS = (
    "resnet18",
    "resnet50",
    "wide_resnet50_2",
    pytest.param("resnet34", marks=pytest.mark.nightly),
    pytest.param("wide_resnet101_2", marks=pytest.mark.nightly),
)
WIDTH, NARROW = 64, 4
FEATURE_SIZE, STEP_SIZE, SCORE_SIZE = 128, 64, 256
BATCH, NUM_STEPS = 2, 3
NUM_SAMPLES = 4096  # elements of each gradient and update that are compared
UNUSED = ("layer4.", "fc.", "conv4.", "bn4.")
LAMBDAS = {"lambda_0": 0.0, "lambda_0.1": 0.1}
IMAGES = (
    "leather_tiles/test/good/*.png",
    "leather_tiles/test/cut/*.png",
    "screw/test/good/*.png",
    "screw/test/scratch_head/*.png",
)

FEATURE_TOLERANCES = {
    "teacher": 1e-5,
    "embedding/eval": 1e-5,
    "decoder/eval": 1e-5,
    "embedding/train": 1e-4,
    "decoder/train": 1e-4,
}
DOUBLE_TOLERANCE = 1e-6
# In float32; the update is in units of the learning rate, for 99 % of its clear elements. Deep
# networks turn rounding into more than this, in PyTorch alone, too: then its own difference counts
# that another memory format makes.
STEP_TOLERANCES = {
    "gradient": 1e-4,
    "loss": 1e-5,
    "loss_var": 1e-4,  # 1 - cos of nearly equal vectors: small, beside the rounding of 1
    "statistics": 1e-5,
    "clear_update": 1e-4,
}
TIMES_ITS_OWN = 10
# One ReLU that rounding switches moves a gradient by a percent, in PyTorch as often as here, and
# which batch it happens to is chance: of the steps only the first loss is held to PyTorch.
DEEP_ARCHS = ("resnet50", "wide_resnet50_2", "wide_resnet101_2")
MEANINGFUL = 1e-2
# Few enough units, and enough batches, that each tensor has a batch without such a switch.
FEW_RELUS, GRADIENT_BATCHES = 16, 6


class Pair(NamedTuple):
    """The same weights in both implementations."""

    arch: str
    networks: network.Networks
    model: LibraryModel

    @classmethod
    def make(cls, arch: str, width: int) -> "Pair":
        networks = network.build_networks(arch, width)
        randomise(networks, seed=0)
        weights = {
            f"{prefix}.{name}": array
            for prefix, module in networks._asdict().items()
            for name, array in state_arrays(module).items()
            if not name.startswith(UNUSED)
        }
        model = LibraryModel(ARCHITECTURES[arch], width, FEATURE_SIZE, weights)
        return cls(arch, networks, model)


@pytest.fixture(scope="module", params=ARCHS)
def pair(request) -> Pair:
    return Pair.make(request.param, WIDTH)


def images(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    squares = rng.integers(20, 200, (BATCH, 8, 8, 3)).repeat(size // 8, 1).repeat(size // 8, 2)
    return (squares + rng.integers(0, 40, (BATCH, size, size, 3))).astype(np.uint8)


def test_features(pair, measured):
    batch = images(FEATURE_SIZE, seed=1)
    reference, ours = forward_quantities(pair.networks, batch), pair.model.forward(batch)
    for prefix, tolerance in FEATURE_TOLERANCES.items():
        measured.add(pair.arch, prefix, named(ours, prefix), named(reference, prefix))
        assert_close(named(ours, prefix), named(reference, prefix), tolerance)


@pytest.fixture(scope="module")
def real_images(shared, tmp_path_factory) -> Path:
    """A folder with copies of a few images, since several have the same name."""
    folder = tmp_path_factory.mktemp("images")
    for number, pattern in enumerate(IMAGES):
        shutil.copy(
            sorted((shared / "data" / "mvtec_256").glob(pattern))[0], folder / f"{number}.png"
        )
    return folder


def port(*args: Any) -> None:
    command = [sys.executable, "tools/port.py", *map(str, args)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.real_data
def test_rd4ads_checkpoints_come_over_and_go_back(pair, real_images, tmp_path, measured):
    teacher, checkpoint, folder = (tmp_path / name for name in ("t.pth", "c.pth", "run"))
    torch.save(pair.networks.teacher.state_dict(), teacher)
    save_checkpoint(pair.networks, checkpoint)
    given = ("--teacher", teacher, "--checkpoint", checkpoint, "--workdir", folder)
    port("from_rd4ad", "--arch", pair.arch, *given)
    maps, image_scores = predict(folder, real_images, tmp_path / "predicted")

    pixels = [np.asarray(Image.open(p).convert("RGB")) for p in sorted(real_images.iterdir())]
    with torch.no_grad():
        x = network.normalise(torch.from_numpy(np.stack(pixels)))
        modules = copy.deepcopy(pair.networks)
        targets = modules.teacher(x)
        features = modules.decoder.eval()(modules.bn.eval()(targets))
    expected = blur(summed_maps(targets, features, SCORE_SIZE))
    value_range = float(np.ptp(expected))
    measured.add(pair.arch, "map", {"map": maps}, {"map": expected}, scale=value_range)
    error = np.abs(image_scores / scores(expected) - 1).max()
    measured.add(pair.arch, "score", {"score": image_scores}, {"score": scores(expected)})
    assert np.abs(maps - expected).max() <= 1e-4 * value_range
    assert error <= 1e-5

    back = tmp_path / "back.pth"
    port("to_rd4ad", "--workdir", folder, "--output", back)
    states = torch.load(back, weights_only=True)
    for part, original in torch.load(checkpoint, weights_only=True).items():
        getattr(modules, part).load_state_dict(states[part], strict=True)
        for name, want in original.items():
            # The reference's counts are random, one for each; RD4AD's are all the same.
            if not name.startswith(UNUSED) and "num_batches" not in name:
                assert torch.equal(states[part][name], want), name


def predict(workdir: Path, images: Path, output: Path) -> tuple[np.ndarray, np.ndarray]:
    """Maps and scores as `rdvar predict` writes them, in the order of the images' names."""
    command = [sys.executable, "-m", "rdvar_jax", "predict", "--workdir", workdir]
    command += ["--input", images, "--output", output, "--save_maps", "--noheat_maps"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    with (output / "scores.csv").open(newline="") as file:
        rows = sorted((row["path"], float(row["score"])) for row in csv.DictReader(file))
    maps = [np.load(output / "maps" / Path(name).with_suffix(".npy")) for name, _ in rows]
    return np.stack(maps), np.array([score for _, score in rows])


def torch_steps(
    pair: Pair,
    dtype: torch.dtype,
    flavour: Flavour,
    lambdas: dict[str, float],
    batches: list[np.ndarray] | None = None,
) -> dict[str, Any]:
    """A step for each batch in torch; `step_batches()` if None."""
    networks = copy.deepcopy(pair.networks)
    for module in networks:
        module.to(dtype)
    losses = {label: LossSettings(lambda_var=value) for label, value in lambdas.items()}
    return step_quantities(networks, batches or step_batches(), losses, flavour, NUM_SAMPLES)


def our_steps(
    pair: Pair,
    dtype: type,
    batches: list[np.ndarray] | None = None,
    lambdas: dict[str, float] = LAMBDAS,
) -> dict[str, Any]:
    """The same in the library."""
    settings = rdvar_jax.training.losses.RDVarLoss
    losses = {label: settings(lambda_var=value) for label, value in lambdas.items()}
    keep = partial(sample, count=NUM_SAMPLES)
    return pair.model.steps(batches or step_batches(), losses, dtype, keep)


def step_batches() -> list[np.ndarray]:
    return [images(STEP_SIZE, seed) for seed in range(NUM_STEPS)]


def parts_of(label: str) -> dict[str, str]:
    """What is compared of the steps with one of `LAMBDAS`, and the prefix of its names."""
    return {
        "gradient": f"gradient/{label}/",
        "loss_var": f"steps/{label}/loss_var",
        "loss": f"steps/{label}/loss",
        "statistics": f"steps/{label}/statistics/",
    }


def of_part(quantities: dict, label: str, part: str) -> dict:
    """The quantities of a part; L and L_model are one part, L_var another."""
    found = named(quantities, parts_of(label)[part])
    if part == "loss":
        found = {name: value for name, value in found.items() if not name.endswith("_var")}
    return found


# Narrow: float64 is there for the formulas, and takes long at full width.
@pytest.mark.parametrize("arch", ARCHS)
def test_three_steps_in_float64(arch, measured):
    pair = Pair.make(arch, NARROW)
    ours, reference = our_steps(pair, np.float64), torch_steps(pair, torch.float64, TUNED, LAMBDAS)
    for label in LAMBDAS:
        for part in parts_of(label):
            found, expected = of_part(ours, label, part), of_part(reference, label, part)
            measured.add(arch, f"float64/{label}/{part}", found, expected)
            assert_close(found, expected, DOUBLE_TOLERANCE)
        prefix = f"steps/{label}/update/"
        found, expected = named(ours, prefix), named(reference, prefix)
        measured.add(arch, f"float64/{label}/update", found, expected, scale=LEARNING_RATE)
        assert_close(found, expected, DOUBLE_TOLERANCE)


def test_three_steps_in_float32(pair, measured):
    ours, reference = our_steps(pair, np.float32), torch_steps(pair, torch.float32, TUNED, LAMBDAS)
    label = "lambda_0.1"
    contiguous = replace(TUNED, channels_last=False)
    other = torch_steps(pair, torch.float32, contiguous, {label: LAMBDAS[label]})
    noise = {part: worst(other, reference, label, part) for part in parts_of(label)}
    noise["clear_update"] = clear_update_errors(other, reference, label)["99 %"]
    for part, value in noise.items():
        measured.note(pair.arch, f"torch_with_itself/{label}/{part}", {"relative": value})

    found = {}
    for label in LAMBDAS:
        for part in parts_of(label):
            name = f"float32/{label}/{part}"
            measured.add(
                pair.arch, name, of_part(ours, label, part), of_part(reference, label, part)
            )
            found[label, part] = worst(ours, reference, label, part)
        errors = clear_update_errors(ours, reference, label)
        measured.note(pair.arch, f"float32/{label}/clear_update", errors)
        found[label, "clear_update"] = errors["99 %"]
    far = {
        f"{label}/{part}": (value, noise[part])
        for (label, part), value in found.items()
        if not value <= max(STEP_TOLERANCES[part], TIMES_ITS_OWN * noise[part])
    }
    if pair.arch in DEEP_ARCHS:
        far = {}
        for label in LAMBDAS:
            first = f"steps/{label}/loss"
            np.testing.assert_allclose(ours[first][0], reference[first][0], rtol=1e-5)
    assert not far, f"of PyTorch's, and of PyTorch's from itself: {far}"


@pytest.mark.parametrize("arch", ARCHS)
def test_first_gradients_in_float32_are_exact(arch, measured):
    """Against float64. Lost accuracy would show in every batch, a switched ReLU shows in some."""
    pair = Pair.make(arch, FEW_RELUS)
    label = "lambda_0.1"
    lambdas = {label: LAMBDAS[label]}
    runs = {
        "ours": lambda batches: our_steps(pair, np.float32, batches, lambdas),
        "torch contiguous": lambda batches: torch_steps(
            pair, torch.float32, replace(TUNED, channels_last=False), lambdas, batches
        ),
        "torch channels_last": lambda batches: torch_steps(
            pair, torch.float32, TUNED, lambdas, batches
        ),
    }
    errors = {who: [] for who in runs}
    for seed in range(GRADIENT_BATCHES):
        batches = [images(STEP_SIZE, seed)]
        exact = named(torch_steps(pair, torch.float64, TUNED, lambdas, batches), "gradient/")
        for who, run in runs.items():
            found = run(batches)
            errors[who].append([difference(n, found[n], v).relative for n, v in exact.items()])
    for who, rows in errors.items():
        of_tensors = np.array(rows)
        measured.note(
            arch,
            f"float32/first_gradient_from_float64/{who}",
            {
                "least of the batches": float(of_tensors.min(0).max()),
                "batches without a switched ReLU": int(
                    (of_tensors.max(1) <= STEP_TOLERANCES["gradient"]).sum()
                ),
            },
        )
    assert np.min(errors["ours"], axis=0).max() <= STEP_TOLERANCES["gradient"]


def worst(ours: dict, reference: dict, label: str, part: str) -> float:
    """The largest relative difference of a part."""
    found, expected = of_part(ours, label, part), of_part(reference, label, part)
    return max(difference(name, found[name], value).relative for name, value in expected.items())


def clear_update_errors(ours: dict, reference: dict, label: str) -> dict[str, float]:
    """`update_errors` where the first gradient is well above its noise, and the share of these."""
    prefix = f"gradient/{label}/"
    clear = {
        f"steps/{label}/update/{name.removeprefix(prefix)}": (
            np.abs(gradient) > MEANINGFUL * np.abs(gradient).max()
        )
        for name, gradient in named(reference, prefix).items()
    }
    expected = {name: reference[name][mask] for name, mask in clear.items()}
    errors = update_errors(
        {name: ours[name][mask] for name, mask in clear.items()}, expected, LEARNING_RATE
    )
    share = np.concatenate([mask.ravel() for mask in clear.values()]).mean()
    return errors | {"share": float(share)}


@pytest.mark.parametrize("is_zip", [True, False])
def test_both_of_torchs_formats_are_read(tmp_path, is_zip):
    networks = network.build_networks("resnet50", NARROW)
    randomise(networks, seed=0)
    states = {"bn": networks.bn.state_dict(), "decoder": networks.decoder.state_dict()}
    path = tmp_path / "c.pth"
    torch.save(states, path, _use_new_zipfile_serialization=is_zip)
    assert path.read_bytes().startswith(b"PK") == is_zip
    found = read_torch_object(path)
    for part, tensors in states.items():
        assert list(found[part]) == list(tensors)
        for name, want in tensors.items():
            np.testing.assert_array_equal(found[part][name], want.numpy(), name, strict=True)


def test_both_flavours_of_the_reference_do_the_same_step():
    networks = network.build_networks("resnet18", NARROW)
    randomise(networks, seed=0)
    for module in networks:
        module.double()
    batches, losses = [images(STEP_SIZE, seed=0)], {"default": LossSettings()}
    published = step_quantities(networks, batches, losses, AS_PUBLISHED)
    assert_close(step_quantities(networks, batches, losses, TUNED), published, 1e-9)
