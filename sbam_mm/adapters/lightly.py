# Copyright (c) OpenMMLab. All rights reserved.
"""Any masker in lightly's ``MaskedVisionTransformer``."""
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .asking import AskedMasker, Providers


class Masks(NamedTuple):
    """Arguments of ``MaskedVisionTransformer.encode``, by their names.

    Attributes:
        idx_keep (Tensor, optional): int64 (B, K): prefix tokens and visible
            patches. None where images keep unequally many.
        idx_mask (Tensor, optional): int64 (B, M): masked patches, likewise.
        mask (Tensor): Boolean (B, N): masked patches among all tokens.
    """
    idx_keep: Tensor | None
    idx_mask: Tensor | None
    mask: Tensor


class TokenIndices(AskedMasker):
    """In the place of lightly's ``random_token_mask``.

    Args:
        masker, providers: See :class:`AskedMasker`.
        in_place (bool): Only ``mask`` is used, for mask tokens in the place
            of patches (SimMIM): then images may have a ratio of their own.

    Example::

        masks = TokenIndices(SBAM(scope='batch'))
        idx_keep, idx_mask, _ = masks(backbone, images)
        encoded = backbone.encode(images, idx_keep=idx_keep)
    """
    caller = "lightly's idx_keep"
    remedy = 'set in_place=True and pass `mask` to lightly'

    def __init__(self,
                 masker: nn.Module,
                 providers: Providers | None = None,
                 in_place: bool = False):
        self.equal_counts = not in_place
        super().__init__(masker, providers)

    @torch.no_grad()
    def forward(self, vit: Any, images: Tensor) -> Masks:
        """Which tokens of ``vit`` to keep and which to mask.

        Args:
            vit (MaskedVisionTransformer): Makes the tokens.
            images (Tensor): (B, C, H, W).
        """
        patches = vit.images_to_tokens(images)
        tokens = vit.add_pos_embed(vit.prepend_prefix_tokens(patches))
        length = patches.shape[1]
        prefix = tokens.shape[1] - length
        # Of the same aspect as the images.
        rows = round((length * images.shape[-2] / images.shape[-1])**.5)
        decided = self.decide(
            tokens[:, prefix:], (rows, length // rows), images)
        mask = nn.functional.pad(decided.masked, (prefix, 0), value=False)
        if decided.num_visible is None:
            return Masks(None, None, mask)
        first = torch.arange(prefix, device=mask.device)
        keep = torch.cat([first.expand(len(mask), -1),
                          prefix + decided.ids_keep], dim=1)
        return Masks(keep, mask.nonzero()[:, 1].view(len(mask), -1), mask)
