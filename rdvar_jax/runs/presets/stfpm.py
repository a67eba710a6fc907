"""STFPM: a ResNet-18 student of the teacher's own shape, with the settings of its paper.

    rdvar train --config stfpm:screw --config.data.root=MVTEC_AD --workdir W
    rdvar evaluate --workdir W

The paper trains with SGD, does not blur the map, and keeps the epoch with the lowest loss on a
fifth of the training images; here all images are trained on, and the last epoch counts. Its loss
has no L_var; --config.loss.lambda_var=0.1 adds it.
"""

from rdvar_jax.runs.config import Config, default_config


def get_config(category: str = "") -> Config:
    """Returns the paper's settings: 256 px, 100 epochs, batch 32."""
    config = default_config()
    config.data.category = category
    config.model.name = "stfpm"
    config.teacher.arch = "resnet18"
    config.loss.lambda_var = 0.0
    config.loss.distillation = "pixel"
    config.train.epochs = 100
    config.train.batch_size = 32
    config.train.optimiser = "sgd"
    config.train.learning_rate = 0.4
    config.train.beta1 = 0.9  # SGD's momentum
    config.train.weight_decay = 1e-4
    config.score.sigma = 0.0
    return config
