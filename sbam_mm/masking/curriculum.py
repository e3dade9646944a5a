# Copyright (c) OpenMMLab. All rights reserved.
"""A curriculum from easy to hard masks, over any scores and any ratio."""
from torch import nn

from .maskers import Masker
from .parts import build_part
from .ratio import FixedRatio
from .salience import AffinitySalience
from .schedule import EasyToHard
from .varied_ratio import ScheduledRatio


class CurriculumMasker(Masker):
    """Hide what is easy first, anything in the middle, what is hard at last.

    Of the masked tokens a share are those with the lowest scores at first
    and those with the highest in the end, and the others are random. The
    schedule is given beforehand and nothing is learnt.

    Source: the course is that of CL-MAE (Madan et al., *Curriculum-Learned
    Masked Autoencoders*, WACV 2024), which learns a module that makes the
    masks, at first to help the reconstruction, then to hinder it; here
    ``start`` and ``end`` of opposite signs and scores take its place.

    Args:
        ratio (float, tuple[float, float], dict or nn.Module): Masking ratio,
            the first and the last one of :class:`ScheduledRatio`, or any
            ratio part.
        start, end (float): See :class:`EasyToHard`, with 0.5 of either sign.
        power (float): Of the progress, in both schedules.
        salience (dict or nn.Module, optional): Where scores come from, high =
            hard. None: :class:`AffinitySalience`.

    Example:
        >>> import torch
        >>> from sbam_mm.masking import MaskingContext
        >>> context = MaskingContext(torch.randn(2, 196, 8), (14, 14))
        >>> masker = CurriculumMasker(ratio=(0.5, 0.75))
        >>> masker(context).num_visible
        98
        >>> context.progress = 1.
        >>> masker(context).num_visible
        49
    """

    def __init__(self,
                 ratio: float | tuple[float, float] | dict | nn.Module = 0.75,
                 start: float = -0.5,
                 end: float = 0.5,
                 power: float = 1.,
                 salience: dict | nn.Module | None = None,
                 rounding: str = 'floor'):
        if isinstance(ratio, (int, float)):
            share: nn.Module = FixedRatio(ratio, rounding)
        elif isinstance(ratio, (dict, nn.Module)):
            share = build_part(ratio)
        else:
            first, last = ratio
            share = ScheduledRatio(first, last, rounding, power)
        super().__init__(
            AffinitySalience() if salience is None else salience, share,
            EasyToHard(start, end, power))
