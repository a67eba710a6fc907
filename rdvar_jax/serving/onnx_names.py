"""Names in the ONNX models of `rdvar export`."""

INPUT, MAP, SCORE = "images", "maps", "scores"

METADATA = "rdvar"
"""Entry of a model's metadata that holds a bundle's manifest as JSON."""

IGNORE_METADATA = "rdvar_ignore"
"""Entry of the picture of pixels that never count, a PNG in base64; only of runs that have one."""

LOWEST = "ignored/lowest"
"""The only constant that is not finite: what an ignored pixel counts for in a maximum."""
