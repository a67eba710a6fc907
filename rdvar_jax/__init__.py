"""Reverse distillation with a variance loss for industrial anomaly detection, in JAX.

Public names are loaded on first use, so importing the package is cheap.
"""

from typing import TYPE_CHECKING, Any

from rdvar_jax.version import __version__

if TYPE_CHECKING:
    from rdvar_jax.data.loading.load_category import load_category as load_category
    from rdvar_jax.models.reverse_distillation import ReverseDistillation as ReverseDistillation
    from rdvar_jax.models.reverse_distillation import load_rd4ad as load_rd4ad
    from rdvar_jax.models.stfpm import STFPM as STFPM
    from rdvar_jax.runs.fitted import Fitted as Fitted
    from rdvar_jax.runs.fitted import fit as fit
    from rdvar_jax.runs.run import Run as Run
    from rdvar_jax.scoring.evaluation import Evaluation as Evaluation
    from rdvar_jax.scoring.evaluation import evaluate as evaluate
    from rdvar_jax.scoring.evaluation import score as score
    from rdvar_jax.scoring.metrics import aupro as aupro
    from rdvar_jax.scoring.metrics import auroc as auroc
    from rdvar_jax.scoring.metrics import average_precision as average_precision
    from rdvar_jax.scoring.metrics import f1_max as f1_max
    from rdvar_jax.serving.detector import Detector as Detector
    from rdvar_jax.training.losses import Loss as Loss
    from rdvar_jax.training.losses import RDVarLoss as RDVarLoss
    from rdvar_jax.weights.architectures import ARCHITECTURES as ARCHITECTURES
    from rdvar_jax.weights.architectures import Architecture as Architecture

# The module that defines each public name.
_HOMES = {
    "load_category": "data.loading.load_category",
    "ReverseDistillation": "models.reverse_distillation",
    "load_rd4ad": "models.reverse_distillation",
    "STFPM": "models.stfpm",
    "Architecture": "weights.architectures",
    "ARCHITECTURES": "weights.architectures",
    "RDVarLoss": "training.losses",
    "Loss": "training.losses",
    "fit": "runs.fitted",
    "Fitted": "runs.fitted",
    "Run": "runs.run",
    "evaluate": "scoring.evaluation",
    "score": "scoring.evaluation",
    "Evaluation": "scoring.evaluation",
    "auroc": "scoring.metrics",
    "average_precision": "scoring.metrics",
    "f1_max": "scoring.metrics",
    "aupro": "scoring.metrics",
    "Detector": "serving.detector",
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from rdvar_jax.cli.extras import missing_package
    from rdvar_jax.cli.quick_imports import quick_imports

    try:
        with quick_imports():
            value = getattr(import_module(f"rdvar_jax.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        sentence = missing_package(error)
        if sentence is None:
            raise
        raise ModuleNotFoundError(f"rdvar_jax.{name}: {sentence}", name=error.name) from error
    globals()[name] = value
    return value
