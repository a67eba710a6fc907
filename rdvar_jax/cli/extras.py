"""Names the extra that installs a missing package."""

# By import name; all others come with the extra "train".
EXTRAS = {
    "array_record": "tfds",
    "asyncua": "opcua",
    "grain": "stream",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "paho": "mqtt",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "starlette": "serve",
    "tensorboardX": "tensorboard",
    "tensorflow_datasets": "tfds",
    "uvicorn": "serve",
}


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Says in one sentence what to install; None if a module of this package itself is missing."""
    package = (error.name or "").split(".")[0]
    if package in ("", "rdvar_jax"):
        return None
    extra = EXTRAS.get(package, "train")
    return f'{package} is required but not installed; run: pip install "rdvar-jax[{extra}]"'
