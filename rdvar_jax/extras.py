"""Which extra to install where a package is missing that a command needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def ending_where_packages_are_missing() -> Iterator[None]:
    """Ends the process with that sentence and exit code 2, as for all that a user can mend."""
    try:
        yield
    except ModuleNotFoundError as error:
        sentence = missing_package(error)
        if sentence is None:
            raise
        print(f"rdvar: {sentence}", file=sys.stderr)
        raise SystemExit(2) from None
