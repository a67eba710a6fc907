"""Faults in the networks and in what is made of their variables."""

from faults.fault import Fault

LAYERS = "tests/models/test_layers.py"
NETWORKS = "tests/models/test_networks.py"

FAULTS = (
    Fault(
        "batch statistics of one device",
        "rdvar_jax/models/layers.py",
        "return lax.pmean(mean, axis_name) if axis_name else mean",
        "return mean",
        (LAYERS,),
    ),
    Fault(
        "batch normalisation's gradient of one device",
        "rdvar_jax/models/layers.py",
        "lax.pmean((mean_dy, mean_dy_normalised), axis_name)",
        "(mean_dy, mean_dy_normalised)",
        (LAYERS,),
    ),
    Fault(
        "running variance biased",
        "rdvar_jax/models/layers.py",
        "unbiased = var * (count / max(count - 1, 1))",
        "unbiased = var",
        (LAYERS,),
    ),
    Fault(
        "momentum of the running statistics reversed",
        "rdvar_jax/models/layers.py",
        "old, new = 1 - self.momentum, self.momentum",
        "new, old = 1 - self.momentum, self.momentum",
        (LAYERS,),
    ),
    Fault(
        "pooling padded on one side",
        "rdvar_jax/models/layers.py",
        "padding=((0, 0), (1, 1), (1, 1), (0, 0)),",
        "padding=((0, 0), (0, 1), (0, 1), (0, 0)),",
        (LAYERS,),
    ),
    Fault(
        "deconvolution's window transposed",
        "rdvar_jax/models/layers.py",
        "kernel.transpose(2, 0, 1, 3)",
        "kernel.transpose(2, 1, 0, 3)",
        (LAYERS,),
    ),
    Fault(
        "stride on the 1x1 convolution",
        "rdvar_jax/models/blocks.py",
        """        y = Conv(self.width, 1, name="conv1")(x)
        y = jax.nn.relu(BatchNorm(self.axis_name, name="bn1")(y, train))
        y = _resampling_conv(y, self.width, self.resample, "conv2")
""",
        """        down = self.resample == "down"
        y = Conv(self.width, 1, stride=2 if down else 1, name="conv1")(x)
        y = jax.nn.relu(BatchNorm(self.axis_name, name="bn1")(y, train))
        y = _resampling_conv(y, self.width, "none" if down else self.resample, "conv2")
""",
        (NETWORKS,),
    ),
    Fault(
        "scales joined in another order in the bottleneck",
        "rdvar_jax/models/student.py",
        "jnp.concatenate([f1, f2, f3], axis=-1)",
        "jnp.concatenate([f3, f2, f1], axis=-1)",
        (f"{NETWORKS}::test_the_bottleneck_joins_the_scales_in_rd4ads_order",),
    ),
    Fault(
        "ImageNet's mean and deviation swapped",
        "rdvar_jax/models/teacher.py",
        "/ 255 - mean) / deviation)",
        "/ 255 - deviation) / mean)",
        (NETWORKS,),
    ),
    Fault(
        "seed not used in initialisation",
        "rdvar_jax/models/initialise.py",
        "np.random.default_rng([seed, *name.encode()])",
        "np.random.default_rng([0, *name.encode()])",
        (NETWORKS,),
    ),
    Fault(
        "epsilon forgotten in folding",
        "rdvar_jax/models/fold.py",
        '(stats[norm]["var"] + EPSILON) ** 0.5',
        'stats[norm]["var"] ** 0.5',
        ("tests/models/test_fold.py",),
    ),
    Fault(
        "sign in Winograd's input transform",
        "rdvar_jax/models/winograd.py",
        "d[2] - d[1], d[1] - d[3]",
        "d[2] - d[1], d[3] - d[1]",
        ("tests/models/test_winograd.py",),
    ),
    Fault(
        "transposed deconvolution in another order",
        "rdvar_jax/models/layers.py",
        "_offer_transposed(self, matrix, x)",
        "_offer_transposed(self, kernel.transpose(2, 1, 0, 3).reshape(channels, -1), x)",
        ("tests/models/test_few_rows.py",),
    ),
)
