"""The fixtures of `served.py` and `mosquitto.py`."""

from mosquitto import broker  # noqa: F401
from served import bundle, detector, files, make_bundle, parts, pictures, served  # noqa: F401
