# Copyright (c) OpenMMLab. All rights reserved.
"""ColorMAE: random masks from filtered noise.

Source: Hinojosa et al., *ColorMAE: Exploring Data-Independent Masking
Strategies in Masked AutoEncoders*, ECCV 2024.
"""
from math import ceil

import torch
from torch import Tensor

from sbam_mm.errors import UserError, check_choice

from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .salience import NoSalience
from .selection import Choice, hide_top, token_noise
from .types import MaskingContext

# Standard deviations of the Gaussians, in tokens: of the blur, or of the weak
# and the strong blur between which a band lies.
SIGMAS: dict[str, tuple[float, ...]] = {
    'red': (2., ), 'blue': (1., ), 'green': (.75, 1.5), 'purple': (.75, 1.5)
}
# Where a Gaussian is cut off, in standard deviations.
CUT = 4


def gaussian_rows(length: int, margin: int, sigma: float,
                  device: torch.device | None = None) -> Tensor:
    """Weights of a blur, (length, length + 2 margin); rows sum to 1."""
    place = torch.arange(length + 2 * margin, device=device) - margin
    distance = place - torch.arange(length, device=device)[:, None]
    weight = torch.exp(-0.5 * (distance / sigma)**2)
    weight = weight.where(distance.abs() <= CUT * sigma, 0.)
    return weight / weight.sum(dim=1, keepdim=True)


def filter_noise(white: Tensor, margin: int, color: str,
                 sigma: tuple[float, ...]) -> Tensor:
    r"""The window inside the margin of a filtered noise image.

    With the noise W and the Gaussian :math:`G_\sigma`: red is
    :math:`G_\sigma * W`, blue :math:`W - G_\sigma * W`, green
    :math:`G_{\sigma_1} * W - G_{\sigma_2} * W` and purple W less the green.

    Args:
        white (Tensor): W, (B, h + 2 margin, w + 2 margin).
        color (str): "red", "blue", "green" or "purple".
        sigma (tuple[float, ...]): One, or two of green and purple.

    Returns:
        Tensor: float32 (B, h, w).

    Example:
        >>> flat = torch.ones(1, 13, 13)
        >>> filter_noise(flat, 4, 'green', (0.5, 1.)).abs().max() < 1e-6
        tensor(True)
    """
    height, width = (length - 2 * margin for length in white.shape[1:])
    with torch.autocast(white.device.type, enabled=False):
        white = white.float()
        blurred = [
            gaussian_rows(height, margin, s, white.device) @ white
            @ gaussian_rows(width, margin, s, white.device).T for s in sigma]
    inside = white[:, margin:margin + height, margin:margin + width]
    if color == 'red':
        return blurred[0]
    if color == 'blue':
        return inside - blurred[0]
    band = blurred[0] - blurred[1]
    return band if color == 'green' else inside - band


class FilteredNoise(Part):
    """Hide where filtered noise is highest (ColorMAE).

    Red noise (low-pass) hides large regions, blue (high-pass) spreads evenly,
    green (band-pass) hides patches of one size at even distances, purple
    (band-stop) is red and blue together. Scores play no part. Every image
    gets a window of noise of its own, drawn with a margin, so that the filter
    sees no border; the official code crops and flips windows of patterns that
    were filtered beforehand, and keeps the highest tokens visible, which
    has the same distribution.

    Args:
        color (str): "green", "blue", "purple" or "red".
        sigma (float or tuple[float, float], optional): Standard deviation of
            the blur, in tokens, or of the weaker and the stronger one of
            green and purple. None: red 2, blue 1, green and purple 0.75 and
            1.5. These are this project's: the official patterns come as
            files and the code does not say how they were filtered.

    Example:
        >>> context = MaskingContext(torch.randn(2, 196, 8), grid=(14, 14))
        >>> choice = FilteredNoise('blue')(torch.zeros(2, 196), 49, context)
        >>> choice.masked.sum(dim=1).tolist()
        [147, 147]
    """
    uniform = True

    def __init__(self,
                 color: str = 'green',
                 sigma: float | tuple[float, float] | None = None):
        super().__init__()
        check_choice('color', color, tuple(SIGMAS))
        if sigma is None:
            sigmas = SIGMAS[color]
        else:
            sigmas = (sigma, ) if isinstance(
                sigma, (int, float)) else tuple(sigma)
        wanted = len(SIGMAS[color])
        if (len(sigmas) != wanted or sigmas[0] <= 0
                or list(sigmas) != sorted(set(sigmas))):
            raise UserError(
                f'{color} noise wants ' + (
                    'one sigma above 0' if wanted == 1 else
                    'two sigmas above 0, the smaller one first')
                + f', got {sigma}.')
        self.color = color
        self.sigma = sigmas

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        """Choose; ``noise`` (B, L) is taken as periodic beyond the grid."""
        height, width = context.grid
        margin = ceil(CUT * self.sigma[-1])
        if noise is None:
            white = torch.rand(
                len(scores), height + 2 * margin, width + 2 * margin,
                device=scores.device)
        else:
            rows, columns = (
                (torch.arange(n + 2 * margin, device=scores.device) - margin)
                % n for n in context.grid)
            grid = token_noise(scores, noise).unflatten(1, context.grid)
            white = grid[:, rows[:, None], columns]
        key = filter_noise(white, margin, self.color, self.sigma)
        return hide_top(key.flatten(1), num_visible)


class ColorMAEMasker(Masker):
    """ColorMAE's masks: random ones of a chosen spatial frequency.

    Source: Hinojosa et al., ECCV 2024, where green is best.

    Args:
        color, sigma: See :class:`FilteredNoise`.
    """

    def __init__(self,
                 color: str = 'green',
                 ratio: float = 0.75,
                 sigma: float | tuple[float, float] | None = None,
                 rounding: str = 'floor'):
        super().__init__(NoSalience(), FixedRatio(ratio, rounding),
                         FilteredNoise(color, sigma))
