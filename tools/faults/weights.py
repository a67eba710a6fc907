"""Faults in reading weights: the wrong ones, damaged ones, and files that would run code."""

from faults.fault import Fault

CATALOGUE = "tests/weights/test_catalogue.py"
READER = "tests/weights/torch_format/test_torch_reader.py"

FAULTS = (
    Fault(
        "torchvision's second weights not known by their content",
        "rdvar_jax/weights/catalogue.py",
        "if sha256.startswith(file.sha256_prefix) or file.sha256_prefix in path.name:",
        "if file.sha256_prefix in path.name:",
        (CATALOGUE,),
    ),
    Fault(
        "weights of another recipe taken under timm's name",
        "rdvar_jax/weights/catalogue.py",
        "if has_fingerprint(tensors, FINGERPRINTS[arch]):",
        "if True:",
        ("tests/weights/test_found_files.py",),
    ),
    Fault(
        "a pickle may name one function more",
        "rdvar_jax/weights/torch_format/tensors.py",
        '        "collections.OrderedDict": _rebuild_dict,\n',
        '        "collections.OrderedDict": _rebuild_dict,\n        "builtins.getattr": getattr,\n',
        (f"{READER}::test_code_is_named_and_never_run",),
    ),
    Fault(
        "axes of a transposed convolution read as another one's",
        "rdvar_jax/weights/name_map.py",
        "_DECONV = (2, 3, 0, 1)",
        "_DECONV = (2, 3, 1, 0)",
        ("tests/weights/test_name_map.py",),
    ),
)
