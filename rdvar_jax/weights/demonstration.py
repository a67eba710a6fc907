"""Remark about teachers that are for demonstrations only: the drawn one and untrained ones."""

import logging

RANDOM_SOURCE = "random"  # instead of a file's sha256
DRAWN_SHA256 = "9f25c5082e500d5b8ddbedc6d0da5c6655e9180bfe6b17b6bc6e1b7d9e7e73e8"

logger = logging.getLogger("rdvar_jax")


def warn_if_for_demonstrations(source_sha256: str) -> None:
    """Logs the remark about such a teacher, one line; nothing for other teachers."""
    remark = demonstration_remark(source_sha256)
    if remark is not None:
        logger.warning("%s; see rdvar weights", remark)


def demonstration_remark(source_sha256: str) -> str | None:
    """Returns what users of such a teacher must know, None for other teachers.

    Args:
        source_sha256: of the file that the teacher was read from, or "random".
    """
    if source_sha256 == DRAWN_SHA256:
        return (
            "the teacher is the drawn one, for demonstrations only: on real parts it was close to "
            "chance (image AUROC 0.60 where ImageNet's ResNet-18 gave 0.79)"
        )
    if source_sha256 == RANDOM_SOURCE:
        return "the teacher is untrained, for tests and demonstrations only: it has seen no image"
    return None
