#!/usr/bin/env bash
# NOT YET RUN ON A GPU. Measures this project on one: correctness first, then the rows of
# tools/benchmark.py. Usage: tools/benchmark_gpu.sh OUTPUT [PYTHON_WITH_TORCH]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=$1
torch=${2:-}
python=${PYTHON:-.venv/bin/python}

"$python" -c 'import jax; d = jax.devices()[0]; assert d.platform == "gpu", d; print(d.device_kind)'
# Against PyTorch's numbers in float64 and float32, with all bits of float32.
JAX_DEFAULT_MATMUL_PRECISION=highest "$python" -m pytest -q tests/parity tests/models/test_precision.py
"$python" tools/benchmark.py ${torch:+--torch_python "$torch"} --output "$output"
