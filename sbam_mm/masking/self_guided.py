# Copyright (c) OpenMMLab. All rights reserved.
"""Self-guided MAE: hide one of the clusters the encoder itself has found.

Source: Shin et al., *Self-Guided Masked Autoencoder*, NeurIPS 2024.
"""
import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .selection import Choice, hide_top, masked_counts, token_noise
from .types import MaskingContext

# Steps of the power iteration. Clusters that need more are none.
STEPS = 50


def second_vector(weight: Tensor) -> Tensor:
    r"""The normalised cut's relaxed solution y, up to its sign and length.

    It solves :math:`(D - W) y = \lambda D y` for the second smallest
    :math:`\lambda`: :math:`D^{-1/2}` times the second eigenvector of
    :math:`D^{-1/2} W D^{-1/2}`, by power iteration, which asks nothing of the
    device. Where W has no second vector, y is 0 or means nothing.

    Args:
        weight (Tensor): W, symmetric, positive semi-definite, no weight
            below 0, float32 (B, L, L).

    Returns:
        Tensor: (B, L).
    """
    degree = weight.sum(dim=2).clamp(min=1e-6)
    root = degree.rsqrt()
    first = degree.sqrt() / degree.sum(dim=1, keepdim=True).sqrt()
    rest = (root[:, :, None] * weight * root[:, None, :]
            - first[:, :, None] * first[:, None, :])
    # The longest column has most of what is sought.
    start = rest.square().sum(dim=1).argmax(dim=1)
    vector = rest.gather(
        2, start[:, None, None].expand(-1, rest.shape[1], 1))
    for _ in range(STEPS):
        vector = rest @ vector
        vector = vector / vector.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return root * vector[:, :, 0]


def main_cluster(tokens: Tensor) -> Tensor:
    """Cut the graph of similar tokens in two and take the smaller part.

    The weight of an edge is (1 + cosine) / 2; a part is the tokens on one
    side of the mean of :func:`second_vector`. As objects are mostly smaller
    than what is behind them, the smaller part stands for the main object
    (TokenCut takes that of the farthest token, which a single one decides).

    Args:
        tokens (Tensor): Of unit length, float32 (B, L, D).

    Returns:
        Tensor: Boolean (B, L).

    Example:
        >>> x = torch.nn.functional.normalize(torch.tensor(
        ...     [[[1., 0.], [.9, .1], [.9, -.1], [0., 1.]]]), dim=2)
        >>> main_cluster(x).tolist()
        [[False, False, False, True]]
    """
    vector = second_vector((1 + tokens @ tokens.transpose(1, 2)) / 2)
    above = vector > vector.mean(dim=1, keepdim=True)
    larger = 2 * above.sum(dim=1, keepdim=True) > above.shape[1]
    return above ^ larger


class ClusterSalience(Part):
    """How similar a token is to the main cluster of the encoder's own tokens.

    The tokens after a block of the encoder are cut in two by
    :func:`main_cluster`; the score is the mean cosine similarity to the main
    part, so that a cut in the wrong place does little harm.

    Args:
        layer (int): Tokens after so many blocks, which run without gradient
            on all tokens; negative counts from the end, -1 is the last.

    Returns:
        Tensor: float32 (B, L), min-max scaled to [0, 1] for each image.
    """
    needs: frozenset[str] = frozenset({'layer_tokens'})

    def __init__(self, layer: int = -1):
        super().__init__()
        if layer == 0:
            raise UserError('layer=0 is before all blocks, where there are no '
                            'clusters yet; use -1, the last one.')
        self.layer = layer

    def forward(self, context: MaskingContext) -> Tensor:
        tokens = context.ask('layer_tokens', self.layer)
        with torch.autocast(tokens.device.type, enabled=False):
            tokens = torch.nn.functional.normalize(tokens.float(), dim=-1)
            main = main_cluster(tokens).float()
            mean = main[:, None] @ tokens
            return F.min_max((tokens @ mean.transpose(1, 2))[..., 0])


class TopWithHints(Part):
    """Hide the highest scores, but show some of them and hide others instead.

    Args:
        hints (float): Share of the tokens with the highest scores that is
            shown, drawn evenly; as many others are hidden at random.

    Example:
        >>> S = torch.linspace(0, 1, 10)[None]
        >>> choice = TopWithHints(0.2)(S, 5)
        >>> choice.masked[:, 5:].sum().item(), choice.masked.sum().item()
        (4, 5)
    """
    uniform = True

    def __init__(self, hints: float = 0.05):
        super().__init__()
        if not 0 <= hints <= 1:
            raise UserError(f'hints is a share of the masked tokens in [0, '
                            f'1], got {hints}; 0 shows none.')
        self.hints = hints

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext | None = None,
                noise: Tensor | None = None) -> Choice:
        noise = token_noise(scores, noise)
        num_masked = masked_counts(scores, num_visible)
        top = F.top_rank(scores, noise) < num_masked
        drawn = F.order_to_rank(torch.argsort(
            noise.where(top, torch.inf), dim=1, stable=True))
        hidden = top & (drawn >= F.share_count(num_masked, self.hints))
        # Hints, drawn by the lowest noise, are the last to be hidden again.
        return hide_top(torch.where(hidden, torch.inf, noise), num_visible)


class SelfGuidedMasker(Masker):
    """Random masks at first, then the main cluster of the model's own tokens.

    Source: Shin et al., NeurIPS 2024: after the warm-up the informed mask
    covers the main object, of two parts by a normalised cut of the patches'
    similarity, and hint tokens are left to see. The warm-up, an eighth, is
    about 50 of the paper's 400 epochs, where its decoder begins to rely on
    what was learnt. The share of hints and the last layer are this project's
    defaults.

    Args:
        layer: See :class:`ClusterSalience`.
        hints: See :class:`TopWithHints`.
        start_progress: See :class:`Masker`.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 layer: int = -1,
                 hints: float = 0.05,
                 start_progress: float = 0.125,
                 rounding: str = 'floor'):
        super().__init__(
            ClusterSalience(layer),
            FixedRatio(ratio, rounding),
            TopWithHints(hints),
            start_progress=start_progress)
