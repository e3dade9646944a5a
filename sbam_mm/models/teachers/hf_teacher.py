# Copyright (c) OpenMMLab. All rights reserved.
"""Any Vision Transformer of Hugging Face's transformers as a teacher."""
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sbam_mm.attention import hf_shape
from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library
from sbam_mm.registry import MODELS

from ..checkpoint import read_checkpoint, state_dict_of
from ..checkpoint_formats import listing
from .library_teacher import LibraryTeacher, why_refused

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


def hf_model(source: str, checkpoint: str | None = None) -> Any:
    """A vision model of transformers with its weights, on the CPU."""
    transformers = extra_library('transformers', 'hf', 'this teacher')
    try:
        with torch.device('cpu'), quiet(transformers.logging):
            config = transformers.AutoConfig.from_pretrained(source)
            config = getattr(config, 'vision_config', config)
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
