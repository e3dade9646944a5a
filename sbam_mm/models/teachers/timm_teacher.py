# Copyright (c) OpenMMLab. All rights reserved.
"""Any Vision Transformer of timm as a frozen teacher."""
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sbam_mm.attention import timm_shape
from sbam_mm.extra_libraries import extra_library
from sbam_mm.registry import MODELS

from ..checkpoint import read_checkpoint, state_dict_of
from .library_teacher import LibraryTeacher, why_refused

# What classifies, and MAE's decoder.
HEADS = re.compile(r'(head|head_dist|decoder_\w+)(\.|$)')


@MODELS.register_module()
class TimmTeacher(LibraryTeacher):
    """A ViT of timm: registers, layer scale, rotary positions, SwiGLU, etc.

    Args:
        model (str): timm's name, such as
            "vit_small_patch14_reg4_dinov2.lvd142m", or a folder with a
            ``config.json`` of timm and weights.
        checkpoint (str, optional): Weights in any layout that timm reads for
            this model: a file, or a folder. Defaults to None: the folder
            named in ``model``, or those that timm downloads.
        mean, std (Sequence[float], optional): In values from 0 to 255.
            Defaults to None: timm's for these weights.
        size, resample: See :class:`LibraryTeacher`.
        **options: Of ``timm.create_model``.

    Example::

        teacher = dict(
            type='sbam_mm.TimmTeacher',
            model='vit_small_patch14_reg4_dinov2.lvd142m',
            checkpoint='model.safetensors')
    """

    def __init__(self,
                 model: str,
                 checkpoint: str | None = None,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 size: int | tuple[int, int] | None = None,
                 resample: str = 'area',
                 **options: Any):
        vit = timm_model(model, checkpoint, **options)
        known: dict = vit.pretrained_cfg
        super().__init__(
            vit, checkpoint or model, timm_shape(vit, model),
            mean or [255 * value for value in known['mean']],
            std or [255 * value for value in known['std']], size, resample)


def timm_model(model: str, checkpoint: str | None = None,
               **options: Any) -> Any:
    """A model of timm with its weights, without classifier, on the CPU."""
    timm = extra_library('timm', 'timm', 'this teacher')
    if Path(model).is_dir():
        model, checkpoint = f'local-dir:{model}', checkpoint or model
    if checkpoint is not None:
        state = state_dict_of(read_checkpoint(checkpoint), checkpoint)
        decoded = any(key.startswith('decoder_') for key in state)
        # As many classes as the model has, or timm is not strict.
        options['pretrained_cfg_overlay'] = dict(
            num_classes=0,
            label_offset=0,
            state_dict={
                key: value for key, value in state.items()
                if not (HEADS.match(key) or decoded and key == 'mask_token')
            })
    else:
        options.setdefault('num_classes', 0)
    try:
        with torch.device('cpu'):
            try:
                return timm.create_model(
                    model, pretrained=True, dynamic_img_size=True, **options)
            except TypeError:  # takes no option of that name
                return timm.create_model(model, pretrained=True, **options)
    # timm and its download raise whatever they like.
    except Exception as error:
        raise why_refused(error, model, checkpoint) from error
