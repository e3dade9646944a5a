# Copyright (c) OpenMMLab. All rights reserved.
"""mmpretrain's Vision Transformer with registers."""
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from sbam_mm.registry import MODELS


@MODELS.register_module()
class RegisterViT(VisionTransformer):
    """A ViT whose class token is followed by learnt tokens of no patch.

    Source: Darcet et al., *Vision Transformers Need Registers*, ICLR 2024;
    DINOv2's ViTs with registers. To evaluate and to fine-tune them. As the
    class token has, registers have rows in the table of positions, which are
    zero in DINOv2.

    Args:
        num_registers (int): 4 in DINOv2.
        ``*args``, ``**kwargs``: Of mmpretrain's ``VisionTransformer``.
    """

    def __init__(self, *args, num_registers: int = 4, **kwargs):
        self.num_extra_tokens = 1 + num_registers
        super().__init__(*args, **kwargs)
        self.register_tokens = nn.Parameter(
            torch.zeros(1, num_registers, self.embed_dims))

    def init_weights(self) -> None:
        super().init_weights()
        if (self.init_cfg or {}).get('type') != 'Pretrained':
            nn.init.trunc_normal_(self.register_tokens, std=.02)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        x, grid = self.patch_embed(images)
        x = torch.cat([
            self.cls_token.expand(len(x), -1, -1),
            self.register_tokens.expand(len(x), -1, -1), x
        ], dim=1)
        x = x + resize_pos_embed(self.pos_embed, self.patch_resolution, grid,
                                 self.interpolate_mode, self.num_extra_tokens)
        x = self.pre_norm(self.drop_after_pos(x))
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == len(self.layers) - 1 and self.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                outs.append(self._format_output(x, grid))
        return tuple(outs)

    def get_layer_depth(self, param_name: str,
                        prefix: str = '') -> tuple[int, int]:
        """The registers learn as slowly as the class token."""
        if param_name == f'{prefix}register_tokens':
            param_name = f'{prefix}cls_token'
        return super().get_layer_depth(param_name, prefix)
