"""What `tools/reproduce.py` does: the paper's experiments as grids of runs, and their reports."""
