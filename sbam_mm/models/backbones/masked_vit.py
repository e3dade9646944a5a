# Copyright (c) OpenMMLab. All rights reserved.
"""Vision Transformer that hides patches: by dropping or by replacing them."""
from dataclasses import dataclass
from typing import List, Optional, Tuple, Union

import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed, to_2tuple
from torch import Tensor

from sbam_mm.layers import (
    PackedLayout,
    run_blocks,
    sincos_position,
    truncated_normal,
    xavier_linear,
)
from sbam_mm.masking import TokenMask
from sbam_mm.registry import MODELS

from .vit_attention import patch_attention


@dataclass(eq=False)
class Latent:
    """Encoded tokens.

    Args:
        packed (Tensor): (T, D): image after image, each with its class token
            followed by its encoded patches in grid order.
        layout (PackedLayout): Where they stand in (B, 1 + L).
    """
    packed: Tensor
    layout: PackedLayout

    def to_dense(self, fill: float = 0.) -> Tensor:
        """Tokens in their places, (B, 1 + L, D), ``fill`` where not encoded.

        Row 0 of each image is its class token.
        """
        if self.layout.full:
            return self.packed.view(*self.layout.shape, -1)
        return self.layout.unpack(self.packed, self.packed.new_full((), fill))


def _widths(dim: int, layers: int, heads: int) -> dict:
    return dict(
        embed_dims=dim,
        num_layers=layers,
        num_heads=heads,
        feedforward_channels=4 * dim)


@MODELS.register_module()
class MaskedViT(VisionTransformer):
    """ViT encoder of masked image modelling, in two visible steps.

    ``tokens = embed(images)``, then ``encode(tokens, token_mask)``: the
    masker stands between them. ``encode`` drops what is hidden (MAE);
    ``encode_in_place`` puts a mask token there (SimMIM, iBOT). Images that
    keep equally many tokens run as a dense batch, others as one packed
    sequence, and both give what a loop over single images gives. Parameter
    names are those of mmpretrain's ``VisionTransformer``, so a checkpoint
    drops into mmpretrain, mmseg and mmdet unchanged.

    Args:
        arch (str or dict): "tiny" (192 wide, 12 blocks, 3 heads), "small"
            (384 x 12, 6 heads; mmpretrain calls it "deit-small"), "base",
            "large", "huge", any other mmpretrain name, or a dict with
            ``embed_dims, num_layers, num_heads, feedforward_channels``.
            Defaults to "base".
        img_size (int or tuple): Pixels. Defaults to 224.
        patch_size (int): Pixels. Defaults to 16.
        out_type (str): What ``forward(images)`` returns without a mask, as in
            mmpretrain: "raw", "cls_token", "featmap" or "avg_featmap".
            Defaults to "raw": (B, 1 + L, D), class token first.
        learned_position (bool): Train the position table and start from
            truncated normals of 0.02, as SimMIM, DINO and iBOT do; else
            positions are MAE's fixed sine-cosine and the start is MAE's.
            Defaults to False.
        **kwargs: Other options of mmpretrain's ``VisionTransformer``.

    Raises:
        ValueError: If patches do not tile the image.

    Example:
        >>> vit = MaskedViT('tiny', img_size=32, patch_size=8)
        >>> tokens = vit.embed(torch.randn(2, 3, 32, 32))
        >>> masked = torch.zeros(2, 16, dtype=torch.bool)
        >>> masked[0, :12] = True
        >>> latent = vit.encode(tokens, TokenMask(masked))
        >>> latent.packed.shape  # (1 + 4) + (1 + 16) tokens
        torch.Size([22, 192])
    """
    arch_zoo = {
        **VisionTransformer.arch_zoo,
        **dict.fromkeys(['ti', 'tiny'], _widths(192, 12, 3)),
        **dict.fromkeys(['s', 'small'], _widths(384, 12, 6)),
    }

    def __init__(self,
                 arch: Union[str, dict] = 'base',
                 img_size: Union[int, Tuple[int, int]] = 224,
                 patch_size: int = 16,
                 out_type: str = 'raw',
                 learned_position: bool = False,
                 init_cfg: Optional[Union[dict, List[dict]]] = None,
                 **kwargs):
        sides = to_2tuple(img_size)
        if any(side % patch_size for side in sides):
            raise ValueError(
                f'patches of {patch_size} pixels do not tile an image of '
                f'{sides[0]} x {sides[1]}; choose img_size and patch_size so '
                'that the one divides the other.')
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_type=out_type,
            init_cfg=init_cfg,
            **kwargs)
        self.patch_size = patch_size
        self.drop_path_rate = kwargs.get('drop_path_rate', 0.)
        self.learned_position = learned_position
        self.pos_embed.requires_grad = learned_position

    def init_weights(self) -> None:
        """MAE's initialisation, or with learned positions DINO's."""
        super().init_weights()
        if (self.init_cfg or {}).get('type') == 'Pretrained':
            return
        if self.learned_position:
            truncated_normal(self.layers)
            torch.nn.init.trunc_normal_(self.pos_embed, std=.02)
            torch.nn.init.trunc_normal_(self.cls_token, std=.02)
            return
        xavier_linear(self.layers)
        self.pos_embed.data.copy_(
            sincos_position(self.patch_resolution, self.embed_dims))
        weight = self.patch_embed.projection.weight.data
        torch.nn.init.xavier_uniform_(weight.view(weight.shape[0], -1))
        torch.nn.init.normal_(self.cls_token, std=.02)

    def grid(self, images: Tensor) -> Tuple[int, int]:
        """Patches per column and per row of a batch of images."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f'images of {height} x {width} pixels cannot be cut into '
                f'patches of {self.patch_size}; resize or crop them to a '
                'multiple.')
        return height // self.patch_size, width // self.patch_size

    def position(self, grid: Tuple[int, int]) -> Tensor:
        """Position embedding for a grid, (1, 1 + h * w, D), class first."""
        return resize_pos_embed(self.pos_embed, self.patch_resolution, grid,
                                self.interpolate_mode, self.num_extra_tokens)

    def embed(self, images: Tensor) -> Tensor:
        """Patch tokens with positions: (B, C, H, W) -> (B, L, D)."""
        grid = self.grid(images)
        return self.patch_embed(images)[0] + self.position(grid)[:, 1:]

    def prepend_cls(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, 1 + L, D)."""
        # Row 0 of the table belongs to the class token on every grid.
        cls = self.cls_token + self.pos_embed[:, :1]
        return torch.cat([cls.expand(len(tokens), -1, -1), tokens], dim=1)

    def encode(self, tokens: Tensor, token_mask: TokenMask) -> Latent:
        """Encode the visible tokens only.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            token_mask (TokenMask): Which of them are visible.

        Returns:
            Latent: The class token and the visible patches of every image.
        """
        return self._encode(tokens, token_mask.visible,
                            token_mask.num_visible)

    def encode_in_place(self, tokens: Tensor, token_mask: TokenMask,
                        mask_token: Tensor, grid: Tuple[int, int]) -> Latent:
        """Encode all tokens, with the mask token where patches are masked.

        The mask token stands for the patch embedding, so the position is
        added to it (SimMIM section 3.2; iBOT). Thrown tokens leave the
        sequence.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            token_mask (TokenMask): Which of them are masked and thrown.
            mask_token (Tensor): The method's parameter, broadcasts to
                (1, 1, D).
            grid (tuple[int, int]): Of the tokens, from :meth:`grid`.

        Returns:
            Latent: The class token, the visible and the masked patches of
            every image.

        Example:
            >>> vit = MaskedViT('tiny', img_size=32, patch_size=8)
            >>> images = torch.randn(2, 3, 32, 32)
            >>> mask = TokenMask(torch.rand(2, 16) < 0.6)
            >>> latent = vit.encode_in_place(
            ...     vit.embed(images), mask, torch.zeros(1, 1, 192),
            ...     vit.grid(images))
            >>> latent.to_dense().shape
            torch.Size([2, 17, 192])
        """
        replacement = mask_token + self.position(grid)[:, 1:]
        tokens = torch.where(token_mask.masked[..., None], replacement, tokens)
        if token_mask.thrown is None:
            return self._encode(tokens, torch.ones_like(token_mask.masked),
                                tokens.shape[1])
        return self._encode(tokens, ~token_mask.thrown)

    def _encode(self,
                tokens: Tensor,
                keep: Tensor,
                count: Optional[int] = None) -> Latent:
        """The blocks on the kept tokens; ``count`` of them, where known."""
        keep = torch.nn.functional.pad(keep, (1, 0), value=True)
        layout = PackedLayout(keep, None if count is None else 1 + count)
        x = layout.pack(self.prepend_cls(tokens))
        x = run_blocks(self.layers, self.pre_norm(x), layout)
        return Latent(self.ln1(x) if self.final_norm else x, layout)

    @torch.no_grad()
    def layer_tokens(self, tokens: Tensor, layer: int) -> Tensor:
        """Patch tokens after the first ``layer`` blocks, without masking.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            layer (int): How many blocks to run, from 1 to the depth.

        Returns:
            Tensor: (B, L, D), without gradient.
        """
        if layer > len(self.layers):
            raise ValueError(
                f'salience is asked for after block {layer}, but the encoder '
                f'has {len(self.layers)}; lower `salience.layer`.')
        return self._run_unmasked(tokens, layer)[:, 1:]

    @torch.no_grad()
    def attention(self,
                  tokens: Tensor,
                  block: int,
                  queries: str = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """Attention that the patches receive in one block, without masking.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            block (int): Which block, from 0; negative counts from the end.
            queries (str): "cls" or "all". Defaults to "cls".
            softmax (bool): Probabilities, or logits. Defaults to True.
            own_query (bool): See :func:`received_attention`.
                Defaults to True.

        Returns:
            Tensor: float32 (B, heads, L), without gradient; see
            :func:`sbam_mm.layers.received_attention`.
        """
        x = self.pre_norm(self.prepend_cls(tokens))
        return patch_attention(self, x, block, queries, softmax, own_query)

    def _run_unmasked(self, tokens: Tensor, blocks: int) -> Tensor:
        x = self.pre_norm(self.prepend_cls(tokens))
        for block in self.layers[:blocks]:
            x = block(x)
        return x
