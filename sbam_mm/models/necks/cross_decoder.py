# Copyright (c) OpenMMLab. All rights reserved.
"""CrossMAE's decoder: masked patches look at visible tokens only."""
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import (
    Attend,
    Block,
    CrossAttention,
    PackedLayout,
    Spans,
    as_residual,
    plain_layer,
    run_blocks,
    set_residual_dtype,
    sincos_position,
    xavier_linear,
)
from sbam_mm.masking import TokenMask
from sbam_mm.masking import functional as F
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.models.position_tables import check_count, remember_grid
from sbam_mm.registry import MODELS

from .decoder import Decoder, masked_layout, patch_grid


class CrossBlock(Block):
    """Attend to a memory of another width, then think.

    Args:
        dim (int): Width of the tokens.
        memory_dim (int): Width of the memory.
        num_heads (int): Divides ``dim``.
        mlp_ratio (float): Of the feed-forward layer. Defaults to 4.
    """

    def __init__(self,
                 dim: int,
                 memory_dim: int,
                 num_heads: int,
                 mlp_ratio: float = 4.):
        super().__init__(plain_layer(dim, num_heads, mlp_ratio))
        self.attn = CrossAttention(dim, memory_dim, num_heads)

    def run(self,
            x: Tensor,
            bias: Tensor | None = None,
            layout: PackedLayout | Spans | None = None,
            attend: Attend | None = None,
            memory: Tensor | None = None,
            keys: PackedLayout | Spans | None = None) -> Tensor:
        """See :meth:`Block.run`; the memory is taken as it is."""
        out = self.attn(self.normalise(self.ln1, x), bias, layout, attend,
                        memory, keys)
        return self.feed_forward(self.add(x, out))


@MODELS.register_module()
class CrossDecoder(Decoder):
    """Predict each masked patch from the visible tokens, independently.

    A query is the mask token plus the position of its patch. It attends to
    the encoded visible patches and the class token, never to other queries,
    so any share of the masked patches can be predicted without changing a
    prediction.

    With ``looks_at`` (inter-block attention) each block has a memory of its
    own: a learnt sum of the outputs of the encoder's blocks, and a norm. The
    encoder's final norm then has no part in the training and is frozen as it
    was initialised, scale 1 and shift 0: the official linear probe, whose
    encoder was trained without one, begins with the same.

    Source: Fu et al., *Rethinking Patch Dependence for Masked Autoencoders*,
    TMLR 2025. The paper draws the weights of the sum from N(0, 1/n); its code
    initialises them as every other linear layer, and so does this.

    Args:
        img_size (int or tuple): Pixels. Defaults to 224.
        patch_size (int): Pixels. Defaults to 16.
        embed_dim (int): Width of the encoder. Defaults to 768.
        decoder_embed_dim (int): Width of the decoder. Defaults to 512.
        decoder_depth (int): Blocks. Defaults to 12.
        decoder_num_heads (int): Defaults to 16.
        mlp_ratio (float): Defaults to 4.
        looks_at (Sequence[int or str]): Blocks of the encoder whose outputs
            are summed, ascending, "input" first; none: every block sees what
            the encoder returns. Defaults to "input" and 12 blocks, all of
            ViT-S and ViT-B.
        prediction (float): Share of every image's masked patches that is
            predicted in training, in (0, 1]: rounded down, but one at least,
            at random. The paper's ratio of 0.25 of all patches, where 0.75
            are masked, is 1 / 3. Defaults to 1.
        with_cp (bool), residual_dtype (str): As in ``MaskedViT``.
        in_channels (int): Of the images. Defaults to 3.

    Raises:
        UserError: If the image is not tiled by patches, heads do not divide
            the width, or ``prediction`` is no such share.

    Example:
        >>> from sbam_mm.models import MaskedViT
        >>> size = dict(img_size=32, patch_size=8)
        >>> vit = MaskedViT('tiny', **size)
        >>> decoder = CrossDecoder(
        ...     embed_dim=192, looks_at=(), prediction=0.5, **size)
        >>> mask = TokenMask(torch.arange(16).expand(2, 16) < 12)
        >>> latent = vit.encode(vit.embed(torch.randn(2, 3, 32, 32)), mask)
        >>> decoder.predict_masked(latent, mask).layout.lengths
        [6, 6]
        >>> decoder(latent, mask).shape
        torch.Size([2, 16, 192])
    """
    independent = True

    def __init__(self,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 embed_dim: int = 768,
                 decoder_embed_dim: int = 512,
                 decoder_depth: int = 12,
                 decoder_num_heads: int = 16,
                 mlp_ratio: float = 4.,
                 looks_at: Sequence[int | str] = ('input', *range(12)),
                 prediction: float = 1.,
                 with_cp: bool = False,
                 in_channels: int = 3,
                 residual_dtype: str = 'float32'):
        super().__init__()
        dim = decoder_embed_dim
        self.grid = patch_grid(img_size, patch_size, dim, decoder_num_heads)
        if not 0 < prediction <= 1:
            raise UserError(
                'neck.prediction is a share of the masked patches in (0, 1], '
                f'got {prediction}.')
        self.patch_size, self.embed_dim = patch_size, embed_dim
        self.looks_at, self.prediction = tuple(looks_at), prediction
        self.reads_output = not self.looks_at
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder_pos_embed = nn.Parameter(
            sincos_position(self.grid, dim), requires_grad=False)
        if self.looks_at:
            self.inter_block = nn.Linear(
                len(self.looks_at), decoder_depth, bias=False)
            self.memory_norms = nn.ModuleList(
                nn.LayerNorm(embed_dim, eps=1e-6)
                for _ in range(decoder_depth))
        self.decoder_blocks = nn.ModuleList(
            CrossBlock(dim, embed_dim, decoder_num_heads, mlp_ratio)
            for _ in range(decoder_depth))
        for block in self.decoder_blocks:
            block.with_cp = with_cp
        set_residual_dtype(self, residual_dtype)
        self.decoder_norm = nn.LayerNorm(dim, eps=1e-6)
        self.decoder_pred = nn.Linear(dim, patch_size**2 * in_channels)
        remember_grid(self)

    def init_weights(self) -> None:
        """MAE's initialisation."""
        super().init_weights()
        xavier_linear(self)
        nn.init.normal_(self.mask_token, std=.02)

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch, a visible one as if it had been masked."""
        every = torch.ones_like(token_mask.masked)
        layout = latent.layout.beside(every, [every.shape[1]] * len(every))
        pixels = self.read(latent, layout)
        return layout.unpack(pixels, pixels.new_zeros(()))

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """See :class:`Decoder`; tokens may be thrown."""
        layout = masked_layout(latent, token_mask)
        if self.training and self.prediction < 1:
            layout = some_of(layout, self.prediction)
        return Latent(self.read(latent, layout), layout)

    def read(self, latent: Latent, layout: PackedLayout) -> Tensor:
        """The prediction of some patches.

        Args:
            latent (Latent): From the encoder.
            layout (PackedLayout): Which ones of (B, L), in the order of
                images of ``latent.layout``.

        Returns:
            Tensor: (T, P).
        """
        width = layout.shape[1]
        check_count(width, self.decoder_pos_embed, extra=1)
        positions = self.decoder_pos_embed[0, -width:]
        x = self.mask_token[0] + positions[layout.index % width]
        x = run_blocks(self.decoder_blocks, as_residual(self, x), layout,
                       memories=self.memories(latent), keys=latent.layout)
        return self.decoder_pred(self.decoder_norm(x))

    def memories(self, latent: Latent) -> Iterator[Tensor]:
        """What each block attends to, (S, embed_dim), packed."""
        if not self.looks_at:
            yield from [latent.packed] * len(self.decoder_blocks)
            return
        if len(latent.blocks) != len(self.looks_at):
            raise UserError(
                'the encoder does not give the outputs of its blocks; set '
                'neck.looks_at=[].')
        maps = torch.stack(latent.blocks)
        mixed = (self.inter_block.weight @ maps.flatten(1)).view(
            -1, *maps.shape[1:])
        for norm, memory in zip(self.memory_norms, mixed):
            yield norm(memory)


def some_of(layout: PackedLayout, share: float) -> PackedLayout:
    """A random share of the tokens of every image.

    Args:
        layout (PackedLayout): All of them.
        share (float): In (0, 1]; rounded down, but to one at least where
            there is one.

    Example:
        >>> masked = torch.arange(8) < torch.tensor([[8], [4], [1], [0]])
        >>> some_of(PackedLayout(masked), 0.3).lengths
        [0, 1, 1, 2]
    """
    # As F.share_count, of numbers that the host knows.
    lengths = [max(int(n * share + 1e-6), min(n, 1)) for n in layout.lengths]
    device = layout.index.device
    wanted = torch.tensor(lengths).to(device, non_blocking=True)
    if layout.order is not None:
        wanted = wanted[layout.order.argsort()]
    noise = torch.rand(layout.shape, device=device)
    rank = F.top_rank(layout.keep.float(), noise)
    return layout.beside(rank < wanted[:, None], lengths)
