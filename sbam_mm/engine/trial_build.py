# Copyright (c) OpenMMLab. All rights reserved.
"""Find out whether a training can be built, before it is started."""
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import nn

from sbam_mm.errors import UserError
from sbam_mm.models.providers import STORED_MAPS
from sbam_mm.registry import MODELS


def check_buildable(cfg: Config) -> None:
    """Build model and pipeline of a pre-training once, and discard them.

    The model is built without memory for its weights where its classes allow
    it, so that even the largest takes only a moment. No image is read. Errors
    of the parts pass as they are.

    Raises:
        UserError: If the masker or the encoder wants a map of every image
            that the pipeline does not make.
    """
    scope = cfg.get('default_scope', 'mmengine')
    pipeline = pipeline_of(cfg.train_dataloader.get('dataset') or {})
    with DefaultScope.overwrite_default_scope(scope), quiet():
        model = build_without_weights(cfg)
        Compose(pipeline)
    check_maps(model, pipeline)


def build_without_weights(cfg: Config) -> nn.Module:
    """The model of a config, on the meta device or else on the CPU."""
    options = cfg.model.to_dict()
    # As the runner does.
    if cfg.get('data_preprocessor'):
        options.setdefault('data_preprocessor',
                           cfg.data_preprocessor.to_dict())
    try:
        with torch.device('meta'):
            return MODELS.build(options)
    except RuntimeError:
        # What reads a value while it is built cannot do without one.
        return MODELS.build(options)


def check_maps(model: nn.Module, pipeline: list[dict]) -> None:
    """Stop if the model needs a map of every image that the pipeline lacks."""
    backbone = getattr(model, 'backbone', None)
    masker = getattr(model, 'masker', None) or getattr(backbone, 'masker',
                                                       None)
    wanted = {name: type(masker).__name__
              for name in getattr(masker, 'needs', ())}
    guide = getattr(backbone, 'guide', None)
    if guide is not None and getattr(model, 'follows_guides', False):
        wanted[guide.needs] = guide.who
    made = set(packed_keys(pipeline))
    for name, who in wanted.items():
        if name in STORED_MAPS and name not in made:
            raise UserError(
                f'{who} asks for {name!r}, which the pipeline does not make; '
                f"add dict(type='sbam_mm.{STORED_MAPS[name]}') before "
                f"PackInputs and {name!r} to PackInputs' algorithm_keys.")


def packed_keys(pipeline: list[dict]) -> Iterator[str]:
    """What ``PackInputs`` gives to the model beside images and labels."""
    for step in pipeline:
        yield from step.get('algorithm_keys') or ()


def pipeline_of(dataset: dict) -> list[dict]:
    """The pipeline of a data set, or of the first that wrappers hold."""
    while 'pipeline' not in dataset:
        inner = dataset.get('dataset') or dataset.get('datasets')
        if not inner:
            return []
        dataset = inner[0] if isinstance(inner, (list, tuple)) else inner
    return dataset['pipeline']


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what a training logs when it begins."""
    logger = MMLogger.get_current_instance()
    level: Any = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Weights copied to a tensor without memory.
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
