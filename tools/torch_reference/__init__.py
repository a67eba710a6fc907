"""The same model in PyTorch, to hold the JAX one against: for parity tests and for timing.

Needs torch and numpy only. Names of the tensors are torchvision's for the teacher and RD4AD's for
what is trained, so that state dicts can be exchanged with theirs.
"""
