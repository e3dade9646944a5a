# Copyright (c) OpenMMLab. All rights reserved.
"""The projection head of DINO and iBOT."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from sbam_mm.errors import UserError
from sbam_mm.layers import truncated_normal
from sbam_mm.registry import MODELS


def prototypes(bottleneck_dim: int, out_dim: int,
               fixed_norm: bool) -> nn.Linear:
    """Linear layer whose rows have norms of their own, 1 at the start."""
    layer = weight_norm(nn.Linear(bottleneck_dim, out_dim, bias=False))
    norm = layer.parametrizations.weight.original0
    norm.data.fill_(1.)
    norm.requires_grad = not fixed_norm
    return layer


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers: list[nn.Module] = []
    for width, next_width in zip(widths, widths[1:]):
        layers += [nn.Linear(width, next_width), nn.GELU()]
    return nn.Sequential(*layers[:-1])


@MODELS.register_module()
class DINOHead(BaseModule):
    """MLP, unit length, weight-normalised prototypes.

    Linear, GELU, linear, GELU, linear to the bottleneck; L2 normalisation;
    one more linear layer, whose output is the logits over the prototypes. It
    runs in float32 whatever the autocast: the logits are cosines that a
    temperature of 0.04 divides, and bfloat16's grid of 1/256 would be a tenth
    in the exponent.

    Source: Caron et al., *Emerging Properties in Self-Supervised Vision
    Transformers*, ICCV 2021, section 3.1; Zhou et al., *iBOT*, ICLR 2022,
    where class token and patches share the MLP and, in all recipes, the
    prototypes.

    Args:
        in_dim (int): Width of the encoder, D.
        out_dim (int): Prototypes, K; 8192 is iBOT's, DINO's recipes have
            65536.
        patch_out_dim (int, optional): Prototypes of patches, in a layer of
            their own. Defaults to None: shared with the class token.
        separate_patches (bool): Give patches an MLP of their own, too, and
            ``out_dim`` prototypes unless ``patch_out_dim`` is set: a head of
            their own, as in the large models of Oquab et al., *DINOv2*, TMLR
            2024.
        num_layers (int): Linear layers up to the bottleneck.
        norm_last_layer (bool): Keep the prototypes at unit length. The
            recipes of ViT-S let their norms learn.
    """

    def __init__(self,
                 in_dim: int,
                 out_dim: int = 8192,
                 patch_out_dim: int | None = None,
                 hidden_dim: int = 2048,
                 bottleneck_dim: int = 256,
                 num_layers: int = 3,
                 norm_last_layer: bool = True,
                 separate_patches: bool = False):
        super().__init__()
        if num_layers < 1:
            raise UserError(f'num_layers counts the linear layers up to the '
                            f'bottleneck and cannot be {num_layers}; DINO '
                            'has 3.')
        if separate_patches:
            patch_out_dim = patch_out_dim or out_dim
        self.out_dim = out_dim
        self.patch_out_dim = patch_out_dim or out_dim
        widths = [in_dim] + [hidden_dim] * (num_layers - 1) + [bottleneck_dim]
        self.mlp = mlp(widths)
        self.patch_mlp = mlp(widths) if separate_patches else None
        self.last_layer = prototypes(bottleneck_dim, out_dim, norm_last_layer)
        self.patch_last_layer = None if patch_out_dim is None else prototypes(
            bottleneck_dim, patch_out_dim, norm_last_layer)

    def init_weights(self) -> None:
        truncated_normal(self.mlp)
        if self.patch_mlp is not None:
            truncated_normal(self.patch_mlp)

    def prototype_parameters(self) -> list[nn.Parameter]:
        """What is frozen at the beginning of the training."""
        layers = (self.last_layer, self.patch_last_layer)
        return [
            parameter for layer in layers if layer is not None
            for parameter in layer.parameters()
        ]

    def project(self, x: Tensor) -> Tensor:
        """Points on the unit sphere: (..., D) -> float32 (..., bottleneck)."""
        return F.normalize(self.mlp(x).float(), dim=-1)

    def project_patches(self, x: Tensor) -> Tensor:
        """As :meth:`project`, of patch tokens."""
        return F.normalize((self.patch_mlp or self.mlp)(x).float(), dim=-1)

    def patch_logits(self, projected: Tensor) -> Tensor:
        """Of projected patches: (..., bottleneck) -> (..., K), linear."""
        return self._logits(self.patch_last_layer or self.last_layer,
                            projected)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of class tokens: (..., D) -> float32 (..., K)."""
        return self._logits(self.last_layer, self.project(x))

    @staticmethod
    def _logits(layer: nn.Module, projected: Tensor) -> Tensor:
        with torch.autocast(projected.device.type, enabled=False):
            return layer(projected)
