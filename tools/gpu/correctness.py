"""Runs `correctness_checks.py`: nothing is worth timing that computes wrong numbers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gpu.outcome import Row
from gpu.plan import Plan

SCRIPT = Path(__file__).with_name("correctness_checks.py")


def correctness(plan: Plan) -> Iterator[Row]:
    """A row for each check; one that is over its bound has failed."""
    wanted = json.dumps({"goldens": plan.goldens, "odd_batches": plan.odd_batches})
    log = plan.scratch / "correctness.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, str(SCRIPT), wanted],
            env=plan.environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            yield row_of(json.loads(line))
    if process.returncode:
        yield {"row": "correctness", "failed": log.read_text()[-1000:]}


def row_of(check: dict) -> Row:
    """A check's row."""
    name = "{check} of {golden}, batch {batch}, {precision}".format(**check)
    if check["right"]:
        return {"row": name, **check}
    reason = f"WRONG: {check['error']:.2g} from float64, over {check['bound']:g}"
    return {"row": name, "failed": reason, **check}
