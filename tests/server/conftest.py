"""The fixtures of `served.py`."""

from served import bundle, detector, files, make_bundle, parts, pictures, served  # noqa: F401
