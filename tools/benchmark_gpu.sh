#!/usr/bin/env bash
# NOT YET RUN ON A GPU. Measures this project on one: correctness first, then the rows of
# tools/benchmark.py, the most important first; after eight minutes no further group is started.
# Usage: tools/benchmark_gpu.sh OUTPUT [PYTHON_WITH_TORCH [PYTHON_WITH_ANOMALIB]]
# DATA=FOLDER in the environment: images and masks for the rows of decoding and metrics.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=$1
torch=${2:-}
anomalib=${3:-}
python=${PYTHON:-.venv/bin/python}
export JAX_PLATFORMS=cuda,cpu # without a GPU: an error, and not a run on the CPU
# Two processes share the GPU's memory, so none may take most of it at its start.
export XLA_PYTHON_CLIENT_PREALLOCATE=false

"$python" -c 'import jax; d = jax.devices()[0]; assert d.platform == "gpu", d; print(d.device_kind)'
# Against PyTorch's numbers in float64 and float32, with all bits of float32.
JAX_DEFAULT_MATMUL_PRECISION=highest "$python" -m pytest -q tests/parity tests/models/test_precision.py

groups=(step published_step l_var devices score_8 score_1 cached_step steps_a_call)
[ -z "$anomalib" ] || groups+=(anomalib_step anomalib_score_8)
groups+=(modes score_32)
# Steps wait for the GPU, not for the processor: there, others may have some of its many cores.
"$python" tools/benchmark.py --only "${groups[@]}" --rounds 5 --max_others_cores 2 \
    ${torch:+--torch_python "$torch"} ${anomalib:+--anomalib_python "$anomalib"} \
    --time_limit=$((390 - SECONDS)) --output "$output"
"$python" tools/benchmark.py --only metrics decode start_up --rounds 1 ${DATA:+--data "$DATA"} \
    ${anomalib:+--anomalib_python "$anomalib"} --time_limit=$((480 - SECONDS)) --output "${output}_host"
