"""`rdvar weights`: what each backbone and preset needs, and whether it is at hand; without JAX."""

from rdvar_jax.runs.config import RANDOM_WEIGHTS
from rdvar_jax.runs.presets import PRESETS, preset
from rdvar_jax.weights.catalogue import BASE_URL, CATALOGUE, FoundFile, found_files, places
from rdvar_jax.weights.demonstration import DRAWN_SHA256, RANDOM_SOURCE, demonstration_remark
from rdvar_jax.weights.procedural import PROCEDURAL

# What needs no file, by teacher.weights, and the source of its remark.
WITHOUT_FILE = {
    PROCEDURAL: ("its file is in the package", DRAWN_SHA256),
    RANDOM_WEIGHTS: ("needs no file", RANDOM_SOURCE),
}


def weights_list() -> str:
    """Returns the list of `rdvar weights`; looks at every place, and downloads nothing."""
    teachers = {name: preset(name).teacher for name in PRESETS}
    lines = ["Teachers' ImageNet weights: torchvision's IMAGENET1K_V1.", ""]
    num_missing = 0
    for arch, file in CATALOGUE.items():
        users = [n for n, t in teachers.items() if t.arch == arch and not t.weights]
        preset_names = f", for --config {' and '.join(users)}" if users else ""
        lines.append(f"{arch}{preset_names}: {file.name}")
        found = list(found_files(arch))
        used = next((one for one in found if not one.fault), None)
        num_missing += used is None
        lines += [f"    {_finding(one, used)}" for one in found]
        lines += ["    missing"] if used is None else []
    lines += ["", "Looked for in"]
    lines += [f"    {place}" for place in places("BACKBONE")]
    if num_missing:
        lines += [
            "",
            f"rdvar train downloads a missing file: {BASE_URL}FILE. Without a network, copy it to",
            "this machine and put it in place: rdvar weights --from FILE",
        ]
    for name, teacher in teachers.items():
        if teacher.weights in WITHOUT_FILE:
            where, source = WITHOUT_FILE[teacher.weights]
            lines += ["", f"--config {name}: {where}", f"    {demonstration_remark(source)}"]
    return "\n".join(lines)


def _finding(found: FoundFile, used: FoundFile | None) -> str:
    if found.fault.startswith("is not used: "):
        return found.fault
    if found.fault:
        return f"{found.path} {found.fault}"
    if found.is_verified:
        text = found.check
    else:
        text = f"not verified: {found.origin}"
    return f"{'found' if found is used else 'also'}: {found.path} ({text})"
