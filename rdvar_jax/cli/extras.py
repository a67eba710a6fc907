"""Extra that brings a missing package."""

# By the name that is imported; all others come with the extra "train".
EXTRAS = {
    "array_record": "tfds",
    "grain": "stream",
    "onnx": "onnx",
    "tensorboardX": "tensorboard",
    "tensorflow_datasets": "tfds",
}


def missing_package(error: ModuleNotFoundError) -> str | None:
    """One sentence on what to install; None where a module of this package itself is missing."""
    package = (error.name or "").split(".")[0]
    if package in ("", "rdvar_jax"):
        return None
    extra = EXTRAS.get(package, "train")
    return f'{package} is not installed, and this needs it; run: pip install "rdvar-jax[{extra}]"'
