# Copyright (c) OpenMMLab. All rights reserved.
"""Pixels standardised by patch and channel as the target."""

import torch
from torch import Tensor

from sbam_mm.registry import MODELS

from .pixel_head import PixelHead


@MODELS.register_module()
class ChannelPixelHead(PixelHead):
    """``PixelHead`` whose target has mean 0 in every channel of a patch.

    Where MAE normalises all values of a patch together (unbiased), BootMAE's
    official code takes each colour by itself: biased variance, 1e-5 inside
    the root.
    """

    def _patch_stats(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        colours = patches.unflatten(-1, (self.patch_size**2, -1))
        var, mean = torch.var_mean(
            colours, dim=-2, correction=0, keepdim=True)
        std = (var + 1e-5).sqrt()
        return (mean.expand_as(colours).flatten(-2),
                std.expand_as(colours).flatten(-2))
