"""Faults in what compiles and checks programs."""

from faults.fault import Fault

KEPT = "tests/devices/test_kept_programs.py"
CANARY, PARALLEL = "tests/devices/test_canary.py", "tests/devices/test_parallel.py"

FAULTS = (
    Fault(
        "YNNPACK reduces again",
        "rdvar_jax/devices/compiler.py",
        '"LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}',
        '"LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"}',
        (CANARY, PARALLEL),
    ),
    Fault(
        "a program is compiled without the options",
        "rdvar_jax/devices/compiler.py",
        "partial(jax.jit, compiler_options=compiler_options, **options)",
        "partial(jax.jit, **options)",
        (PARALLEL,),
    ),
    Fault(
        "pmap of several processes has no compiler options",
        "rdvar_jax/devices/parallel.py",
        "    return compile(on_all_devices)",
        "    return (jax.jit if parallel.spans_processes else compile)(on_all_devices)",
        (PARALLEL,),
    ),
    Fault(
        "a damaged program is run",
        "rdvar_jax/devices/kept_files.py",
        "hexdigest().encode() != digest:",
        "hexdigest().encode() < b'':",
        (KEPT,),
    ),
    Fault(
        "a program of another version is run",
        "rdvar_jax/devices/kept_files.py",
        ' or found["key"] != key',
        "",
        (KEPT,),
    ),
    Fault(
        "a program does not depend on JAX's settings",
        "rdvar_jax/devices/kept_programs.py",
        "list(zip(_relevant_settings(), map(repr, settings), strict=True))",
        "[]",
        (KEPT,),
    ),
    Fault(
        "a program that JAX has kept is kept again, without some of its functions",
        "rdvar_jax/devices/kept_programs.py",
        "_{uuid.uuid4().hex[:12]}",
        "",
        (KEPT,),
    ),
    Fault(
        "programs do not depend on the code that they come from",
        "rdvar_jax/devices/made_from.py",
        "            digest.update(content)\n",
        "",
        ("tests/devices/test_made_from.py",),
    ),
    Fault(
        "a wrong compiler is recorded as right",
        "rdvar_jax/devices/canary.py",
        "    if wrong:\n        raise CompilerError",
        "    if wrong and record.exists():\n        raise CompilerError",
        (CANARY,),
    ),
)
