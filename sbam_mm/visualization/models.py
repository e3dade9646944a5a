# Copyright (c) OpenMMLab. All rights reserved.
"""Models to look at: from a config, or a ViT with random weights."""
import logging
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import LoadReport, load_weights
from sbam_mm.models.selfsup.base import MaskedImageModel
from sbam_mm.registry import MODELS

IMAGENET = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)


def model_from_config(
    config: str | Path | Config,
    checkpoint: str | None = None,
    seed: int = 0,
) -> tuple[MaskedImageModel, LoadReport | None]:
    """Build the model of a config, and load a checkpoint that must fit.

    Args:
        config (str, Path or Config): With ``model=dict(type='sbam_mm.X')``.
        checkpoint (str, optional): Defaults to None: weights stay random.
        seed (int): Of the random weights. Defaults to 0.

    Returns:
        tuple: The model in eval mode, and how the checkpoint matched.

    Raises:
        UserError: If anything is missing or does not fit.
    """
    if not isinstance(config, Config):
        config = read_model_config(config)
    options = config.model.copy()
    # The Runner moves this key from the top into the model, too.
    if 'data_preprocessor' in config:
        options.setdefault('data_preprocessor', config.data_preprocessor)
    scope = config.get('default_scope', 'mmpretrain')
    with DefaultScope.overwrite_default_scope(scope):
        return _build(options, checkpoint, seed)


def vit_base(checkpoint: str | None = None,
             seed: int = 0) -> tuple[MaskedImageModel, LoadReport | None]:
    """A ViT-B/16 for images of 224 pixels, to look at masks with.

    Args:
        checkpoint (str, optional): With the keys of ``backbone``. Defaults
            to None: weights stay random, as at the first training step.
        seed (int): Of the random weights. Defaults to 0.

    Returns:
        tuple: A model without decoder in eval mode, and how the checkpoint
        matched.
    """
    options = dict(
        type='sbam_mm.MAE',
        data_preprocessor=dict(IMAGENET),
        backbone=dict(type='sbam_mm.MaskedViT', arch='base'),
        masker=dict(type='sbam_mm.SBAM'))
    return _build(options, checkpoint, seed)


def _build(
    options: dict,
    checkpoint: str | None,
    seed: int,
) -> tuple[MaskedImageModel, LoadReport | None]:
    """Build with random weights, or those of a checkpoint, in eval mode."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    # mmengine prints a paragraph for every parameter it initialises.
    logger.setLevel(logging.WARNING)
    # Constructors draw the weights that `init_weights` leaves alone.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS.build(options)
        if not isinstance(model, MaskedImageModel):
            raise UserError(
                f'{type(model).__name__} of the config cannot be drawn; masks '
                "are taken from models like type='sbam_mm.MAE'.")
        model.init_weights()
    logger.setLevel(level)
    model.eval()
    return model, load_weights(model, checkpoint) if checkpoint else None
