"""Rows of `tools/benchmark.py`: one process per row, driven over standard input."""
