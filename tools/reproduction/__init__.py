"""Parts of `tools/reproduce.py`: the paper's experiments as grids of runs, and their reports."""
