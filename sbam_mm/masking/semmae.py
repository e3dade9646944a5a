# Copyright (c) OpenMMLab. All rights reserved.
"""SemMAE: hide some patches of every part, later on whole parts."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .salience import NoSalience
from .selection import Choice, hide_top, masked_counts, token_noise
from .types import MaskingContext

# Part maps are uint8.
MAX_PARTS = 256


def whole_parts(sizes: Tensor, num_masked: Tensor, draws: Tensor) -> Tensor:
    """Hide one part after the other until enough is hidden.

    Args:
        sizes (Tensor): Tokens of each part, int64 (B, P).
        num_masked (Tensor): Tokens to hide, int64 (B, 1).
        draws (Tensor): (B, P); parts come in ascending order of them.

    Returns:
        Tensor: Hidden tokens of each part, int64 (B, P), that sum up to
        ``num_masked``: all of the first parts, some of the next, none else.

    Example:
        >>> whole_parts(torch.tensor([[4, 3, 5]]), torch.tensor([[6]]),
        ...             torch.tensor([[.9, .1, .5]])).tolist()
        [[0, 3, 3]]
    """
    order = torch.argsort(draws, dim=1)
    ordered = sizes.gather(1, order)
    before = ordered.cumsum(dim=1) - ordered
    hidden = torch.minimum((num_masked - before).clamp(min=0), ordered)
    return torch.empty_like(sizes).scatter_(1, order, hidden)


def part_counts(sizes: Tensor, num_masked: Tensor, num_tokens: int,
                share: float, draws: Tensor) -> Tensor:
    r"""Hidden tokens of each part, between within parts and whole parts.

    .. math:: n_p = \mathrm{round}(\lambda\,\mathrm{round}(N_p r)
        + (1 - \lambda)\,w_p)

    with the part's size :math:`N_p`, the ratio r and :func:`whole_parts` w.

    Args:
        sizes (Tensor): Tokens of each part, int64 (B, P).
        num_masked (Tensor): Tokens to hide, int64 (B, 1).
        share (float): :math:`\lambda`, in [0, 1].
        draws (Tensor): The order of the parts, (B, P).

    Returns:
        Tensor: int64 (B, P), from 0 to ``sizes``. The sum may be off
        ``num_masked`` by half a token per part.

    Example:
        >>> sizes, half = torch.tensor([[4, 12]]), torch.tensor([[8]])
        >>> draws = torch.tensor([[.1, .2]])
        >>> [part_counts(sizes, half, 16, share, draws).tolist()
        ...  for share in (1., 0.)]
        [[[2, 6]], [[4, 4]]]
    """
    within = (sizes * (num_masked.double() / num_tokens)).round()
    whole = whole_parts(sizes, num_masked, draws)
    return (share * within + (1 - share) * whole).round().long()


class PartwiseSelection(Part):
    r"""Hide the same share of every part at first, whole parts at the end.

    In between the count of each part is the average of the two, weighted by
    :math:`\lambda = 1 - t^2` with the progress t. Which tokens of a part
    are hidden is random. In the end tokens are hidden or shown again at
    random until the total is exact.

    Source: Li et al., *SemMAE: Semantic-Guided Masking for Learning Masked
    Autoencoders*, NeurIPS 2022. Its code reads per-part counts for the end of
    the training from files that were never released; here whole parts are
    hidden in random order, and what is left over from the part that does not
    fit (:func:`whole_parts`). Its code counts epochs from 1 and divides by
    800 whatever the length of the training.

    The parts come from the pipeline as 'part_map'; scores are not looked at.

    Args:
        power (float): Of t.

    Example:
        >>> parts = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1]]).byte()
        >>> context = MaskingContext(
        ...     torch.zeros(1, 8, 2), (2, 4), progress=0.,
        ...     providers=dict(part_map=lambda: parts))
        >>> masked = PartwiseSelection()(torch.zeros(1, 8), 4, context).masked
        >>> masked[:, :4].sum().item(), masked[:, 4:].sum().item()
        (2, 2)
        >>> context.progress = 1.
        >>> masked = PartwiseSelection()(torch.zeros(1, 8), 4, context).masked
        >>> sorted([masked[:, :4].sum().item(), masked[:, 4:].sum().item()])
        [0, 4]
    """
    needs: frozenset[str] = frozenset({'part_map'})
    uniform = True

    def __init__(self, power: float = 2.):
        super().__init__()
        F.check_power(power)
        self.power = power

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None,
                part_draws: Tensor | None = None) -> Choice:
        """Choose; ``part_draws``, U[0, 1) (B, 256), order the parts."""
        parts = self._parts(scores, context)
        noise = token_noise(scores, noise)
        if part_draws is None:
            part_draws = torch.rand(
                len(parts), MAX_PARTS, device=scores.device)
        num_masked = masked_counts(scores, num_visible)
        sizes = parts.new_zeros(len(parts), MAX_PARTS).scatter_add_(
            1, parts, torch.ones_like(parts))
        within = F.between(1., 0., context.progress, self.power)
        counts = part_counts(sizes, num_masked, scores.shape[1], within,
                             part_draws)
        chosen = _rank_in_part(parts, sizes, noise) < counts.gather(1, parts)
        # Where the counts do not sum up, the noise decides.
        return hide_top(torch.where(chosen, 1 + noise, noise), num_visible)

    @staticmethod
    def _parts(scores: Tensor, context: MaskingContext) -> Tensor:
        parts = context.ask('part_map')
        if parts is None:
            raise UserError(
                'SemMAE hides by parts, but the part maps of the images are '
                "empty; make them again, or give another path in dict(type="
                "'sbam_mm.LoadPartMap').")
        if parts.dtype != torch.uint8:
            raise UserError(
                f'part maps hold labels from 0 to 255 as uint8, these are '
                f'{parts.dtype}; save them again as uint8.')
        if parts.shape != scores.shape:
            raise UserError(
                f'the part map has {parts.shape[1]} tokens per image where '
                f'{scores.shape[1]} are to be masked; set masker.cell=1.')
        return parts.long()


def _rank_in_part(parts: Tensor, sizes: Tensor, noise: Tensor) -> Tensor:
    """Rank of each token in its part, 0 = highest noise, int64 (B, L)."""
    shuffled = torch.argsort(noise, dim=1, descending=True, stable=True)
    by_part = torch.argsort(parts.gather(1, shuffled), dim=1, stable=True)
    rank = F.order_to_rank(shuffled.gather(1, by_part))
    start = sizes.cumsum(dim=1) - sizes
    return rank - start.gather(1, parts)


class SemMAEMasker(Masker):
    """SemMAE's masks: some of every part at first, whole parts at the end.

    The parts of each image come with the pipeline (``LoadPartMap``); SemMAE's
    own, from a part decoder on iBOT's attention, were never released.

    Source: Li et al., *SemMAE: Semantic-Guided Masking for Learning Masked
    Autoencoders*, NeurIPS 2022; see :class:`PartwiseSelection`.

    The options are those of :class:`PartwiseSelection` and
    :class:`FixedRatio`.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 power: float = 2.,
                 rounding: str = 'floor'):
        super().__init__(NoSalience(), FixedRatio(ratio, rounding),
                         PartwiseSelection(power))
