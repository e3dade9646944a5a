# Copyright (c) OpenMMLab. All rights reserved.
"""Any Vision Transformer of Hugging Face's transformers as a teacher."""
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmpretrain.models.utils import to_2tuple
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS

from ..checkpoint import read_checkpoint, state_dict_of
from ..checkpoint_formats import listing
from .library_teacher import LibraryTeacher, Shape, library, why_refused

# What attention does not need: classifiers, poolers, decoders, text encoders.
LEFT_OUT = re.compile(
    r'(^|\.)(\w*classifier|pooler|head|decoder|lm_head|mask_token|text_\w+|'
    r'visual_projection|logit_(scale|bias)|\w*head)(\.|$)')


@MODELS.register_module()
class HFTeacher(LibraryTeacher):
    """A ViT of transformers, or the image encoder of CLIP and SigLIP.

    Args:
        model (str): A folder with ``config.json`` and weights (safetensors,
            also sharded with an index), a file of weights beside such a
            config, or a name that the library downloads or has in its cache.
        checkpoint (str, optional): Other weights for it, a file or folder.
        mean, std (Sequence[float], optional): In values from 0 to 255.
            Defaults to None: those of ``preprocessor_config.json``.
        size, resample: See :class:`LibraryTeacher`.

    Example::

        teacher = dict(
            type='sbam_mm.HFTeacher', model='facebook/dinov2-small')
    """

    def __init__(self,
                 model: str,
                 checkpoint: str | None = None,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 size: int | tuple[int, int] | None = None,
                 resample: str = 'area'):
        source = model
        if Path(model).is_file():
            source, checkpoint = str(Path(model).parent), checkpoint or model
        vit = hf_model(source, checkpoint)
        if mean is None or std is None:
            mean, std = hf_normalisation(source)
        super().__init__(vit, checkpoint or model,
                         hf_shape(vit.config, model), mean, std, size,
                         resample)

    def run(self, images: Tensor) -> Any:
        options: dict[str, Any] = {}
        known = inspect.signature(self.model.forward).parameters
        if 'interpolate_pos_encoding' in known:
            options['interpolate_pos_encoding'] = True
        if 'noise' in known:
            # The order in which MAE shuffles patches before it drops some.
            count = images.shape[2] * images.shape[3] // (
                self.patch_size[0] * self.patch_size[1])
            options['noise'] = torch.arange(
                count, dtype=torch.float, device=images.device).expand(
                    len(images), -1)
        return self.model(images, **options)


def hf_model(source: str, checkpoint: str | None = None) -> Any:
    """A vision model of transformers with its weights, on the CPU."""
    transformers = library('transformers')
    try:
        with torch.device('cpu'), quiet(transformers.logging):
            config = transformers.AutoConfig.from_pretrained(source)
            config = getattr(config, 'vision_config', config)
            if hasattr(config, 'mask_ratio'):
                config.mask_ratio = 0.
            kind = transformers.MODEL_MAPPING[type(config)]
            weights: dict[str, Any] = {}
            if checkpoint is not None:
                weights['state_dict'] = state_dict_of(
                    read_checkpoint(checkpoint), checkpoint)
            vit, report = kind.from_pretrained(
                None if weights else source, config=config,
                attn_implementation='sdpa', dtype=torch.float32,
                ignore_mismatched_sizes=True, output_loading_info=True,
                **weights)
    except UserError:
        raise
    # The library and its download raise whatever they like.
    except Exception as error:
        raise why_refused(error, source, checkpoint) from error
    check_report(report, checkpoint or source, kind.__name__)
    return vit


@contextmanager
def quiet(log: Any) -> Iterator[None]:
    """Without progress bars, and a table of the keys that errors name."""
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def check_report(report: dict[str, Any], name: str, kind: str) -> None:
    """Stop unless all weights but those of heads found their place."""
    problems = []
    for what, keys in (('lacks', 'missing_keys'), ('also has',
                                                   'unexpected_keys'),
                       ('has other sizes of', 'mismatched_keys')):
        # Mismatched ones come with both shapes.
        names = sorted(key if isinstance(key, str) else key[0]
                       for key in report[keys])
        wrong = [key for key in names if not LEFT_OUT.search(key)]
        if wrong:
            problems.append(f'{what} {listing(wrong)}')
    if problems:
        raise UserError(
            f'{name} does not hold the weights of {kind} that its config '
            f'describes: it {" and ".join(problems)}; give weights of this '
            'model.')


def hf_normalisation(source: str) -> tuple[list[float], list[float]]:
    """Mean and deviation, in values from 0 to 255, of a model's images."""
    library('transformers')
    from transformers.image_processing_base import ImageProcessingMixin
    try:
        said, _ = ImageProcessingMixin.get_image_processor_dict(source)
        scale = 1 / said.get('rescale_factor', 1 / 255)
        pair = said['image_mean'], said['image_std']
    except Exception as error:
        raise UserError(
            f'{source} has no preprocessor_config.json that says how images '
            'are normalised; give mean and std of the teacher, in values from '
            '0 to 255.') from error
    mean, std = ([scale * value for value in values] for values in pair)
    return mean, std


def hf_shape(config: Any, name: str) -> Shape:
    """What has to be known of a model of transformers."""
    try:
        patch, size = (to_2tuple(value) for value in (config.patch_size,
                                                      config.image_size))
        return Shape(config.num_hidden_layers, config.num_attention_heads,
                     tuple(patch), tuple(size))
    except AttributeError as error:
        raise UserError(
            f'{name} is no Vision Transformer: its config does not say '
            f'{error.name}; name one that is.') from error
