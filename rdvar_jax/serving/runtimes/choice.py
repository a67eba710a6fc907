"""Choice of the runtime for an ONNX file."""

from importlib.util import find_spec

from rdvar_jax.errors import BundleError
from rdvar_jax.serving.runtimes.runtime import ONNX_RUNTIMES, ONNXRUNTIME, OPENVINO, Runtime


def choose_onnx_runtime(wanted: str | None) -> str:
    """Returns which of `ONNX_RUNTIMES` runs an ONNX file.

    Args:
        wanted: its name; None for the first one that is installed.

    Raises:
        BundleError: it is not installed.
        ValueError: there is no runtime of this name.
    """
    if wanted is None:
        for name in ONNX_RUNTIMES:
            if find_spec(name) is not None:
                return name
        raise BundleError(
            "an ONNX file needs onnxruntime or openvino, and neither is installed; run: "
            f'pip install "rdvar-jax[{ONNXRUNTIME}]"'
        )
    if wanted not in ONNX_RUNTIMES:
        raise ValueError(f"runtime must be one of {', '.join(ONNX_RUNTIMES)}, not {wanted!r}")
    if find_spec(wanted) is None:
        raise BundleError(
            f'{wanted} is required but not installed; run: pip install "rdvar-jax[{wanted}]"'
        )
    return wanted


def load_onnx(name: str, content: bytes, num_threads: int) -> Runtime:
    """Loads a model that `read_onnx_file` has checked.

    Args:
        name: of `choose_onnx_runtime`.
        content: the serialised model.
        num_threads: that compute an image.
    """
    if name == OPENVINO:
        from rdvar_jax.serving.runtimes.openvino_model import OpenVinoModel

        return OpenVinoModel(content, num_threads)
    from rdvar_jax.serving.runtimes.onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(content, num_threads)
