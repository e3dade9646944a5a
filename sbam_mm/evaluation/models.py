# Copyright (c) OpenMMLab. All rights reserved.
"""Models from a config, or a ViT-B, with random weights or a checkpoint's."""
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.models import MaskedImageModel
from sbam_mm.models.checkpoint import LoadReport, load_weights
from sbam_mm.models.teachers import teacher_config
from sbam_mm.registry import MODELS

IMAGENET = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
# A ViT-B/16 without decoder for images of 224 pixels.
VIT_BASE = Config(dict(model=dict(
    type='sbam_mm.MAE',
    data_preprocessor=dict(IMAGENET, type='sbam_mm.SelfSupDataPreprocessor'),
    backbone=dict(type='sbam_mm.MaskedViT', arch='base'),
    masker=dict(type='sbam_mm.SBAM'))))


@contextmanager
def quiet_building(scope: str = 'mmpretrain') -> Iterator[None]:
    """Build in a scope; mmengine's paragraph per parameter is not printed."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with DefaultScope.overwrite_default_scope(scope):
            yield
    finally:
        logger.setLevel(level)


def model_from_config(
    config: str | Path | Config,
    checkpoint: str | None = None,
    seed: int = 0,
    teacher: str | None = None,
) -> tuple[MaskedImageModel, LoadReport | None]:
    """Build the model of a config, and load a checkpoint that must fit.

    A ``teacher``, named as on a command line (:func:`teacher_config`), takes
    the place of the config's and brings weights of its own.
    """
    if not isinstance(config, Config):
        config = read_model_config(config)
    options = config.model.copy()
    # The Runner moves this key from the top into the model, too.
    if 'data_preprocessor' in config:
        options.setdefault('data_preprocessor', config.data_preprocessor)
    if teacher:
        options.teacher = teacher_config(teacher, options.backbone)
    scope = config.get('default_scope', 'mmpretrain')
    # Constructors draw the weights that `init_weights` leaves alone.
    with quiet_building(scope), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS.build(options)
        if not isinstance(model, MaskedImageModel):
            raise UserError(
                f'{type(model).__name__} of the config cannot be drawn; masks '
                "are taken from models like type='sbam_mm.MAE'.")
        model.init_weights()
    model.eval()
    if not checkpoint:
        return model, None
    apart = model.teacher if teacher else None
    if teacher:
        model.teacher = None
    report = load_weights(model, checkpoint)
    if teacher:
        model.teacher = apart
    return model, report
