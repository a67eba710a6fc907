"""Branches of tools/benchmark_gpu.py."""
