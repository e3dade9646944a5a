# Copyright (c) OpenMMLab. All rights reserved.
"""ConvMAE's encoder: two stages of masked convolutions, then a transformer."""
from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.layers import (
    Checkpointed,
    PackedLayout,
    attends_at_once,
    blocks_of,
    evaluation_mode,
    plain_layer,
    run_blocks,
    sincos_position,
    xavier_linear,
    xavier_patches,
)
from sbam_mm.masking import TokenMask
from sbam_mm.registry import MODELS

from ..position_tables import remember_grid
from .masked_encoder import Latent, PatchEncoder, check_tiles
from .vit_attention import patch_attention

MASKER_INPUTS = ('stage3', 'stage1')


class PatchMerging(nn.Module):
    """Cells merged, (B, H, W, C) -> (B, H / size, W / size, D)."""

    def __init__(self, in_channels: int, embed_dims: int, size: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dims, size, stride=size)
        self.norm = nn.LayerNorm(embed_dims)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.act(self.norm(x))


class MaskedConvBlock(Checkpointed):
    """A transformer block with a depthwise convolution as attention.

    Hidden cells are set to 0 right before the convolution, so that visible
    cells take nothing from them; everything else works cell by cell.
    """

    def __init__(self,
                 embed_dims: int,
                 mlp_ratio: float = 4.,
                 drop_path_rate: float = 0.,
                 kernel_size: int = 5):
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims)
        self.proj_in = nn.Linear(embed_dims, embed_dims)
        self.depthwise = nn.Conv2d(
            embed_dims,
            embed_dims,
            kernel_size,
            padding=kernel_size // 2,
            groups=embed_dims)
        self.proj_out = nn.Linear(embed_dims, embed_dims)
        self.drop_path = DropPath(drop_path_rate)
        self.ln2 = nn.LayerNorm(embed_dims)
        self.ffn = FFN(
            embed_dims,
            int(embed_dims * mlp_ratio),
            act_cfg=dict(type='GELU'),
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate))

    def run(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Mix cells of (B, H, W, C); ``hidden`` is boolean (B, H, W)."""
        y = self.proj_in(self.ln1(x))
        if hidden is not None:
            y = y.masked_fill(hidden[..., None], 0.)
        y = self.depthwise(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.drop_path(self.proj_out(y))
        return self.ffn(self.ln2(x), identity=x)


@MODELS.register_module()
class ConvViT(PatchEncoder, BaseBackbone):
    """Convolutions at two fine scales, then transformer blocks at a third.

    For images of 224 pixels: 56 x 56 and 28 x 28 cells with two convolution
    blocks each, then 14 x 14 tokens with eleven transformer blocks. A mask is
    made on the last grid and spread over the finer ones, so a hidden patch
    is hidden at every scale (*block-wise masking*), and *masked convolutions*
    keep it from reaching visible cells. The transformer sees visible tokens
    only, in packed sequences where images keep different numbers of them.
    There is no class token.

    Source: Gao et al., *MCMAE: Masked Convolution Meets Masked Autoencoders*,
    NeurIPS 2022, section 3.2; where the paper is silent (norm and GELU after
    every patch merging, a linear layer before the positions, positions on the
    last grid only), its official code.

    Args:
        arch (str or dict): "base" (256, 384 and 768 channels, 2, 2 and 11
            blocks, 12 heads), "small" (128, 256 and 384 channels, 6 heads; of
            FastConvMAE, the ConvMAE paper's code has none), or a dict with
            ``embed_dims, depths, num_heads``.
        img_size (int or tuple): Pixels.
        patch_sizes (tuple[int, int, int]): Side of the squares that each
            stage merges; by default patches of 16 pixels.
        drop_path_rate (float): Stochastic depth, rising over all blocks.
        out_indices (tuple[int]): Stages that ``forward(images)`` returns.
        look_at (str): What :meth:`embed` gives maskers to look at, see
            :class:`sbam_mm.ConvMAE`: "stage3" or "stage1".
        with_cp (bool): Activation checkpointing, as in ``MaskedViT``.

    Example:
        >>> arch = dict(embed_dims=(8, 16, 24), depths=(1, 1, 2), num_heads=3)
        >>> encoder = ConvViT(arch, img_size=32, patch_sizes=(2, 2, 2))
        >>> images = torch.randn(2, 3, 32, 32)
        >>> [tuple(level.shape) for level in encoder(images)]
        [(2, 8, 16, 16), (2, 16, 8, 8), (2, 24, 4, 4)]
        >>> masked = torch.zeros(2, 16, dtype=torch.bool)
        >>> masked[0, :12] = True
        >>> encoder.encode(images, TokenMask(masked)).packed.shape
        torch.Size([20, 24])
    """
    arch_zoo: dict[str, dict] = {
        'small':
        dict(embed_dims=(128, 256, 384), depths=(2, 2, 11), num_heads=6),
        'base':
        dict(embed_dims=(256, 384, 768), depths=(2, 2, 11), num_heads=12),
    }
    cls_token = None
    num_extra_tokens = 0
    interpolate_mode = 'bicubic'

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 224,
                 patch_sizes: Sequence[int] = (4, 2, 2),
                 in_channels: int = 3,
                 mlp_ratio: float = 4.,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2),
                 look_at: str = 'stage3',
                 with_cp: bool = False,
                 init_cfg: dict | list[dict] | None = None):
        super().__init__(init_cfg)
        if isinstance(arch, str):
            if arch not in self.arch_zoo:
                raise UserError(f'arch must be one of {set(self.arch_zoo)} '
                                f'or a dict, got {arch!r}.')
            arch = self.arch_zoo[arch]
        check_choice('look_at', look_at, MASKER_INPUTS)
        self.patch_sizes = tuple(patch_sizes)
        self.patch_size = patch_sizes[0] * patch_sizes[1] * patch_sizes[2]
        self.img_size = to_2tuple(img_size)
        self.patch_resolution = check_tiles(self.img_size, self.patch_size)
        self.drop_path_rate = drop_path_rate
        self.out_indices = tuple(out_indices)
        self.look_at = look_at

        dims = tuple(arch['embed_dims'])
        depths = tuple(arch['depths'])
        self.embed_dims = dims[-1]
        self.merge = nn.ModuleList(
            PatchMerging(before, after, size) for before, after, size in zip(
                (in_channels, *dims), dims, self.patch_sizes))
        rates = torch.linspace(0, drop_path_rate, sum(depths)).tolist()
        self.convs = nn.ModuleList(
            nn.ModuleList(
                MaskedConvBlock(dim, mlp_ratio, rates.pop(0))
                for _ in range(depth))
            for dim, depth in zip(dims[:2], depths[:2]))
        self.layers = blocks_of(
            (plain_layer(self.embed_dims, arch['num_heads'], mlp_ratio, rate)
             for rate in rates), with_cp)
        self.proj = nn.Linear(self.embed_dims, self.embed_dims)
        self.pos_embed = nn.Parameter(
            sincos_position(self.patch_resolution, self.embed_dims)[:, 1:],
            requires_grad=False)
        # From the fine stages to the last one's grid, stride = kernel.
        scales = (self.patch_sizes[1] * self.patch_sizes[2],
                  self.patch_sizes[2])
        self.fuse = nn.ModuleList(
            nn.Conv2d(dim, self.embed_dims, scale, stride=scale)
            for dim, scale in zip(dims, scales))
        self.ln1 = nn.LayerNorm(self.embed_dims, eps=1e-6)
        remember_grid(self)
        for block in (*self.convs[0], *self.convs[1]):
            block.with_cp = with_cp

    def init_weights(self) -> None:
        """The official code's: MAE's for the transformer's linear layers."""
        super().init_weights()
        if (self.init_cfg or {}).get('type') == 'Pretrained':
            return
        xavier_linear(self.layers)
        xavier_linear(self.proj)
        xavier_patches(self.merge[-1].proj)

    def stages(self,
               images: Tensor,
               hidden: Tensor | None = None) -> list[Tensor]:
        """The two convolution stages and the input of the third.

        (B, 4h, 4w, C1), (B, 2h, 2w, C2), (B, h, w, D) for the default patch
        sizes. ``hidden`` is boolean (B, h, w); values there mean nothing.
        """
        self.grid(images)
        x, maps = images.permute(0, 2, 3, 1), []
        for merge, blocks in zip(self.merge, (*self.convs, ())):
            x = merge(x)
            spread = None
            if hidden is not None:
                scale = x.shape[1] // hidden.shape[1]
                spread = hidden.repeat_interleave(
                    scale, 1).repeat_interleave(scale, 2)
            for block in blocks:
                x = block(x, spread)
            maps.append(x)
        return maps

    def tokens(self,
               images: Tensor,
               hidden: Tensor | None = None) -> Tensor:
        """What enters the transformer, (B, L, D)."""
        return self._place(self.stages(images, hidden)[-1])

    def _place(self, cells: Tensor) -> Tensor:
        grid = (cells.shape[1], cells.shape[2])
        return self.proj(cells).flatten(1, 2) + self.position(grid)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """What maskers look at, (B, L, D), no gradient; see ``look_at``."""
        if self.look_at == 'stage1':
            return self.patch_average(images)
        with evaluation_mode(self):
            return self.tokens(images)

    @torch.no_grad()
    def patch_average(self, images: Tensor) -> Tensor:
        """First embeddings averaged over each patch, (B, L, C1).

        One strided convolution and no mixing, so it costs next to nothing;
        without positions.
        """
        cells = self.merge[0](images.permute(0, 2, 3, 1))
        pooled = nn.functional.adaptive_avg_pool2d(
            cells.permute(0, 3, 1, 2), self.grid(images))
        return pooled.flatten(2).transpose(1, 2)

    def encode(self, images: Tensor, token_mask: TokenMask) -> Latent:
        """Encode the visible patches only, from the images (B, C, H, W).

        The fine stages are added at the end (*multi-scale fusion*). The
        layout of the result is (B, L): there is no class token.
        """
        visible = token_mask.visible
        layout = PackedLayout(
            visible, token_mask.num_visible,
            in_order=attends_at_once(self.layers, images))
        *fine, cells = self.stages(
            images, ~visible.unflatten(1, self.grid(images)))
        x = run_blocks(self.layers, layout.pack(self._place(cells)), layout)
        for fuse, cells in zip(self.fuse, fine):
            cells = fuse(cells.permute(0, 3, 1, 2))
            x = x + layout.pack(cells.flatten(2).transpose(1, 2))
        return Latent(self.ln1(x), layout)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """A feature pyramid of whole images, for downstream tasks.

        As in the official fine-tuning the last level is the transformer's
        output, normed, without the fused fine stages: (B, C_i, h_i, w_i) for
        every stage i in ``out_indices``, at 1/4, 1/8 and 1/16 of the side.
        """
        *fine, cells = self.stages(images)
        grid = (cells.shape[1], cells.shape[2])
        x = self._place(cells)
        for layer in self.layers:
            x = layer(x)
        levels = [*fine, self.ln1(x).unflatten(1, grid)]
        return tuple(levels[i].permute(0, 3, 1, 2).contiguous()
                     for i in self.out_indices)

    @torch.no_grad()
    def layer_tokens(self, tokens: Tensor, layer: int) -> Tensor:
        """:meth:`tokens` after the first ``layer`` blocks, no gradient."""
        with evaluation_mode(self):
            for block in self.layers[:self.depth(layer)]:
                tokens = block(tokens)
        return tokens

    @torch.no_grad()
    def attention(self,
                  tokens: Tensor,
                  block: int,
                  queries: str = 'all',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """As :func:`patch_attention`; "all" and "patches" are the same."""
        return patch_attention(self, tokens, block, queries, softmax,
                               own_query)
