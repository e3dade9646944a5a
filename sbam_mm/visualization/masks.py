# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of masks: what a masker hides, and the salience it goes by."""
import copy
import inspect
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from sbam_mm import masking
from sbam_mm.masking import Masker, TokenMask
from sbam_mm.registry import MODELS

from .output import picture_grid
from .photographs import center_crop
from .pixels import heat_map, hide_patches, to_inputs


def masker_names() -> Dict[str, str]:
    """Short names of the maskers that need no parts, in lower case.

    Returns:
        dict[str, str]: Name to registered type, e.g. "random" to
        "sbam_mm.RandomMasker".
    """
    return {
        name.lower().removesuffix('masker'): f'sbam_mm.{name}'
        for name in sorted(masking.__all__)
        if inspect.isclass(kind := getattr(masking, name))
        and issubclass(kind, Masker) and kind is not Masker
    }


def masker_config(name: str) -> dict:
    """Config of a masker with its defaults.

    Args:
        name (str): In any case, with or without "Masker".

    Returns:
        dict: ``dict(type='sbam_mm.X')``.

    Raises:
        ValueError: If there is none of this name.

    Example:
        >>> masker_config('SBAM'), masker_config('random')
        ({'type': 'sbam_mm.SBAM'}, {'type': 'sbam_mm.RandomMasker'})
    """
    names = masker_names()
    short = name.strip().lower().removesuffix('masker')
    if short not in names:
        raise ValueError(f'there is no masker {name!r}; choose one of '
                         f'{", ".join(names)}.')
    return dict(type=names[short])


def masker_label(config: Mapping) -> str:
    """What to call a masker in a figure: its type without the rest.

    Example:
        >>> masker_label(dict(type='sbam_mm.RandomMasker'))
        'Random'
    """
    name = config['type'].rpartition('.')[2]
    return name.removesuffix('Masker') or name


def build_masker(config: Mapping, ratio: Optional[float] = None) -> nn.Module:
    """Build a masker to look at, if wanted at another base ratio.

    The warm-up with random masks (``start_epoch``) is left out: a figure is
    to show the method. Where ``ratio +- delta_r`` would leave [0, 1),
    ``delta_r`` shrinks until it fits.

    Args:
        config (Mapping): Of a registered masker.
        ratio (float, optional): Base ratio. Defaults to None: as configured.

    Returns:
        nn.Module: The masker.

    Raises:
        ValueError: If the ratio is outside [0, 1).
    """
    # A plain dict: mmengine's turns missing keys into errors of its own.
    options = copy.deepcopy(dict(config))
    options.pop('start_epoch', None)
    if ratio is not None:
        if not 0 <= ratio < 1:
            raise ValueError(f'a masking ratio is a share in [0, 1), got '
                             f'{ratio:g}; MAE uses 0.75.')
        # Composed maskers have the ratio as a part with options of its own.
        part = options
        if isinstance(options.get('ratio'), Mapping):
            part = options['ratio'] = dict(options['ratio'])
        part['ratio'] = ratio
        accepted = inspect.signature(MODELS.get(part['type'])).parameters
        if 'delta_r' in accepted:
            wanted = part.get('delta_r', accepted['delta_r'].default)
            # A hundredth below 1, which is not in the range.
            room = max(0., min(ratio, 0.99 - ratio))
            part['delta_r'] = min(wanted, round(room, 6))
    return MODELS.build(options)


@torch.no_grad()
def mask_images(model,
                images: Sequence[np.ndarray],
                masker: Optional[nn.Module] = None,
                seed: int = 0) -> TokenMask:
    """Mask pictures.

    Args:
        model (MaskedImageModel): Embeds the pictures, e.g. ``MAE``.
        images (Sequence[np.ndarray]): RGB, uint8, (H, W, 3), equal sizes.
        masker (nn.Module, optional): Defaults to None: the model's own.
        seed (int): Of the draws; torch's generator is left as it was.
            Defaults to 0.

    Returns:
        TokenMask: (B, L), with scores and ratios.
    """
    inputs = to_inputs(model, images)
    tokens = model.backbone.embed(inputs)
    context = model.context(tokens, inputs)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return (model.masker if masker is None else masker)(context)


def mask_grids(model, mask: TokenMask,
               image: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Hidden tokens (boolean) and scores of a batch as (B, h, w) arrays."""
    patch = model.backbone.patch_size
    grid = (-1, image.shape[0] // patch, image.shape[1] // patch)
    hidden = (~mask.visible).cpu().numpy().reshape(grid)
    if mask.scores is None:
        return hidden, np.zeros_like(hidden, dtype=np.float32)
    return hidden, mask.scores.float().cpu().numpy().reshape(grid)


def mask_gallery(model,
                 maskers: Mapping[str, nn.Module],
                 images: Mapping[str, np.ndarray],
                 seed: int = 0,
                 title: Optional[str] = None,
                 note: Optional[str] = None,
                 input_size: Optional[Tuple[int, int]] = None) -> Figure:
    """Several maskers on the same pictures: image, salience, masks.

    All maskers get the same draws. A masker without salience (random, block)
    adds no salience map, and equal maps are shown once.

    Args:
        model (MaskedImageModel): Embeds the pictures.
        maskers (Mapping[str, nn.Module]): By what stands above the column.
        images (Mapping[str, np.ndarray]): By name; RGB, uint8, (H, W, 3), of
            equal sizes that patches tile.
        seed (int): Of the draws. Defaults to 0.
        title (str, optional): Above all. Defaults to None.
        note (str, optional): Below all. Defaults to None.
        input_size (tuple[int, int], optional): Height and width the model
            sees, where pictures are drawn larger, by a whole factor.
            Defaults to None: the model sees what is drawn.

    Returns:
        Figure: One row per picture; below each mask stands the share of its
        patches that is hidden.

    Example::

        figure = mask_gallery(
            model, dict(Random=RandomMasker(), SBAM=SBAM()),
            {name: center_crop(image, 224)
             for name, image in photographs().items()})
        save_figure(figure, 'masks.png')
    """
    names, pictures = list(images), list(images.values())
    seen = pictures
    if input_size is not None:
        seen = [center_crop(picture, input_size) for picture in pictures]
    columns: List[str] = ['Image']
    cells = [[(picture, name)] for name, picture in zip(names, pictures)]
    maps: List[np.ndarray] = []
    masks: List[Tuple[str, np.ndarray]] = []
    for label, masker in maskers.items():
        mask = mask_images(model, seen, masker, seed)
        hidden, scores = mask_grids(model, mask, seen[0])
        masks.append((label, hidden))
        if scores.any() and not any(np.allclose(scores, m) for m in maps):
            maps.append(scores)
            columns.append('Salience' if len(maps) == 1 else
                           f'Salience, {label.partition(", ")[0]}')
            for i, row in enumerate(cells):
                below = (f'{mask.salient[i]:.0%} salient'
                         if mask.salient is not None else '')
                row.append((heat_map(pictures[i], scores[i]), below))
    for label, hidden in masks:
        columns.append(label)
        for i, row in enumerate(cells):
            row.append((hide_patches(pictures[i], hidden[i]),
                        f'{hidden[i].mean():.0%} hidden'))
    return picture_grid(cells, columns, title, note)


def mask_figure(model,
                config: Mapping,
                images: Mapping[str, np.ndarray],
                ratios: Sequence[float] = (0.6, 0.75, 0.9),
                **kwargs) -> Figure:
    """One masker at several base ratios: image, salience, masks.

    Args:
        model (MaskedImageModel): Embeds the pictures.
        config (Mapping): Of the masker.
        images (Mapping[str, np.ndarray]): As for :func:`mask_gallery`.
        ratios (Sequence[float]): Base ratios. Defaults to 0.6, 0.75, 0.9.
        **kwargs: Seed, title and note of :func:`mask_gallery`.

    Returns:
        Figure: One row per picture, one column per ratio.
    """
    return mask_gallery(model, labelled_maskers([config], ratios), images,
                        **kwargs)


def labelled_maskers(
        configs: Sequence[Mapping],
        ratios: Union[Sequence[float], Sequence[None]] = (None, ),
) -> Dict[str, nn.Module]:
    """Every masker at every ratio, by a label that says both.

    Args:
        configs (Sequence[Mapping]): Of maskers.
        ratios (Sequence[float]): Base ratios; None is the configured one.

    Returns:
        dict[str, nn.Module]: In the order of the arguments.
    """
    maskers = {}
    for config in configs:
        for ratio in ratios:
            masker = build_masker(config, ratio)
            base = masker.ratio.ratio
            reach = getattr(masker.ratio, 'delta_r', 0.)
            label = f'{masker_label(config)}, r = {base:g}'
            maskers[label + (f' ± {reach:g}' if reach else '')] = masker
    return maskers
