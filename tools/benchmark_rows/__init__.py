"""What `tools/benchmark.py` measures: one process for each row, driven over standard input."""
