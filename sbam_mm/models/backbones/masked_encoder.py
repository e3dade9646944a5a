# Copyright (c) OpenMMLab. All rights reserved.
"""What an encoder of masked image modelling does with hidden patches."""
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.utils import resize_pos_embed, to_2tuple
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.layers import (
    as_residual,
    attends_at_once,
    evaluation_mode,
    run_blocks,
)
from sbam_mm.masking import TokenMask
from sbam_mm.packed import Attend, Latent, PackedLayout

from .vit_attention import patch_attention, run_whole, shared_bias


def vit_arch(dim: int, layers: int, heads: int) -> dict:
    """A ViT by mmpretrain's names, feed-forward layers four times as wide."""
    return dict(
        embed_dims=dim,
        num_layers=layers,
        num_heads=heads,
        feedforward_channels=4 * dim)


# By the names of the papers, where mmpretrain's differ.
PAPER_ARCHS = {
    **dict.fromkeys(['ti', 'tiny'], vit_arch(192, 12, 3)),
    **dict.fromkeys(['s', 'small'], vit_arch(384, 12, 6)),
}


def check_tiles(img_size: int | tuple[int, int],
                patch_size: int,
                remedy: str = 'choose img_size and patch_size so that the '
                'one divides the other') -> tuple[int, int]:
    """Patches per column and per row; stop unless they tile the image."""
    height, width = to_2tuple(img_size)
    if height % patch_size or width % patch_size:
        raise UserError(
            f'patches of {patch_size} pixels do not tile an image of '
            f'{height} x {width}; {remedy}.')
    return height // patch_size, width // patch_size


def blocks_run(block: int | str, depth: int) -> int:
    """How many blocks have run after one of ``depth``, or at "input"."""
    return block % depth + 1 if isinstance(block, int) else 0


class PatchEncoder:
    """An encoder's grid of patches and their positions."""
    patch_size: int
    embed_dims: int
    patch_resolution: tuple[int, int]
    interpolate_mode: str
    num_extra_tokens: int
    layers: Any
    cls_token: Any
    pos_embed: Any

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Patches per column and per row of a batch of images."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise UserError(
                f'images of {height} x {width} pixels cannot be cut into '
                f'patches of {self.patch_size}; resize or crop them to a '
                'multiple.')
        return height // self.patch_size, width // self.patch_size

    def position(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings, (1, 1 + h * w, D), class token first."""
        if self.pos_embed is None:  # relative positions only
            return self.cls_token.new_zeros(
                1, 1 + grid[0] * grid[1], self.embed_dims)
        return resize_pos_embed(self.pos_embed, self.patch_resolution, grid,
                                self.interpolate_mode, self.num_extra_tokens)

    def depth(self, layer: int) -> int:
        """How many blocks ``layer`` means; -1 is all, -2 all but one."""
        if not -len(self.layers) <= layer <= len(self.layers):
            raise UserError(
                f'salience is asked for after block {layer}, but the encoder '
                f'has {len(self.layers)}; lower `salience.layer`.')
        return layer if layer >= 0 else len(self.layers) + 1 + layer


class MaskedEncoder(PatchEncoder):
    """Two ways to hide patches, for mmpretrain's ViT and BEiT.

    ``tokens = embed(images)``, then ``encode(tokens, token_mask)``: the
    masker stands between them. ``encode`` drops what is hidden (MAE);
    ``encode_in_place`` puts a mask token there (SimMIM, iBOT). Images that
    keep equally many tokens run as a dense batch, others as one packed
    sequence, and both give what a loop over single images gives.
    """
    # What mmpretrain's class has.
    final_norm: bool
    patch_embed: Any
    drop_after_pos: Any
    pre_norm: Any
    ln1: Any

    # How layers attend, see sbam_mm.models.guidance: the module that knows,
    # and what it says of the images at hand.
    guide: Any = None
    attend: Sequence[Attend] | None = None

    def embed(self, images: Tensor) -> Tensor:
        """Patch tokens with positions: (B, C, H, W) -> (B, L, D)."""
        grid = self.grid(images)
        return self.patch_embed(images)[0] + self.position(grid)[:, 1:]

    def prepend_cls(self, tokens: Tensor) -> Tensor:
        """(B, L, D) -> (B, 1 + L, D)."""
        cls = self.cls_token
        if self.pos_embed is not None:
            # Row 0 of the table is the class token's on every grid.
            cls = cls + self.pos_embed[:, :1]
        return torch.cat([cls.expand(len(tokens), -1, -1), tokens], dim=1)

    def encode(self,
               tokens: Tensor,
               token_mask: TokenMask,
               blocks: Sequence[int | str] = (),
               layout: PackedLayout | None = None) -> Latent:
        """Encode the class token and the visible patches of every image.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            blocks (Sequence[int or str]): Whose output is wanted, too,
                ascending from 0; negative numbers count from the end, and
                "input", before all others, is what enters the first.
            layout (PackedLayout, optional): Of these (B, 1 + L) tokens,
                where it is known already.

        Example:
            >>> from sbam_mm.models import MaskedViT
            >>> vit = MaskedViT('tiny', img_size=32, patch_size=8)
            >>> mask = TokenMask(torch.rand(2, 16) < 0.6)
            >>> tokens = vit.embed(torch.randn(2, 3, 32, 32))
            >>> latent = vit.encode(tokens, mask, blocks=(0, -1))
            >>> torch.equal(vit.ln1(latent.blocks[1]), latent.packed)
            True
        """
        return self._encode(tokens, token_mask.visible,
                            token_mask.num_visible, blocks, layout)

    def encode_through(self, tokens: Tensor, token_mask: TokenMask,
                       blocks: Sequence[int] = ()
                       ) -> tuple[Latent, list[Latent]]:
        """Former name of :meth:`encode` with ``blocks``."""
        warnings.warn('encode_through is now encode, and latent.blocks.',
                      DeprecationWarning, stacklevel=2)
        latent = self.encode(tokens, token_mask, blocks)
        return latent, [Latent(x, latent.layout) for x in latent.blocks]

    def encode_in_place(self,
                        tokens: Tensor,
                        token_mask: TokenMask,
                        mask_token: Tensor,
                        grid: tuple[int, int],
                        blocks: Sequence[int | str] = ()) -> Latent:
        """Encode all tokens, with the mask token where patches are masked.

        The mask token stands for the patch embedding, so the position is
        added to it (SimMIM section 3.2; iBOT). Thrown tokens leave the
        sequence.

        Args:
            tokens (Tensor): From :meth:`embed`, (B, L, D).
            mask_token (Tensor): The method's parameter, broadcasts to
                (1, 1, D).
            grid (tuple[int, int]): Of the tokens, from :meth:`grid`.
            blocks (Sequence[int or str]): As in :meth:`encode`.
        """
        replacement = mask_token + self.position(grid)[:, 1:]
        tokens = torch.where(token_mask.masked[..., None], replacement, tokens)
        if token_mask.thrown is None:
            return self._encode(tokens, torch.ones_like(token_mask.masked),
                                tokens.shape[1], blocks)
        return self._encode(tokens, ~token_mask.thrown, None, blocks)

    def _encode(self, tokens: Tensor, keep: Tensor, count: int | None,
                blocks: Sequence[int | str],
                layout: PackedLayout | None = None) -> Latent:
        """The blocks on the kept tokens; ``count`` of them, where known."""
        bias = shared_bias(self)
        if layout is None:
            keep = torch.nn.functional.pad(keep, (1, 0), value=True)
            layout = PackedLayout(
                keep, None if count is None else 1 + count, in_order=
                attends_at_once(self.layers, tokens, bias, self.attend))
        x = as_residual(self, layout.pack(self.prepend_cls(tokens)))
        x = self.pre_norm(self.drop_after_pos(x))
        outputs, done = [], 0
        for end in (blocks_run(block, len(self.layers)) for block in blocks):
            x = run_blocks(self.layers[done:end], x, layout, bias,
                           self.attend and self.attend[done:end])
            outputs.append(x)
            done = end
        x = run_blocks(self.layers[done:], x, layout, bias,
                       self.attend and self.attend[done:])
        x = self.ln1(x) if self.final_norm else x
        return Latent(x, layout, tuple(outputs))

    @torch.no_grad()
    def layer_tokens(self, tokens: Tensor, layer: int) -> Tensor:
        """Tokens (B, L, D) after the first ``layer`` blocks, without masking.

        Without gradient; nothing is dropped, also in training.
        """
        layer = self.depth(layer)
        x = self.pre_norm(self.prepend_cls(tokens))
        with evaluation_mode(self):
            return run_whole(self, x, layer)[:, 1:]

    @torch.no_grad()
    def attention(self,
                  tokens: Tensor,
                  block: int,
                  queries: str | int = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """As :func:`patch_attention`, of :meth:`embed`'s tokens (B, L, D)."""
        x = self.pre_norm(self.prepend_cls(tokens))
        return patch_attention(self, x, block, queries, softmax, own_query)
