# Copyright (c) OpenMMLab. All rights reserved.
"""A timm ViT on the visible patches alone, however many an image has."""
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library
from sbam_mm.packed import Latent, PackedLayout, packed_attention

from .asking import AskedMasker, Providers

# The next lines need it.
extra_library('timm', 'timm', 'this adapter of sbam_mm')

from timm.layers import Attention, DropPath  # noqa: E402
from timm.models.vision_transformer import (  # noqa: E402
    Block,
    VisionTransformer,
)


class PackedViT(AskedMasker):
    """Encodes what a masker leaves visible, in one sequence without padding.

    The result is that of a loop over single images. It masks in evaluation
    mode, too; for features of whole images use ``vit`` itself, whose weights
    these are.

    Args:
        vit (nn.Module): timm's ``VisionTransformer`` with plain blocks.
        masker, providers: See :class:`AskedMasker`.

    Example::

        vit = timm.create_model('vit_base_patch16_224', num_classes=0)
        encoder = PackedViT(vit, SBAM())
        latent = encoder(images)
        latent.packed             # (T, D): all visible tokens
        latent.to_dense()         # (B, 1 + L, D): zeros where hidden
        encoder.mask.visible      # (B, L)
    """
    caller = 'PackedViT'
    equal_counts = False

    def __init__(self,
                 vit: nn.Module,
                 masker: nn.Module,
                 providers: Providers | None = None):
        super().__init__(masker, providers)
        check_blocks(vit)
        self.vit: Any = vit

    def forward(self, images: Tensor) -> Latent:
        """Encode (B, C, H, W).

        Returns:
            Latent: Class and register tokens are before the patches.
        """
        vit = self.vit
        x = vit._pos_embed(vit.patch_embed(images))
        prefix = vit.num_prefix_tokens
        grid = vit.patch_embed.dynamic_feat_size(images.shape[-2:])
        mask = self.decide(x[:, prefix:].detach(), grid, images)
        layout = PackedLayout(
            nn.functional.pad(mask.visible, (prefix, 0), value=True),
            None if mask.num_visible is None else prefix + mask.num_visible)
        packed = vit.norm_pre(layout.pack(x))
        for block in vit.blocks:
            if vit.grad_checkpointing and torch.is_grad_enabled():
                packed = checkpoint(
                    run_block, block, packed, layout, use_reentrant=False)
            else:
                packed = run_block(block, packed, layout)
        return Latent(vit.norm(packed), layout)


def check_blocks(vit: nn.Module) -> None:
    """Stop unless every part of the blocks works on single tokens."""
    if not (isinstance(vit, VisionTransformer) and all(
            type(block) is Block and type(block.attn) is Attention
            for block in vit.blocks)):
        raise UserError(
            f'the blocks of this {type(vit).__name__} are not the plain ones '
            "of timm's VisionTransformer, which alone run on packed "
            'sequences; choose another model, or sbam_mm.adapters.timm with '
            'equally many tokens per image.')
    if any(path.drop_prob for path in vit.modules()
           if isinstance(path, DropPath)):
        raise UserError(
            'stochastic depth would drop single tokens of the packed '
            'sequence; make the ViT with drop_path_rate=0.')


def run_block(block: Any, x: Tensor, layout: PackedLayout) -> Tensor:
    """One of timm's blocks on packed tokens, (T, D)."""
    attn, inputs = block.attn, block.norm1(x)
    q, k, v = attn.qkv(inputs).unflatten(
        -1, (3, attn.num_heads, attn.head_dim)).unbind(1)
    # Norms leave half precision under autocast, and the kernel wants one type.
    q, k = attn.q_norm(q).to(v.dtype), attn.k_norm(k).to(v.dtype)
    out = packed_attention(
        q, k, v, layout, attn.attn_drop.p if attn.training else 0.)
    out = attn.norm(out.flatten(1))
    if attn.gate is not None:
        out = out * attn.gate(inputs).sigmoid()
    x = x + block.ls1(attn.proj_drop(attn.proj(out)))
    return x + block.ls2(block.mlp(block.norm2(x)))
