# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of reconstructions: what a model makes of hidden patches."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from sbam_mm.masking import TokenMask

from .masks import mask_grids, mask_images
from .output import picture_grid
from .pixels import (
    as_picture,
    hide_patches,
    paste_visible,
    to_inputs,
    to_pixels,
)

NORM_PIX_NOTE = ('The model predicts each patch without its mean and '
                 'contrast; both are taken from the true patch.')


@dataclass(eq=False)
class Pictures:
    """One picture and what became of it.

    Args:
        image (np.ndarray): The target, RGB, uint8, (H, W, 3).
        masked (np.ndarray): Boolean (h, w), True = hidden.
        hidden (np.ndarray): The picture with hidden patches grey.
        reconstruction (np.ndarray): Predictions where hidden.
    """
    image: np.ndarray
    masked: np.ndarray
    hidden: np.ndarray
    reconstruction: np.ndarray


@torch.no_grad()
def reconstruct_images(model,
                       images: Sequence[np.ndarray],
                       token_mask: TokenMask | None = None,
                       seed: int = 0) -> list[Pictures]:
    """Hide patches of pictures and predict them.

    Args:
        model (MaskedImageModel): With ``reconstruct``, e.g. ``MAE``.
        images (Sequence[np.ndarray]): RGB, uint8, (H, W, 3), equal sizes; of
            other channels the first three are drawn, or the first as grey.
        token_mask (TokenMask, optional): Defaults to None: the model's masker
            decides.
    """
    training = model.training
    model.eval()
    if token_mask is None:
        token_mask = mask_images(model, images, seed=seed)
    result = model.reconstruct(to_inputs(model, images), token_mask)
    model.train(training)
    predictions = to_pixels(model, result.images)
    masked, _ = mask_grids(model, result.token_mask, images[0])
    return [
        Pictures(image, hidden, hide_patches(image, hidden),
                 paste_visible(image, as_picture(prediction), hidden))
        for image, hidden, prediction in zip(map(as_picture, images), masked,
                                             predictions)
    ]


def reconstruction_figure(models: Mapping[str, torch.nn.Module],
                          images: Mapping[str, np.ndarray],
                          seed: int = 0,
                          title: str | None = None,
                          note: str | None = None) -> Figure:
    """Original, then masked and reconstruction by each model.

    Args:
        images (Mapping[str, np.ndarray]): By name; RGB, uint8, (H, W, 3), of
            equal sizes.
        note (str, optional): Below all. Defaults to None: what is not
            predicted, where targets are normalised per patch.

    Example::

        model, _ = model_from_config('configs/small/sbam_small.py',
                                     'work_dirs/sbam_small/epoch_4.pth')
        images = {name: center_crop(image, 32)
                  for name, image in photographs().items()}
        figure = reconstruction_figure({'SBAM': model}, images)
    """
    names, pictures = list(images), list(images.values())
    columns = ['Original']
    cells = [[(as_picture(picture), name)]
             for name, picture in zip(names, pictures)]
    for label, model in models.items():
        ending = f', {label}' if len(models) > 1 else ''
        columns += [f'Masked{ending}', f'Reconstruction{ending}']
        for row, result in zip(
                cells, reconstruct_images(model, pictures, seed=seed)):
            row.append((result.hidden, f'{result.masked.mean():.0%} hidden'))
            row.append((result.reconstruction, ''))
        if note is None and getattr(model.head, 'norm_pix', False):
            note = NORM_PIX_NOTE
    return picture_grid(cells, columns, title, note)
