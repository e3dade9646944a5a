# Copyright (c) OpenMMLab. All rights reserved.
"""ViTDet's simple feature pyramid."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS

EPS = 1e-6


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """A feature pyramid from the last map of a plain ViT.

    Of strides 4, 8, 16 and 32 by two, one and no transposed convolutions and
    by pooling, each followed by a 1 x 1 and a 3 x 3 convolution with layer
    norm; a fifth level takes every second cell of the fourth.

    Source: Li et al., *Exploring Plain Vision Transformer Backbones for
    Object Detection*, ECCV 2022, section 3 and appendix A.1.

    Example:
        >>> import torch
        >>> neck = SimpleFPN(16, out_channels=8)
        >>> [level.shape[-1] for level in neck((torch.randn(1, 16, 4, 4), ))]
        [16, 8, 4, 2, 1]
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int = 256,
                 num_outs: int = 5,
                 init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg)
        if num_outs not in (4, 5):
            raise UserError(
                f'the pyramid has 4 levels, or 5 with a pooled one, got '
                f'num_outs={num_outs}.')
        self.num_outs = num_outs
        half, quarter = in_channels // 2, in_channels // 4
        scales: tuple[list[nn.Module], ...] = (
            [
                nn.ConvTranspose2d(in_channels, half, 2, stride=2),
                LayerNorm2d(half, eps=EPS),
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, 2, stride=2)
            ],
            [nn.ConvTranspose2d(in_channels, half, 2, stride=2)],
            [],
            [nn.MaxPool2d(2)],
        )
        self.levels = nn.ModuleList(
            nn.Sequential(
                *scale,
                nn.Conv2d(channels, out_channels, 1, bias=False),
                LayerNorm2d(out_channels, eps=EPS),
                nn.Conv2d(out_channels, out_channels, 3, padding=1,
                          bias=False),
                LayerNorm2d(out_channels, eps=EPS))
            for scale, channels in zip(scales, (
                quarter, half, in_channels, in_channels)))

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The levels, (B, out_channels, 4 H, 4 W) first, of the last map."""
        outs = [level(maps[-1]) for level in self.levels]
        if self.num_outs == 5:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)
