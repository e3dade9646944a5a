# Copyright (c) OpenMMLab. All rights reserved.
"""What a training makes of the same images at each checkpoint it has kept."""
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torch import nn

from sbam_mm.command_line.explain import sentence_of
from sbam_mm.datasets.reading.tree import printable
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.models import model_from_config
from sbam_mm.masking import Masker, MaskingContext, TokenMask
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.stored_config import options_in
from sbam_mm.registry import DATASETS

from .fitted_maskers import fit_all
from .masks import draw_mask, mask_table, masking_context
from .output import Cell, Grid
from .page import Album
from .photographs import center_crop, photographs
from .pixels import repeat_cells
from .reconstruction import reconstruct_images

NUM_IMAGES = 6


def config_path(work_dir: str | Path) -> Path | None:
    """The newest config that a training has stored there."""
    return max(Path(work_dir).glob('*/vis_data/config.py'), default=None)


def run_config(work_dir: str | Path) -> Config:
    """The config of a training, read as data: nothing of it is run."""
    path = config_path(work_dir)
    options = options_in(path.read_text('utf-8', 'replace')) if path else {}
    if not isinstance((options or {}).get('model'), dict):
        raise UserError(
            f'{work_dir} has no config with a model (*/vis_data/config.py); '
            'give the work directory of a pre-training run.')
    return Config(options)


def kept_checkpoints(work_dir: str | Path) -> dict[int, Path]:
    """Checkpoints by epoch, or by iteration where training counts those."""
    found: dict[str, dict[int, Path]] = dict(epoch={}, iter={})
    for path in Path(work_dir).glob('*.pth'):
        match = re.fullmatch(r'(epoch|iter)_(\d{1,9})', path.stem)
        if match and path.is_file():
            found[match[1]][int(match[2])] = path
    return dict(sorted((found['epoch'] or found['iter']).items()))


def training_length(config: Config, checkpoints: Mapping[int, Path]) -> int:
    """Epochs or iterations of a training, those of its last one unsaid."""
    loop = config.get('train_cfg') or {}
    return loop.get('max_epochs') or loop.get('max_iters') or max(checkpoints)


def sample_images(config: Config,
                  count: int = NUM_IMAGES) -> dict[str, np.ndarray]:
    """Images of a run's data as its model sees them, un-augmented, by class.

    They are the queries of its ``KNNHook``, where it has one, or else of its
    training set, in equal steps from the first to the last.

    Returns:
        dict[str, np.ndarray]: uint8, (H, W, C), RGB if C is 3.

    Raises:
        UserError: If the data set is not there any more.
    """
    options = _query(config) or _innermost(
        (config.get('train_dataloader') or {}).get('dataset'))
    if not options:
        raise UserError('the config names no images.')
    options.update(pipeline=[dict(type='LoadImageFromFile')], test_mode=True)
    for key in ('cache', 'repeats', 'indices'):
        options.pop(key, None)
    if 'ImageFolder' in options['type'] or 'Torchvision' in options['type']:
        options = {**config_decoding(config), **options}
    with DefaultScope.overwrite_default_scope(
            config.get('default_scope', 'mmpretrain')):
        dataset = DATASETS.build(options)
    classes = dataset.metainfo.get('classes')
    images: dict[str, np.ndarray] = {}
    for index in np.unique(np.linspace(
            0, len(dataset) - 1, min(count, len(dataset))).astype(int)):
        sample = dataset[int(index)]
        image = sample['img']
        label = sample.get('gt_label')
        name = printable(classes[int(label)] if classes and label is not None
                         else Path(sample['img_path']).name)
        if name in images:
            name = f'{name} {index}'
        if image.shape[2] == 3:  # mmcv's order is BGR
            image = image[..., ::-1]
        images[name] = as_seen(np.ascontiguousarray(image), config)
    return images


def _query(config: Config) -> dict[str, Any]:
    for hook in config.get('custom_hooks') or ():
        if str(hook.get('type')).endswith('KNNHook'):
            return _innermost(hook.get('query'))
    return {}


def _innermost(options: Any) -> dict[str, Any]:
    """The data set that wrappers such as ``RepeatDataset`` go by."""
    options = dict(options or {})
    while inner := options.get('dataset') or options.get('images'):
        options = dict(inner)
    return options


def images_for(config: Config) -> tuple[dict[str, np.ndarray], str]:
    """Images to draw, and a sentence where they are not the run's own."""
    try:
        return sample_images(config), ''
    except Exception as error:
        reason = sentence_of(error)
        if reason is None:
            raise
    if config_decoding(config).get('channels', 3) not in (1, 3):
        raise UserError(reason)
    return photographs(), (
        'The images of the run cannot be read, so these are photographs of '
        f'scikit-image: {reason}')


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """A colour image (H, W, 3) as grey (H, W, 1), or the other way round.

    Example:
        >>> with_channels(np.zeros((2, 2, 3), np.uint8), 1).shape
        (2, 2, 1)
    """
    if (image.shape[2], channels) == (3, 1):
        return np.asarray(Image.fromarray(image).convert('L'))[..., None]
    if (image.shape[2], channels) == (1, 3):
        return image.repeat(3, axis=2)
    return image


def as_seen(image: np.ndarray, config: Config) -> np.ndarray:
    """An image in the size and with the channels of a run's model."""
    side = config.model.get('backbone', {}).get('img_size', 224)
    height, width = (side, side) if isinstance(side, int) else side
    return center_crop(
        with_channels(image, config_decoding(config).get('channels', 3)),
        (int(height), int(width)))


class Drawn(nn.Module):
    """A masker that says again what was drawn."""

    def __init__(self, mask: TokenMask):
        super().__init__()
        self.mask = mask

    def forward(self, context: MaskingContext) -> TokenMask:
        return self.mask


def run_pictures(model, images: Mapping[str, np.ndarray],
                 progress: float = 0., epoch: int = 0, seed: int = 0) -> Grid:
    """Image, salience, mask and reconstruction by a model as it is.

    Below a reconstruction stands its root mean squared error over the pixels
    that were hidden, of values in [0, 1]. Salience and reconstruction are
    there for maskers and models that have them.
    """
    pictures = list(images.values())
    context = replace(masking_context(model, pictures, progress), epoch=epoch)
    mask = draw_mask(model.masker, context, seed)
    grid = mask_table(model, {'Masked': Drawn(mask)}, images, context=context)
    if not getattr(getattr(model, 'head', None), 'predicts_pixels', False):
        return grid
    rows: dict[str, Sequence[Cell]] = {}
    for (name, cells), result in zip(
            grid.rows.items(), reconstruct_images(model, pictures, mask)):
        hidden = repeat_cells(result.masked, result.image.shape)
        error = (result.reconstruction.astype(float) - result.image)[hidden]
        below = (f'error {np.sqrt(np.mean((error / 255)**2)):.3f}'
                 if hidden.any() else '')
        rows[name] = [*cells, (result.reconstruction, below)]
    return Grid([*grid.columns, 'Reconstruction'], rows)


def run_album(label: str,
              work_dir: str | Path,
              images: Mapping[str, np.ndarray],
              seed: int = 0) -> tuple[Album, list[str]]:
    """Pictures of a training at each kept checkpoint, and before it began.

    Weights before training are drawn anew with the seed of the run.

    Args:
        images (Mapping[str, np.ndarray]): By name, of any size and channels.

    Returns:
        tuple: The album, and sentences on what is not as in training, such
        as a checkpoint that cannot be read, which is left out.

    Raises:
        UserError: If nothing can be drawn: another project's model, or no
            checkpoint.
    """
    config = run_config(work_dir)
    checkpoints = kept_checkpoints(work_dir)
    if not checkpoints:
        raise UserError(f'{work_dir} has no checkpoint (epoch_*.pth) to take '
                        'pictures with.')
    try:
        model, _ = model_from_config(
            config, seed=(config.get('randomness') or {}).get('seed') or 0)
    except Exception as error:
        reason = sentence_of(error)
        if reason is None:
            raise
        raise UserError(reason) from error
    if getattr(model, 'masker', None) is None:
        raise UserError(f'{type(model).__name__} has no masker.')
    images = {name: as_seen(image, config) for name, image in images.items()}
    total = training_length(config, checkpoints)
    notes = []
    if isinstance(model.masker, Masker):
        note = fit_all({f'The masker of {label}': model.masker}, model)
        notes += [note] * bool(note)
    moments = {0: run_pictures(model, images, seed=seed)}
    for time, path in checkpoints.items():
        try:
            load_weights(model, str(path))
        except UserError as error:
            notes.append(str(error))
        else:
            moments[time] = run_pictures(
                model, images, min(1., time / total), time, seed)
    if len(moments) == 1:
        raise UserError(notes[-1])
    return Album(label, moments, total), notes
