"""Makes an int8 model of a float32 one, or refuses where its answers would differ too much."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnxruntime

from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.errors import BundleError
from rdvar_jax.serving.int8.comparison import WRITTEN, Comparison, Images, Score, compare
from rdvar_jax.serving.int8.quantiser import Quantiser
from rdvar_jax.serving.int8.selection import choose, sensitivities
from rdvar_jax.serving.runtimes.onnxruntime_session import OnnxRuntimeSession

_logger = logging.getLogger("rdvar_jax")

_BATCH = 8


@dataclass(frozen=True)
class Groups:
    """Images of the same kind for three purposes, none of them in two.

    Attributes:
        calibration: give the ranges of values.
        choice: give the sensitivities, and the layers that stay in float32.
        check: decide whether the model is good enough.
    """

    calibration: Images
    choice: Images
    check: Images

    @property
    def good(self) -> np.ndarray:
        """All good images, uint8 [N, H, W, 3]."""
        return np.concatenate([self.calibration.good, self.choice.good, self.check.good])


@dataclass(frozen=True)
class Int8Model:
    """A finished model.

    Attributes:
        content: serialised; the metadata is that of the float32 model.
        about: what was done and found, for the manifest.
        score: that of the model; `score_float32` is that of the float32 model.
    """

    content: bytes
    about: dict[str, Any]
    score: Score
    score_float32: Score


def load_score(content: bytes) -> Score:
    """Returns what scores any number of images with a model, in ONNX Runtime."""
    session = OnnxRuntimeSession(content, num_usable_cpus())

    def score(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = range(0, len(pixels), _BATCH)
        maps, scores = zip(*(session.score(pixels[i : i + _BATCH]) for i in starts), strict=True)
        return np.concatenate(maps), np.concatenate(scores)

    return score


def make_int8(content: bytes, groups: Groups) -> Int8Model:
    """Makes the int8 model and checks it.

    Args:
        content: the float32 model, of `build_onnx`.
        groups: images.

    Raises:
        BundleError: no convolution can be int8, or the check fails.
    """
    quantiser = Quantiser(content, groups.calibration.all)
    score_float32 = load_score(content)
    expected = score_float32(groups.choice.all)
    ordered = sensitivities(quantiser, load_score, expected[0], groups.choice.all)
    chosen, found = choose(quantiser, load_score, list(ordered), expected, groups.choice)
    if not chosen:
        raise _refusal(found, "even one convolution in int8")
    made = quantiser.model(chosen)
    score = load_score(made)
    checked = compare(score_float32(groups.check.all), score, groups.check)
    refuse_different(checked)
    kept = [name for name in quantiser.convolutions if name not in set(chosen)]
    _logger.info(
        "int8: %d of %d convolutions; %s",
        len(chosen),
        len(quantiser.convolutions),
        _figures(checked),
    )
    about = describe(kept, ordered, groups, checked)
    return Int8Model(made, about, score, score_float32)


def refuse_different(checked: Comparison) -> None:
    """Raises a BundleError if a model's answers differ too much from those of float32."""
    if not checked.within(WRITTEN):
        raise _refusal(checked, "the int8 model")


def describe(
    kept: Sequence[str], ordered: dict[str, float], groups: Groups, checked: Comparison
) -> dict[str, Any]:
    """Returns the manifest's entry `quantisation`."""
    used = groups.calibration
    return {
        "precision": "int8",
        "weights": "int8 by output channel, 7 bits",
        "activations": "uint8 by tensor",
        "quantiser": f"onnxruntime {onnxruntime.__version__}",
        "num_int8": len(ordered) - len(kept),
        # Convolutions; everything that is not a convolution is float32 too.
        "float32": list(kept),
        # Root mean square change of the maps with this one alone in int8, by their maxima.
        "sensitivity": {name: float(f"{value:.3g}") for name, value in ordered.items()},
        "num_calibration": {"good": len(used.good), "drawn": len(used.drawn)},
        "check": checked.as_json(),
        # What the check must reach: ranks at least, the change at most.
        "limits": asdict(WRITTEN),
    }


def _refusal(found: Comparison, what: str) -> BundleError:
    return BundleError(
        f"nothing was written: {what} answers too differently ({_figures(found)}; required are "
        f"at least {WRITTEN.rank_good:g}, {WRITTEN.rank_all:g} and at most "
        f"{WRITTEN.map_change:.0%}); export with --precision float32."
    )


def _figures(found: Comparison) -> str:
    return (
        f"on {found.num_good} good images and {found.num_drawn} with drawn flaws, scores have the "
        f"rank correlation {found.rank_good:.4f} (good) and {found.rank_all:.4f} (all) with those "
        f"of float32, and a map changes by up to {found.map_change:.1%} of its maximum"
    )
