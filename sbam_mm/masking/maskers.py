# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers: salience x ratio x selection, and the named methods.

Read :meth:`Masker.forward` first: it is the whole method in four lines. The
classes below it only choose the three parts.
"""
from dataclasses import replace

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError

from . import functional as F
from .parts import AsksContext, build_part
from .ratio import AdaptiveRatio, FixedRatio, check_range
from .salience import AffinitySalience, NoSalience
from .selection import NoisyTopK
from .shapes import BlockSelection, GridSelection, UniformSelection
from .types import MaskingContext, TokenMask
from .varied_ratio import RandomRatio


class Masker(AsksContext):
    """Decide which patch tokens to hide.

    In all presets ``rounding``, "floor" or "ceil", is of the visible tokens.

    Args:
        salience (dict or nn.Module): Where scores come from.
        ratio (dict or nn.Module): How many tokens to hide.
        selection (dict or nn.Module): Which ones.
        start_epoch (int): The warm-up masks before this epoch. SBAM's
            authors resume a plain MAE of 100 epochs, which is
            ``start_epoch=100``.
        warm_up (dict or nn.Module, optional): The masker before
            ``start_epoch``, and as long as the salience has no scores yet.
            Defaults to None: random at the same base ratio.
        cell (int): Tokens per side of the squares that are hidden as a
            whole; scores are averaged over them. 2 with patches of 16 is
            SimMIM's 32 pixels.
        start_progress (float): The warm-up masks before this share of the
            training, too.

    Example:
        >>> masker = Masker(
        ...     salience=dict(type='sbam_mm.AffinitySalience'),
        ...     ratio=dict(type='sbam_mm.FixedRatio', ratio=0.6),
        ...     selection=dict(type='sbam_mm.NoisyTopK', noise=0.25))
        >>> context = MaskingContext(torch.randn(2, 25, 8), grid=(5, 5))
        >>> masker(context).visible_counts.tolist()
        [10, 10]
    """

    def __init__(self,
                 salience: dict | nn.Module,
                 ratio: dict | nn.Module,
                 selection: dict | nn.Module,
                 start_epoch: int = 0,
                 warm_up: dict | nn.Module | None = None,
                 cell: int = 1,
                 start_progress: float = 0.):
        super().__init__()
        if cell < 1 or start_epoch < 0:
            raise UserError(
                f'cell={cell} and start_epoch={start_epoch} of a masker count '
                'tokens, from 1, and epochs, from 0; correct them.')
        if not 0 <= start_progress < 1:
            raise UserError(f'start_progress is a share of the training in '
                            f'[0, 1), got {start_progress}; 0 is at once.')
        self.salience = build_part(salience)
        self.ratio = build_part(ratio)
        self.selection = build_part(selection)
        self.start_epoch = start_epoch
        self.start_progress = start_progress
        self.cell = cell
        if warm_up is None and (start_epoch or start_progress
                                or hasattr(self.salience, 'ready')):
            warm_up = RandomMasker(self.ratio.ratio, cell=cell)
        self.warm_up = None if warm_up is None else build_part(warm_up)

    @property
    def needs(self) -> frozenset[str]:
        """What the masker asks of the model beyond the patch tokens."""
        parts = (self.salience, self.ratio, self.selection, self.warm_up)
        return frozenset().union(
            *(getattr(part, 'needs', frozenset()) for part in parts))

    @property
    def uniform(self) -> bool:
        """Whether all images of a batch keep the same number of tokens."""
        return (self.ratio.uniform and self.selection.uniform
                and (self.warm_up is None or self.warm_up.uniform))

    def warming_up(self, context: MaskingContext) -> bool:
        """Whether the warm-up masks this batch."""
        if self.warm_up is None:
            return False
        ready = getattr(self.salience, 'ready', None)
        return (context.epoch < self.start_epoch
                or context.progress < self.start_progress
                or ready is not None and not ready(context))

    @torch.no_grad()
    def forward(self,
                context: MaskingContext,
                noise: Tensor | None = None) -> TokenMask:
        """Mask a batch.

        Args:
            noise (Tensor, optional): Draws from U[0, 1), (B, L), that
                replace torch's generator; one per cell.
        """
        if self.warm_up is not None and self.warming_up(context):
            return self.warm_up(context, noise)
        scores = self.salience(context)
        if self.cell > 1:
            return self._mask_cells(scores, context, noise)
        share = self.ratio(scores, context)
        choice = self.selection(scores, share.num_visible, context, noise)
        return TokenMask(choice.masked, choice.thrown, share.ratio, scores,
                         share.salient, choice.num_visible, choice.targets)

    def _mask_cells(self,
                    scores: Tensor,
                    context: MaskingContext,
                    noise: Tensor | None) -> TokenMask:
        """As :meth:`forward`, from the scores of squares of tokens."""
        cells = F.pool_cells(scores[..., None], context.grid,
                             self.cell)[..., 0]
        coarse = replace(
            context,
            tokens=F.pool_cells(context.tokens, context.grid, self.cell),
            grid=(context.grid[0] // self.cell, context.grid[1] // self.cell))
        share = self.ratio(cells, coarse)
        choice = self.selection(cells, share.num_visible, coarse, noise)
        masked = F.spread_cells(choice.masked, coarse.grid, self.cell)
        thrown = choice.thrown
        if thrown is not None:
            thrown = F.spread_cells(thrown, coarse.grid, self.cell)
        targets = choice.targets
        if targets is not None:
            targets = F.spread_cells(
                targets.flatten(0, 1), coarse.grid,
                self.cell).unflatten(0, targets.shape[:2])
        count = choice.num_visible
        return TokenMask(masked, thrown, share.ratio, scores, share.salient,
                         None if count is None else count * self.cell**2,
                         targets)


class RandomMasker(Masker):
    """MAE's random masking: every token is as likely to be hidden.

    Source: He et al., *Masked Autoencoders Are Scalable Vision Learners*,
    CVPR 2022. Bit-equal to the official code for the same draws.

    Args:
        cell (int): See :class:`Masker`; SimMIM hides 0.6 of squares of 2.

    Example:
        >>> masker = RandomMasker(ratio=0.75)
        >>> context = MaskingContext(torch.randn(2, 16, 8), grid=(4, 4))
        >>> masker(context).masked.sum(1).tolist()
        [12, 12]
    """

    def __init__(self,
                 ratio: float = 0.75,
                 rounding: str = 'floor',
                 cell: int = 1):
        super().__init__(
            NoSalience(), FixedRatio(ratio, rounding), NoisyTopK(noise=1.),
            cell=cell)


class BlockMasker(Masker):
    """Block-wise masking (BEiT) with the exact count MAE needs.

    Args:
        ratio (float): Share of hidden tokens; 0.4 is BEiT's.
        **blocks: Options of :class:`BlockSelection`.
    """
    takes_options_of = BlockSelection

    def __init__(self,
                 ratio: float = 0.4,
                 rounding: str = 'floor',
                 **blocks):
        super().__init__(NoSalience(), FixedRatio(ratio, rounding),
                         BlockSelection(**blocks))


class UniformMasker(Masker):
    """UM-MAE's uniform masking: one visible token in every 2 x 2 block.

    Three quarters of the tokens are hidden, no other ratio is possible; see
    :class:`UniformSelection` for the source and for odd grids. UM-MAE's
    secondary masking of visible tokens is a matter of the model.

    Args:
        ratio (float): 0.75, for tools that set one ratio on all maskers.
    """

    def __init__(self, ratio: float = 0.75):
        if ratio != 0.75:
            raise UserError(f'UniformMasker hides three of four tokens and '
                            f'cannot hide {ratio}; leave the ratio at 0.75 '
                            'or choose another masker.')
        super().__init__(NoSalience(), FixedRatio(ratio), UniformSelection())


class GridMasker(Masker):
    """Every k-th token along both axes is visible, at a random phase.

    Args:
        stride (int): k; 1 - 1/k^2 of the tokens are hidden. See
            :class:`GridSelection`.
        ratio (float, optional): That of the stride, for tools that set one
            ratio on all maskers.

    Example:
        >>> context = MaskingContext(torch.randn(2, 36, 8), grid=(6, 6))
        >>> GridMasker(stride=3)(context).num_visible
        4
    """

    def __init__(self, stride: int = 2, ratio: float | None = None):
        selection = GridSelection(stride)
        hidden = 1 - 1 / stride**2
        # Users write 0.89 for the 8/9 of a stride of 3.
        if ratio is not None and abs(ratio - hidden) > 0.005:
            raise UserError(f'GridMasker with stride={stride} hides '
                            f'{hidden:.3g} of the tokens and cannot hide '
                            f'{ratio}; leave the ratio out or choose the '
                            'stride k with the ratio 1 - 1/k^2.')
        super().__init__(NoSalience(), FixedRatio(hidden), selection)


class RandomRatioMasker(Masker):
    """Random masks at a random ratio: SBAM's variety without its salience.

    Source: none; the control for SBAM, with the same options and defaults. It
    tells whether a gain over a fixed ratio comes from salience or from seeing
    images at many ratios. The ratio is even over the range; SBAM's gathers
    where the shares of salient tokens do.

    Args:
        delta_r (float): The ratio is drawn from r +- delta_r.
        scope (str): "sample", a ratio per image, or "batch".
    """

    def __init__(self,
                 ratio: float = 0.75,
                 delta_r: float = 0.15,
                 scope: str = 'sample',
                 rounding: str = 'ceil',
                 cell: int = 1):
        check_range(ratio, delta_r)
        super().__init__(
            NoSalience(),
            RandomRatio(ratio - delta_r, ratio + delta_r, scope, rounding),
            NoisyTopK(noise=1.),
            cell=cell)


class SBM(Masker):
    """Saliency-Based Masking (section 3): salient tokens are hidden first.

    Source: Choi et al., *Salience-Based Adaptive Masking: Revisiting Token
    Dynamics for Enhanced Pre-training*, ECCV 2024, Eq. 3 and 4.

    Args:
        noise (float): Upper end of the uniform noise.
        rounding (str): Of the visible tokens: "ceil" (the paper) or "floor"
            (the code).
        start_epoch (int): Random masking before it.
        salience (dict): Options of :class:`AffinitySalience`.
        cell (int): See :class:`Masker`. CMAE hides squares of 2.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 noise: float = 0.5,
                 rounding: str = 'ceil',
                 start_epoch: int = 0,
                 salience: dict | None = None,
                 cell: int = 1):
        super().__init__(
            AffinitySalience(**(salience or {})),
            FixedRatio(ratio, rounding),
            NoisyTopK(noise),
            start_epoch,
            cell=cell)


class SBAM(Masker):
    """Salience-Based Adaptive Masking: SBM with a ratio for every image.

    Source: Choi et al., ECCV 2024, Eq. 3, 4 and 7. With ``scope='batch'``
    and ``rounding='float32'`` it is bit-equal to the released code, whose
    ratio is averaged over the batch.

    Args:
        ratio (float): Base ratio r.
        delta_r (float): The ratio ranges over r +- delta_r.
        delta (float): A token with S > delta is salient.
        scope, rounding, min_visible, max_visible: See
            :class:`AdaptiveRatio`.
        noise, start_epoch, salience, cell: See :class:`SBM`.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 delta_r: float = 0.15,
                 delta: float = 0.1,
                 scope: str = 'sample',
                 noise: float = 0.5,
                 rounding: str = 'ceil',
                 min_visible: int = 1,
                 max_visible: int | None = None,
                 start_epoch: int = 0,
                 salience: dict | None = None,
                 cell: int = 1):
        super().__init__(
            AffinitySalience(**(salience or {})),
            AdaptiveRatio(ratio, delta_r, delta, scope, rounding, min_visible,
                          max_visible),
            NoisyTopK(noise),
            start_epoch,
            cell=cell)


class IncomingMasker(SBM):
    """SBM from incoming weights, the supplement's section 1 comparison.

    Source: Choi et al., ECCV 2024, supplement, section 1: what SBAM is
    compared with.
    """

    def __init__(self, salience: dict | None = None, **kwargs):
        super().__init__(
            salience=dict(salience or {}, direction='incoming'), **kwargs)
