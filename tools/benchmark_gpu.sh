#!/usr/bin/env bash
# NOT YET RUN ON A GPU. Measures this project on one, or rehearses that on the CPU: see the start of
# tools/benchmark_gpu.py. PYTHON in the environment: an interpreter with jax[cuda].
#     tools/benchmark_gpu.sh --output OUTPUT [--rehearse] [--only BRANCH ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # where the package is not installed
exec "${PYTHON:-.venv/bin/python}" tools/benchmark_gpu.py "$@"
