"""Faults in bundles, in the detector and in the ONNX model."""

from faults.fault import Fault

ARCHIVE = "tests/serving/test_archive.py"
DETECTOR = "tests/serving/test_detector.py"
INT8 = "tests/serving/test_int8.py"
ONNX_DETECTOR = "tests/serving/test_onnx_detector.py"
ONNX = "tests/serving/test_onnx.py"

CONTENT = "tests/serving/test_bundle_content.py"

FAULTS = (
    Fault(
        "a score of NaN is a good image",
        "rdvar_jax/serving/detector.py",
        "            refuse_not_finite(names[start:stop], scores[start:stop])\n",
        "",
        (f"{CONTENT}::test_scores_that_are_not_finite_are_never_good",),
    ),
    Fault(
        "a bundle's threshold of NaN is used",
        "rdvar_jax/serving/manifest.py",
        "if math.isfinite(value):",
        "if value is not None:",
        (f"{CONTENT}::test_wrong_content_is_one_sentence",),
    ),
    Fault(
        "hashes of a bundle's members not checked",
        "rdvar_jax/serving/archive.py",
        'if _sha256(content) != manifest["files"][name]["sha256"]:',
        'if not manifest["files"][name]["sha256"]:',
        (ARCHIVE,),
    ),
    Fault(
        "detector gives the filling of a batch",
        "rdvar_jax/serving/runtimes/exported_program.py",
        "return maps[:count], scores[:count]",
        "return maps[-count:], scores[-count:]",
        (f"{DETECTOR}::test_scores_are_those_of_evaluation_for_any_number",),
    ),
    Fault(
        "an ONNX file with any operation is given to a runtime",
        "rdvar_jax/serving/onnx_file.py",
        "if operation not in OPERATIONS:",
        "if not operation:",
        (f"{ONNX_DETECTOR}::test_a_file_that_was_changed_is_one_sentence",),
    ),
    Fault(
        "the picture of ignored pixels of an ONNX file is not read",
        "rdvar_jax/serving/stored_onnx.py",
        "ignore = read_ignore(file.ignore)",
        "ignore = read_ignore(None)",
        (f"{ONNX_DETECTOR}::test_ignored_pixels_come_with_their_picture",),
    ),
    Fault(
        "an int8 model that answers otherwise is written",
        "rdvar_jax/serving/int8/make_int8.py",
        "if not checked.within(WRITTEN):",
        "if checked.num_good < 0:",
        (f"{INT8}::test_a_bad_model_fails_the_check_on_other_images",),
    ),
    Fault(
        "an int8 model keeps the threshold of float32",
        "rdvar_jax/serving/int8/shifted_threshold.py",
        "np.float32(threshold * factor)",
        "np.float32(threshold)",
        (f"{INT8}::test_a_threshold_follows_the_scores_of_the_same_images",),
    ),
    Fault(
        "sums of an int8 model are of rounded values",
        "rdvar_jax/serving/int8/quantiser.py",
        "        _keep_floats(made)\n",
        "",
        (f"{INT8}::test_sums_and_cosines_have_float_values",),
    ),
    Fault(
        "ONNX model sees images on their side",
        "rdvar_jax/serving/onnx_network.py",
        "perm=[0, 3, 1, 2]",
        "perm=[0, 3, 2, 1]",
        (f"{ONNX}::test_both_kinds_of_block",),
    ),
)
