# Copyright (c) OpenMMLab. All rights reserved.
"""Any masker with equal counts in transformers' ViTMAE."""
import copy
import inspect
from typing import Any

import torch
from torch import nn

from sbam_mm.extra_libraries import extra_library

from .asking import AskedMasker, Providers

# The next line needs it.
extra_library('transformers', 'hf', 'this adapter of sbam_mm')

from transformers import TrainerCallback  # noqa: E402


class MaskNoise(AskedMasker):
    """The ``noise`` with which ViTMAE masks what a masker has chosen.

    ViTMAE keeps the ``int(L (1 - config.mask_ratio))`` tokens with the
    lowest noise: the noise is each token's place in MAE's permutation, and
    the ratio of the embedding's own copy of the config follows the mask.

    Args:
        ratio (float): The config's, for images that come with a noise.
        masker, providers: See :class:`AskedMasker`.
    """
    caller = 'ViTMAE of transformers'
    takes_thrown = False

    def __init__(self,
                 ratio: float,
                 masker: nn.Module,
                 providers: Providers | None = None):
        super().__init__(masker, providers)
        self.ratio = ratio

    @torch.no_grad()
    def add_noise(self, embeddings: Any, args: tuple,
                  kwargs: dict) -> tuple[tuple, dict]:
        """A hook: noise for these images, unless there is some already."""
        call = inspect.signature(embeddings.forward).bind(*args, **kwargs)
        given = call.arguments
        if given.get('noise') is not None:
            embeddings.config.mask_ratio = self.ratio
            return args, kwargs
        images = given['pixel_values']
        patches = embeddings.patch_embeddings(images)
        position = embeddings.position_embeddings
        if given.get('interpolate_pos_encoding'):
            position = embeddings.interpolate_pos_encoding(
                patches, *images.shape[-2:])
        height, width = embeddings.patch_embeddings.patch_size
        mask = self.decide(
            patches + position[:, 1:],
            (images.shape[-2] // height, images.shape[-1] // width), images)
        assert mask.num_visible is not None  # all counts are equal
        # In the middle between two counts, whatever the rounding.
        embeddings.config.mask_ratio = 1 - (
            mask.num_visible + .5) / patches.shape[1]
        given['noise'] = mask.ids_restore.float()
        return call.args, call.kwargs


def use_masker(model: nn.Module,
               masker: nn.Module,
               providers: Providers | None = None) -> MaskNoise:
    """Let a masker decide what ViTMAE hides, in training and evaluation.

    Args:
        model (nn.Module): ``ViTMAEForPreTraining`` or ``ViTMAEModel``. Its
            class, weights and config stay as they are.
        masker, providers: See :class:`AskedMasker`.

    Returns:
        MaskNoise: Has the last ``mask``.

    Example::

        model = ViTMAEForPreTraining(ViTMAEConfig())
        masking = use_masker(model, SBAM(scope='batch'))
        model(pixel_values).loss.backward()
        masking.mask.statistics()
    """
    embeddings: Any = getattr(model, 'vit', model).embeddings
    embeddings.config = copy.copy(embeddings.config)
    masking = MaskNoise(embeddings.config.mask_ratio, masker, providers)
    embeddings.register_forward_pre_hook(masking.add_noise, with_kwargs=True)
    return masking


class MaskingProgress(TrainerCallback):
    """Tells a masker how far ``transformers.Trainer`` is.

    Args:
        masking (AskedMasker): From :func:`use_masker`.
    """

    def __init__(self, masking: AskedMasker):
        self.masking = masking

    def on_step_begin(self, args: Any, state: Any, control: Any,
                      **kwargs: Any) -> None:
        self.masking.progress = state.global_step / max(state.max_steps, 1)
        self.masking.epoch = int(state.epoch or 0)
