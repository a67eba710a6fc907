"""Faults in bundles, in the detector and in the ONNX model."""

from faults.fault import Fault

ARCHIVE = "tests/serving/test_archive.py"
DETECTOR = "tests/serving/test_detector.py"
ONNX = "tests/serving/test_onnx.py"

FAULTS = (
    Fault(
        "hashes of a bundle's members not checked",
        "rdvar_jax/serving/archive.py",
        'if _sha256(content) != manifest["files"][name]["sha256"]:',
        'if not manifest["files"][name]["sha256"]:',
        (ARCHIVE,),
    ),
    Fault(
        "detector gives the filling of a batch",
        "rdvar_jax/serving/detector.py",
        "return maps[:count], scores[:count]",
        "return maps[-count:], scores[-count:]",
        (f"{DETECTOR}::test_scores_are_those_of_evaluation_for_any_number",),
    ),
    Fault(
        "ONNX model sees images on their side",
        "rdvar_jax/serving/onnx_network.py",
        "perm=[0, 3, 1, 2]",
        "perm=[0, 3, 2, 1]",
        (f"{ONNX}::test_both_kinds_of_block",),
    ),
)
