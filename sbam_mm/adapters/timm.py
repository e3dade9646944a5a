# Copyright (c) OpenMMLab. All rights reserved.
"""Any masker with equal counts in place of timm's ``PatchDropout``."""
from typing import Any

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library

from .asking import AskedMasker, Providers, take

# The next lines need it.
extra_library('timm', 'timm', 'this adapter of sbam_mm')

from timm.models.eva import Eva  # noqa: E402
from timm.models.vision_transformer import VisionTransformer  # noqa: E402


class TokenDropper(AskedMasker):
    """Drops the tokens that a masker hides, as ``PatchDropout`` random ones.

    Like it only in training mode; ``vit.eval()`` and then ``train()`` of this
    module masks with everything else in evaluation mode.

    Args:
        prefix (int): Class and register tokens, which stay.
        with_indices (bool): Return what is kept, too, (B, K).
    """
    caller = 'a ViT of timm'

    def __init__(self,
                 masker: nn.Module,
                 prefix: int,
                 with_indices: bool,
                 providers: Providers | None = None):
        super().__init__(masker, providers)
        self.prefix = prefix
        self.with_indices = with_indices
        self._seen: tuple[tuple[int, int], Tensor] | None = None

    def look(self, patch_embed: Any, args: tuple) -> None:
        """A hook: the images from which the next tokens are made."""
        images, = args
        self._seen = patch_embed.dynamic_feat_size(images.shape[-2:]), images

    def forward(self, x: Tensor
                ) -> Tensor | tuple[Tensor, Tensor | None]:
        seen, self._seen = self._seen, None
        if not self.training:
            return (x, None) if self.with_indices else x
        assert seen is not None  # patch_embed runs before
        prefix, patches = x.tensor_split([self.prefix], dim=1)
        keep = self.decide(patches.detach(), *seen).ids_keep
        x = torch.cat([prefix, take(patches, keep)], dim=1)
        return (x, keep) if self.with_indices else x


def use_masker(vit: nn.Module,
               masker: nn.Module,
               providers: Providers | None = None) -> TokenDropper:
    """Let a ViT drop, in training, what a masker hides.

    Args:
        vit (nn.Module): timm's ``VisionTransformer`` (ViT, DeiT, DINOv2, CLIP,
            SigLIP ...) or ``Eva`` (EVA-02, DINOv3 ...).
        masker, providers: See :class:`AskedMasker`.

    Returns:
        TokenDropper: Is ``vit.patch_drop`` now and has the last ``mask``.

    Example::

        vit = timm.create_model('vit_base_patch16_224', num_classes=0)
        masking = use_masker(vit, SBAM(scope='batch'))
        tokens = vit.forward_features(images)  # the visible ones
    """
    if not isinstance(vit, (VisionTransformer, Eva)):
        raise UserError(
            f'{type(vit).__name__} does not drop patches as timm\'s '
            'VisionTransformer and Eva do; choose a model of one of them.')
    dropper = TokenDropper(masker, vit.num_prefix_tokens,
                           isinstance(vit, Eva), providers)
    vit.patch_embed.register_forward_pre_hook(dropper.look)
    vit.patch_drop = dropper.train(vit.training)
    return dropper
