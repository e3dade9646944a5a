# Copyright (c) OpenMMLab. All rights reserved.
"""Where scores come from: the first of a masker's three parts.

A salience is called with a :class:`MaskingContext` and returns scores
(B, L) in [0, 1], high = salient. ``needs`` names what it asks the model for
beyond the tokens; ``ready``, where there is one, says whether it has scores
yet.
"""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.run_switches import is_exact

from . import functional as F
from .parts import Part
from .types import MaskingContext

# From here on L x L numbers cost more memory than they save time; below, one
# product is faster than several.
LONG = 2048


@contextmanager
def fast_products(tokens: Tensor) -> Iterator[None]:
    """Let float32 products of CUDA tensors use TF32 under autocast.

    A third of float32's time. Scores of photographs move by up to 0.007, and
    with SBM's noise of 0.5 one token in 1,500 is masked otherwise
    (``docs/benchmarks/README.md``); the released code multiplies in float16.
    """
    if not (tokens.is_cuda and torch.is_autocast_enabled('cuda')
            ) or is_exact():
        yield
        return
    # torch 2.9 has one name for what older ones call allow_tf32, and refuses
    # to mix both.
    switch = torch.backends.cuda.matmul
    name, fast = ('fp32_precision', 'tf32') if hasattr(
        switch, 'fp32_precision') else ('allow_tf32', True)
    before = getattr(switch, name)
    setattr(switch, name, fast)
    try:
        yield
    finally:
        setattr(switch, name, before)


class NoSalience(Part):
    """No preference: every token scores 0, so the noise alone decides."""

    def forward(self, context: MaskingContext) -> Tensor:
        return context.tokens.new_zeros(
            context.batch_size, context.num_tokens).float()


class CentreSalience(Part):
    """Nothing but the distance to the centre: what photographers do.

    Source: none. Objects tend to be in the middle, so that a map that has not
    seen the image finds many of them: it is the baseline of every other
    salience.

    Returns:
        Tensor: float32 (B, L), 1 at the tokens nearest to the centre and 0 at
        the farthest.

    Example:
        >>> import torch
        >>> context = MaskingContext(torch.zeros(1, 9, 4), grid=(3, 3))
        >>> [round(x, 2) for x in CentreSalience()(context)[0].tolist()]
        [0.0, 0.29, 0.0, 0.29, 1.0, 0.29, 0.0, 0.29, 0.0]
    """

    def forward(self, context: MaskingContext) -> Tensor:
        y, x = (torch.linspace(-1, 1, n, device=context.tokens.device)
                for n in context.grid)
        near = -torch.hypot(y[:, None], x).flatten()
        return F.min_max(near.expand(context.batch_size, -1))


class AffinitySalience(Part):
    """Token salience of SBAM, Eq. 3 and 4: S = N(column sums of A).

    A is the row-wise softmax of x xᵀ over an image's patch tokens; column j
    sums up what token j gives to all others, its outgoing weight. From 2048
    tokens on A is never held as a whole, and under autocast a GPU multiplies
    in TF32 (:func:`fast_products`); with ``SBAM_MM_EXACT`` neither.

    Args:
        direction (str): "outgoing" (the paper) or "incoming": row sums of
            x xᵀ before the softmax (supplement, section 1).
        layer (int): Compute it from the tokens after this many encoder
            blocks (supplement, Table 2), which run without gradient on all
            tokens; 0 is at the input.
        scale (float or "sqrt_d", optional): Factor on the logits;
            "sqrt_d" is 1/sqrt(D). Paper and code have none.
        normalize (bool): L2-normalise tokens first.
        position (bool): Whether the position embedding takes part, as in the
            released code; supplement section 5 says "immediately after
            computing the patch embeddings".

    Returns:
        Tensor: float32 (B, L) in [0, 1]. An image whose tokens are all alike,
        or not finite, scores 0 everywhere.

    Example:
        >>> import torch
        >>> salience = AffinitySalience()
        >>> x = torch.arange(256.).sin().view(2, 16, 8)
        >>> S = salience(MaskingContext(x, grid=(4, 4)))
        >>> S.amin(1).tolist(), S.amax(1).tolist()
        ([0.0, 0.0], [1.0, 1.0])
    """

    def __init__(self,
                 direction: str = 'outgoing',
                 layer: int = 0,
                 scale: float | str | None = None,
                 normalize: bool = False,
                 position: bool = True):
        super().__init__()
        if direction not in ('outgoing', 'incoming'):
            raise UserError('direction must be "outgoing" or "incoming", '
                            f'got {direction!r}.')
        if isinstance(scale, str) and scale != 'sqrt_d':
            raise UserError(
                f'scale must be a number, "sqrt_d" or None, got {scale!r}.')
        if layer < 0:
            raise UserError(f'layer counts encoder blocks and cannot be '
                            f'{layer}; 0 means at the input.')
        if layer and not position:
            raise UserError('position=False is defined at the input only; '
                            'set layer=0 or position=True.')
        self.direction = direction
        self.layer = layer
        self.scale = scale
        self.normalize = normalize
        self.position = position

    @property
    def needs(self) -> frozenset[str]:
        # One of the two at most: without position means at the input.
        if self.layer:
            return frozenset({'layer_tokens'})
        return frozenset() if self.position else frozenset({'position'})

    def _tokens(self, context: MaskingContext) -> Tensor:
        if self.layer:
            return context.ask('layer_tokens', self.layer)
        if not self.position:
            return context.tokens - context.ask('position')
        return context.tokens

    def forward(self, context: MaskingContext) -> Tensor:
        tokens = self._tokens(context)
        scale = self.scale
        if isinstance(scale, str):
            scale = float(tokens.shape[-1]**-0.5)
        options = scale, self.normalize
        with fast_products(tokens):
            if self.direction == 'incoming':
                weight = F.incoming_weight(F.affinity(tokens, *options))
            elif tokens.shape[1] >= LONG and not is_exact():
                weight = F.chunked_outgoing_weight(tokens, *options)
            else:
                weight = F.outgoing_weight(F.affinity(tokens, *options))
        return F.min_max(weight)


class StoredSalience(Part):
    """A map that the pipeline brings with every image, e.g. AMT's.

    Until the first maps are stored the masker does its warm-up.

    Args:
        key (str): Name of the map in the data samples; "attention_map" is
            what ``LoadAttentionMap`` makes.

    Returns:
        Tensor: float32 (B, L), as stored: not scaled after the crop.
    """

    def __init__(self, key: str = 'attention_map'):
        super().__init__()
        self.key = key

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self.key})

    def ready(self, context: MaskingContext) -> bool:
        """Whether maps are stored."""
        return context.ask(self.key) is not None

    def forward(self, context: MaskingContext) -> Tensor:
        return context.ask(self.key).float()


class PredictedLoss(Part):
    """How hard a method thinks each patch is to reconstruct (HPM).

    Returns:
        Tensor: float32 (B, L), scaled to [0, 1] for each image.
    """
    needs: frozenset[str] = frozenset({'predicted_loss'})

    def forward(self, context: MaskingContext) -> Tensor:
        return F.min_max(context.ask('predicted_loss').float())
