"""The first convolution's filters, from formulas."""

from typing import Any

import numpy as np


def set_filter_bank(variables: dict[str, Any]) -> None:
    """Replaces the first convolution's random filters by Gabor filters, in place.

    Five of eight look at brightness, the others at red against green and at yellow against blue.
    Angles and wavelengths follow the golden ratio, so that any number of them is spread evenly;
    four phases, since a ReLU hides one sign.
    """
    kernel = variables["params"]["conv1"]["kernel"]
    size, _, _, width = kernel.shape
    axis = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    colours = {
        "light": np.array([1.0, 1.0, 1.0]),
        "red_green": np.array([1.0, -1.0, 0.0]),
        "yellow_blue": np.array([0.5, 0.5, -1.0]),
    }
    light, red_green, yellow_blue = colours
    plan = [light, light, red_green, light, yellow_blue, light, yellow_blue, light]
    bank = np.zeros_like(kernel)
    for index in range(width):
        colour = plan[index % len(plan)]
        angle = np.pi * (index * 0.618034 % 1)
        level = index * 0.754878 % 1
        wavelength = 2.8 * 4.0**level if colour == light else 5.0 * 4.0**level
        phase = np.pi / 2 * (index // len(plan) % 4)
        deviation = min(0.5 * wavelength, 2.0)
        across = x * np.cos(angle) + y * np.sin(angle)
        wave = np.cos(2 * np.pi * across / wavelength + phase)
        gabor = wave * np.exp(-(x * x + y * y) / (2 * deviation**2))
        if colour == light and index % 16 != 8:
            gabor -= gabor.mean()  # two of a width of 32 keep the local brightness
        filters = gabor[..., None] * colours[colour]
        bank[..., index] = filters / np.linalg.norm(filters)
    variables["params"]["conv1"]["kernel"] = bank.astype(np.float32)
