"""Names of options of losses and optimiser; importable without JAX, so that configs load fast."""

# The paper's names for the decoder stages, from the largest map to the smallest.
STAGES = ("d1", "d2", "d3")
DISTANCES = ("cosine", "l1", "l2")
DISTILLATIONS = ("flat", "pixel")
REDUCTIONS = ("mean", "sum")
OPTIMISERS = ("adam", "sgd")
