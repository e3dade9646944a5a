# Copyright (c) OpenMMLab. All rights reserved.
"""Any masker with equal counts as stable-pretraining's ``masking``."""
from typing import NamedTuple

import torch
from torch import Tensor

from .asking import AskedMasker, take


class MaskingOutput(NamedTuple):
    """What stable-pretraining's ``MaskedEncoder`` wants of a ``masking``.

    Attributes:
        visible (Tensor): (B, K, D).
        mask (Tensor): float (B, L), 1 = masked.
        ids_restore (Tensor): MAE's inverse permutation, int64 (B, L).
        ids_keep (Tensor): int64 (B, K).
    """
    visible: Tensor
    mask: Tensor
    ids_restore: Tensor
    ids_keep: Tensor


class PatchMasking(AskedMasker):
    """In the place of stable-pretraining's class of that name.

    Masks in training mode alone, like it.

    Example::

        model = stable_pretraining.methods.MAE(
            'vit_base_patch16_224', masking=PatchMasking(SBAM(scope='batch')))
    """
    caller = "stable-pretraining's MaskedEncoder"
    takes_thrown = False

    def forward(self, x: Tensor, grid_h: int, grid_w: int) -> MaskingOutput:
        """Mask (B, L, D) of a grid."""
        if not self.training:
            every = torch.arange(x.shape[1], device=x.device)
            every = every.expand(len(x), -1)
            return MaskingOutput(x, x.new_zeros(x.shape[:2]), every, every)
        mask = self.decide(x.detach(), (grid_h, grid_w))
        return MaskingOutput(take(x, mask.ids_keep), mask.masked.to(x.dtype),
                             mask.ids_restore, mask.ids_keep)
