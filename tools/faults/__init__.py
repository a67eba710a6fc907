"""The deliberate faults of `tools/mutations.py`, by what they are in."""

from faults import (
    data,
    devices,
    files,
    models,
    report,
    runs,
    scoring,
    server,
    serving,
    training,
    weights,
)

FAULTS = (
    *training.FAULTS,
    *models.FAULTS,
    *scoring.FAULTS,
    *data.FAULTS,
    *devices.FAULTS,
    *files.FAULTS,
    *runs.FAULTS,
    *weights.FAULTS,
    *serving.FAULTS,
    *server.FAULTS,
    *report.FAULTS,
)
