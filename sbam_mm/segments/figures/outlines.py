# Copyright (c) OpenMMLab. All rights reserved.
"""Segments as colours over the image they were cut from."""
import cv2
import numpy as np
from matplotlib.colors import to_rgb

from sbam_mm.visualization.output import COLOURS


def segments_over(image: np.ndarray, ids: np.ndarray,
                  strength: float = 0.6) -> np.ndarray:
    """Tint every mask of an image; what is in none turns grey.

    ``image`` and the result are RGB, uint8, (H, W, 3); ``ids``, (h, w) of
    the whole image, are 0 for no mask.

    Example:
        >>> image = np.full((2, 2, 3), 100, np.uint8)
        >>> segments_over(image, np.array([[0, 0], [1, 1]]))[0, 0]
        array([100, 100, 100], dtype=uint8)
    """
    height, width = image.shape[:2]
    ids = cv2.resize(
        ids.astype(np.uint8), (width, height),
        interpolation=cv2.INTER_NEAREST_EXACT)
    colours = np.array([to_rgb(colour) for colour in COLOURS]) * 255
    grey = image.mean(axis=2, keepdims=True).repeat(3, 2)
    tint = colours[(ids.astype(int) - 1) % len(colours)]
    mixed = (1 - strength) * grey + strength * tint
    return np.where(ids[..., None] > 0, mixed, grey).astype(np.uint8)
