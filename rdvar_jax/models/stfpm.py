"""STFPM: a student of the teacher's own shape that sees the image (feature pyramid matching).

What else belongs to the method is settings: the loss is `loss.distillation=pixel`, since half the
squared distance of two vectors of length 1 is 1 - cos of the angle between them.
"""

import flax.linen as nn

from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.models.student import StudentNetwork
from rdvar_jax.models.teacher import Teacher


class PyramidStudent(StudentNetwork):
    """The teacher's backbone up to layer3, trained from random values."""

    sees_images = True
    merging = "product"

    @nn.compact
    def __call__(self, x, train: bool):
        """Returns the maps of layer1, layer2, layer3 of normalised images [B, H, W, 3]."""
        shape = (self.architecture, self.stem_width, self.axis_name)
        return Teacher(*shape, name="network")(x, train)


class STFPM(ReverseDistillation):
    """Frozen teacher and a student of the same backbone, used as `ReverseDistillation` is.

    The anomaly map is the product of the distances at the three scales, each upsampled with
    half-pixel centres; the paper does not blur it (`sigma=0`).

    Example:
        >>> model = STFPM("resnet18", weights="random")
        >>> found = model.features(np.zeros((2, 64, 64, 3), np.uint8))
        >>> [x.shape for x in found.student]
        [(2, 16, 16, 64), (2, 8, 8, 128), (2, 4, 4, 256)]

    References:
        Wang, Han, Ding and Huang, "Student-Teacher Feature Pyramid Matching for Anomaly
        Detection", 2021.
    """

    network = PyramidStudent
