"""Faults in what compiles and checks programs."""

from faults.fault import Fault

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
        "return NotInFork(jax.jit(fn, compiler_options=compiler_options, **options))",
        "return NotInFork(jax.jit(fn, **options))",
        (PARALLEL,),
    ),
    Fault(
        "pmap of several processes has no compiler options",
        "rdvar_jax/devices/parallel.py",
        "    shards, whole = PartitionSpec(AXIS_NAME), PartitionSpec()\n    return compile(\n",
        "    shards, whole = PartitionSpec(AXIS_NAME), PartitionSpec()\n    return jax.jit(\n",
        (PARALLEL,),
    ),
    Fault(
        "a wrong compiler is recorded as right",
        "rdvar_jax/devices/canary.py",
        "    if wrong:\n        raise CompilerError",
        "    if wrong and record.exists():\n        raise CompilerError",
        (CANARY,),
    ),
)
