"""Instruction sets of the processor, for which XLA compiles."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
PREFIXES = ("avx", "amx", "fma", "f16c", "sse4", "asimd", "sve", "i8mm", "bf16")


def instruction_sets() -> list[str]:
    """Returns the names of the vector instruction sets, sorted; none where not on Linux."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):  # x86, Arm
            return sorted(name for name in value.split() if name.startswith(PREFIXES))
    return []
