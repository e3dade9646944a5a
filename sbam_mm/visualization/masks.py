# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of masks: what a masker hides, and the salience it goes by."""
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from sbam_mm.masking import MaskingContext, TokenMask

from .fitted_maskers import labelled_maskers
from .output import Cell, Grid, picture_grid
from .photographs import center_crop
from .pixels import as_picture, heat_map, hide_patches, to_inputs

# More columns than this are not legible on a page.
MAX_COLUMNS = 7


@torch.no_grad()
def masking_context(model,
                    images: Sequence[np.ndarray],
                    progress: float | None = None) -> MaskingContext:
    """What maskers may look at, for pictures instead of a training batch.

    Args:
        images (Sequence[np.ndarray]): RGB, uint8, (H, W, 3), equal sizes, or
            of other channels as the model has them.
        progress (float, optional): How much of a training is done, in
            [0, 1]. Defaults to None: as the runner says, 0 without one.

    Several maskers can share it; what they all need (attention) is computed
    once.
    """
    inputs = to_inputs(model, images)
    context = model.context(model.backbone.embed(inputs), inputs)
    return context if progress is None else replace(
        context, progress=progress)


@torch.no_grad()
def draw_mask(masker: nn.Module, context: MaskingContext,
              seed: int = 0) -> TokenMask:
    """Mask with draws of their own; torch's generator is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return masker(context)


def mask_images(model,
                images: Sequence[np.ndarray],
                masker: nn.Module | None = None,
                seed: int = 0,
                progress: float | None = None) -> TokenMask:
    """Mask pictures with the model's or another masker.

    The arguments are those of :func:`masking_context`, :func:`draw_mask`.
    """
    return draw_mask(model.masker if masker is None else masker,
                     masking_context(model, images, progress), seed)


def on_grid(model, values: torch.Tensor, image: np.ndarray) -> np.ndarray:
    """Values of tokens (B, L) as an array (B, h, w)."""
    patch = model.backbone.patch_size
    height, width = image.shape[0] // patch, image.shape[1] // patch
    return values.cpu().numpy().reshape(-1, height, width)


def mask_grids(model, mask: TokenMask,
               image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden tokens (boolean) and scores of a batch as (B, h, w) arrays."""
    hidden = on_grid(model, ~mask.visible, image)
    if mask.scores is None:
        return hidden, np.zeros_like(hidden, dtype=np.float32)
    return hidden, on_grid(model, mask.scores.float(), image)


@dataclass(eq=False)
class _Column:
    """What one masker makes of all pictures; no ``maps`` without salience."""
    label: str
    masks: list[Cell]
    maps: list[Cell]
    scores: np.ndarray


def _column(model, label: str, masker: nn.Module, context: MaskingContext,
            seed: int, seen: np.ndarray,
            pictures: Sequence[np.ndarray]) -> _Column:
    mask = draw_mask(masker, context, seed)
    hidden, scores = mask_grids(model, mask, seen)
    thrown = np.zeros_like(hidden)
    if mask.thrown is not None:
        thrown = on_grid(model, mask.thrown, seen)
    masks: list[Cell] = []
    maps: list[Cell] = []
    for i, picture in enumerate(pictures):
        below = f'{hidden[i].mean():.0%} hidden'
        if mask.thrown is not None:
            below = (f'{(hidden & ~thrown)[i].mean():.0%} masked, '
                     f'{thrown[i].mean():.0%} thrown')
        masks.append((hide_patches(picture, hidden[i], thrown[i]), below))
        if scores.any():
            below = (f'{mask.salient[i]:.0%} salient'
                     if mask.salient is not None else '')
            maps.append((heat_map(picture, scores[i]), below))
    return _Column(label, masks, maps, scores)


def _columns(model, maskers: Mapping[str, nn.Module],
             images: Mapping[str, np.ndarray], seed: int,
             input_size: tuple[int, int] | None, progress: float | None,
             context: MaskingContext | None = None
             ) -> tuple[list[np.ndarray], list[_Column], list[_Column]]:
    """Pictures, what each masker makes of them, and the maps that differ."""
    seen = list(images.values())
    pictures = [as_picture(picture) for picture in seen]
    if input_size is not None:
        seen = [center_crop(picture, input_size) for picture in seen]
    if context is None:
        context = masking_context(model, seen, progress)
    columns = [
        _column(model, label, masker, context, seed, seen[0], pictures)
        for label, masker in maskers.items()
    ]
    maps: list[_Column] = []
    for column in columns:
        if column.maps and not any(
                np.allclose(column.scores, other.scores) for other in maps):
            maps.append(column)
    return pictures, columns, maps


def _side_by_side(names: Iterable[str], pictures: list[np.ndarray],
                  columns: list[_Column], maps: list[_Column],
                  labels: list[str]) -> Grid:
    headings = [
        f'Salience, {c.label.partition(", ")[0]}' if i else 'Salience'
        for i, c in enumerate(maps)
    ]
    return Grid(['Image', *headings, *labels], {
        name: [(pictures[i], name), *(c.maps[i] for c in maps),
               *(c.masks[i] for c in columns)]
        for i, name in enumerate(names)
    })


def mask_table(model,
               maskers: Mapping[str, nn.Module],
               images: Mapping[str, np.ndarray],
               seed: int = 0,
               input_size: tuple[int, int] | None = None,
               progress: float | None = None,
               context: MaskingContext | None = None) -> Grid:
    """The pictures of :func:`mask_gallery`, for a page.

    Args:
        context (MaskingContext, optional): What maskers look at. Defaults to
            None: :func:`masking_context` of the images.
    """
    pictures, columns, maps = _columns(
        model, maskers, images, seed, input_size, progress, context)
    return _side_by_side(images, pictures, columns, maps,
                         [c.label for c in columns])


def mask_gallery(model,
                 maskers: Mapping[str, nn.Module],
                 images: Mapping[str, np.ndarray],
                 seed: int = 0,
                 title: str | None = None,
                 note: str | None = None,
                 input_size: tuple[int, int] | None = None,
                 progress: float | None = None) -> Figure:
    """Several maskers on the same pictures: image, salience, masks.

    All maskers get the same draws. A masker without salience (random, block)
    adds no salience map, and equal maps are shown once. Where that would be
    too many columns to be legible, every masker has one column, and every
    picture two rows, if there is salience: salience above, mask below.

    Args:
        maskers (Mapping[str, nn.Module]): By what stands above the column.
        images (Mapping[str, np.ndarray]): By name; RGB, uint8, (H, W, 3), of
            equal sizes that patches tile. Of other channels the first three
            are drawn, or the first one as grey.
        input_size (tuple[int, int], optional): Height and width the model
            sees, where pictures are drawn larger, by a whole factor.
            Defaults to None: the model sees what is drawn.
        progress (float, optional): See :func:`masking_context`.

    Returns:
        Figure: One row per picture, or two; below each mask stands the share
        of its patches that is hidden. Masked patches are grey, thrown ones
        dark and hatched.

    Example::

        figure = mask_gallery(
            model, dict(Random=RandomMasker(), SBAM=SBAM()),
            {name: center_crop(image, 224)
             for name, image in photographs().items()})
        save_figure(figure, 'masks.png')
    """
    pictures, columns, maps = _columns(
        model, maskers, images, seed, input_size, progress)
    labels = [c.label for c in columns]
    wide = 1 + len(maps) + len(columns) > MAX_COLUMNS
    if wide:
        labels = [label.replace(', ', '\n', 1) for label in labels]
    if maps and wide:
        rows: list[list[Cell]] = []
        for i, cell in enumerate(zip(pictures, images)):
            rows.append(
                [cell, *(c.maps[i] if c.maps else None for c in columns)])
            rows.append([None, *(c.masks[i] for c in columns)])
        return picture_grid(rows, ['Image', *labels], title, note)
    grid = _side_by_side(images, pictures, columns, maps, labels)
    return picture_grid(grid.rows.values(), grid.columns, title, note)


def mask_figure(model,
                config: Mapping,
                images: Mapping[str, np.ndarray],
                ratios: Sequence[float] = (0.6, 0.75, 0.9),
                **kwargs) -> Figure:
    """One masker at several base ratios; options as :func:`mask_gallery`."""
    return mask_gallery(model, labelled_maskers([config], ratios), images,
                        **kwargs)
