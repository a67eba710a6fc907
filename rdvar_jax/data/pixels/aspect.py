"""Aspect of images, which `squash` changes."""

from rdvar_jax.data.pixels.geometry import Geometry

MAX_SQUASH = 0.1  # above it the change of the aspect is worth a sentence
_MULTIPLE = 32  # of H and W


def squash_remark(size_wh: tuple[int, int], geometry: Geometry) -> str | None:
    """Returns a sentence where images of this size lose over a tenth of their aspect, else None."""
    aspect = size_wh[0] / size_wh[1]
    change = aspect_change(aspect, geometry.width / geometry.height)
    if geometry.mode != "squash" or change <= MAX_SQUASH:
        return None
    height, width = nearest_size(aspect, geometry.height * geometry.width)
    size = ""
    if aspect_change(aspect, width / height) <= MAX_SQUASH:
        size = f"data.image_size={height},{width}, or "
    return (
        f"Images of {size_wh[0]}x{size_wh[1]} pixels are squashed to {geometry.width}x"
        f"{geometry.height}, which changes their aspect by {change:.0%}; to keep it, set {size}"
        "data.geometry=pad, crop or tile."
    )


def aspect_change(first: float, second: float) -> float:
    """Returns by how much one aspect exceeds the other: 0.1 for a tenth."""
    return round(max(first / second, second / first) - 1, 6)


def nearest_size(aspect: float, num_pixels: float) -> tuple[int, int]:
    """Returns H and W of about as many pixels, in multiples of 32, nearest to the aspect W / H."""
    middle = max(1, round((num_pixels / aspect) ** 0.5 / _MULTIPLE))
    heights = [number * _MULTIPLE for number in (middle - 1, middle, middle + 1) if number > 0]
    sizes = [(h, max(1, round(h * aspect / _MULTIPLE)) * _MULTIPLE) for h in heights]

    def key(size: tuple[int, int]) -> tuple[float, float]:
        return aspect_change(aspect, size[1] / size[0]), abs(size[0] * size[1] - num_pixels)

    return min(sizes, key=key)
