# Copyright (c) OpenMMLab. All rights reserved.
"""Between uint8 pictures, model inputs and patch grids. Pure functions."""
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

# Hidden patches: light, neutral, and hardly ever a photograph's own colour.
GREY = (205, 205, 205)
# Thrown patches: darker, and hatched, so that no dark object looks like one.
DARK, HATCH = (62, 62, 62), (128, 128, 128)


def to_inputs(model, images: Sequence[np.ndarray]) -> Tensor:
    """Pictures as the model's data preprocessor would hand them over.

    Args:
        images (Sequence[np.ndarray]): uint8, (H, W, C), equal sizes; RGB if
            C is 3.

    Returns:
        Tensor: Normalised, (B, C, H, W), on the model's device.
    """
    stack = np.stack(images)
    # mmcv's pipelines decode to BGR, so that is what preprocessors expect.
    stack = stack[..., ::-1] if stack.shape[3] == 3 else stack
    batch = torch.from_numpy(
        np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))
    data = dict(inputs=batch, data_samples=None)
    return model.data_preprocessor(data)['inputs']


def to_pixels(model, inputs: Tensor) -> np.ndarray:
    """Inverse of :func:`to_inputs`, clipped: uint8, (B, H, W, C)."""
    preprocessor = model.data_preprocessor
    pixels = inputs.float()
    if preprocessor._enable_normalize:
        pixels = pixels * preprocessor.std + preprocessor.mean
    if not preprocessor._channel_conversion and pixels.shape[1] == 3:
        pixels = pixels.flip(1)
    pixels = pixels.round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def as_picture(image: np.ndarray) -> np.ndarray:
    """Three channels (H, W, 3): the first three, or the first one as grey."""
    if image.shape[2] < 3:
        return image[..., :1].repeat(3, axis=2)
    return image[..., :3]


def repeat_cells(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Repeat each cell of a patch grid (h, w) over its patch's pixels.

    The ``shape`` (H, W, ...) of the picture is a multiple of the grid's.
    """
    height, width = shape[0] // cells.shape[0], shape[1] // cells.shape[1]
    return cells.repeat(height, axis=0).repeat(width, axis=1)


def hide_patches(image: np.ndarray,
                 hidden: np.ndarray,
                 thrown: np.ndarray | None = None) -> np.ndarray:
    """The picture with its masked patches in ``GREY``.

    Args:
        hidden (np.ndarray): Boolean (h, w), True = not visible.
        thrown (np.ndarray, optional): Boolean (h, w), those of the hidden
            patches that are thrown: ``DARK`` with diagonals in ``HATCH``.
    """
    image = as_picture(image)
    drawn = np.where(
        repeat_cells(hidden, image.shape)[..., None], np.array(GREY, np.uint8),
        image)
    if thrown is None or not thrown.any():
        return drawn
    rows, columns = np.indices(image.shape[:2])
    # Two lines per patch, wherever it stands.
    period = max(2, image.shape[0] // thrown.shape[0] // 2)
    line = (rows + columns) % period < max(1, period // 4)
    colour = np.where(line[..., None], np.array(HATCH, np.uint8),
                      np.array(DARK, np.uint8))
    return np.where(
        repeat_cells(thrown, image.shape)[..., None], colour, drawn)


def paste_visible(image: np.ndarray, prediction: np.ndarray,
                  masked: np.ndarray) -> np.ndarray:
    """Predicted patches where ``masked`` (h, w), the true pixels elsewhere."""
    return np.where(
        repeat_cells(masked, image.shape)[..., None], prediction, image)


def heat_map(image: np.ndarray,
             scores: np.ndarray,
             opacity: float = 0.75,
             gamma: float = 0.5) -> np.ndarray:
    """Scores of patches as colours over the grey picture.

    Args:
        scores (np.ndarray): (h, w) in [0, 1]; 0 is dark, 1 bright.
        gamma (float): Scores are raised to this power first: a few tokens
            hold most of the salience, and the threshold 0.1 is to be seen.
    """
    image = as_picture(image)
    colours = repeat_cells(score_colours(scores, gamma), image.shape)
    grey = (image / 255).mean(axis=2, keepdims=True)
    mixed = opacity * colours + (1 - opacity) * grey
    return np.round(255 * mixed).astype(np.uint8)


def score_colours(scores: np.ndarray, gamma: float = 0.5) -> np.ndarray:
    """Colours (..., 3) in [0, 1] of scores in [0, 1], see :func:`heat_map`."""
    return colormaps['inferno'](scores**gamma)[..., :3]
