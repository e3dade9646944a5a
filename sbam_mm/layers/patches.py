# Copyright (c) OpenMMLab. All rights reserved.
"""The patch embedding, a convolution that is one product."""
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.run_switches import is_exact


class PatchProjection(nn.Conv2d):
    """A convolution whose windows touch and do not overlap.

    On CUDA it is a product of patches and weights, without cuDNN's changes of
    layout. The rest is torch's.

    Example:
        >>> import torch
        >>> conv = product_of_patches(nn.Conv2d(3, 8, 4, stride=4))
        >>> images = torch.randn(2, 3, 8, 12)
        >>> torch.allclose(conv.multiply(images), conv(images), atol=1e-5)
        True
    """

    def forward(self, images: Tensor) -> Tensor:
        if not images.is_cuda or is_exact():
            return super().forward(images)
        return self.multiply(images)

    def multiply(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, h, w), whole patches of the corner."""
        height, width = self.kernel_size
        h, w = images.shape[2] // height, images.shape[3] // width
        patches = images[:, :, :h * height, :w * width].unflatten(
            2, (h, height)).unflatten(4, (w, width))
        rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)
        out = F.linear(rows, self.weight.flatten(1), self.bias)
        return out.permute(0, 3, 1, 2)


def product_of_patches(conv: nn.Module) -> nn.Module:
    """The same convolution as a :class:`PatchProjection`, where it is one."""
    if type(conv) is nn.Conv2d and conv.kernel_size == conv.stride and (
            conv.padding, conv.dilation, conv.groups) == ((0, 0), (1, 1), 1):
        conv.__class__ = PatchProjection
    return conv
