# Copyright (c) OpenMMLab. All rights reserved.
"""AM, AMT and its control: draw tokens; mask some, throw some."""
from sbam_mm.errors import UserError

from .maskers import Masker, RandomMasker
from .ratio import FixedRatio
from .salience import NoSalience, StoredSalience
from .selection import WeightedOrder


def _check_room(name: str, ratio: float, throw: float) -> None:
    if ratio + throw >= 1:
        raise UserError(
            f'{name} masks {ratio} and throws {throw} of the tokens, which '
            'leaves none visible; their sum must be below 1.')


class AMT(Masker):
    """Attention-driven masking and throwing.

    Tokens are drawn one by one with the attention they received as weight.
    The first are masked, the next thrown away, the rest stay visible. The
    attention maps are stored per image by ``AttentionMapHook`` every 40
    epochs and brought by the transform ``LoadAttentionMap``; until the first
    exist, masking is random.

    Source: Liu et al., *Good Helper Is around You: Attention-driven Masked
    Image Modeling*, AAAI 2023, Eq. 4 to 7; 0.45 and 0.40 of section 4.1.

    Args:
        ratio (float): Share of masked tokens.
        throw (float): Share of thrown tokens.
        throw_last (bool): Throw the least attended tokens and show the
            middle (Table 4's ablation).
        warm_up_ratio (float, optional): Of random masking until maps exist;
            0.75 in the official code. None is ``ratio``.
        rounding (str): Of the tokens that are not masked: "ceil" is the
            official MAE code, which rounds the masked ones down; its SimMIM
            code rounds them up: "floor".
        cell (int): See :class:`Masker`. SimMIM's variant is ``ratio=0.44,
            throw=0.26, warm_up_ratio=0.6, rounding='floor', cell=2``.

    Example::

        masker = dict(type='sbam_mm.AMT')
        custom_hooks = [dict(type='sbam_mm.AttentionMapHook', interval=40)]
    """

    def __init__(self,
                 ratio: float = 0.45,
                 throw: float = 0.4,
                 throw_last: bool = False,
                 warm_up_ratio: float | None = 0.75,
                 rounding: str = 'ceil',
                 cell: int = 1):
        _check_room('AMT', ratio, throw)
        warm_up = RandomMasker(
            ratio if warm_up_ratio is None else warm_up_ratio, cell=cell)
        super().__init__(
            StoredSalience(),
            FixedRatio(ratio, rounding),
            WeightedOrder(throw=throw, throw_last=throw_last),
            warm_up=warm_up,
            cell=cell)


class RandomThrow(Masker):
    """Masks some tokens and throws others, all at random.

    The control of AMT's Table 4, "MAE+Random T": it tells whether a gain
    comes from attention or from seeing fewer tokens.

    Source: Liu et al., AAAI 2023, Table 4.

    The options are those of :class:`AMT`.
    """

    def __init__(self,
                 ratio: float = 0.45,
                 throw: float = 0.4,
                 rounding: str = 'ceil',
                 cell: int = 1):
        _check_room('RandomThrow', ratio, throw)
        super().__init__(
            NoSalience(),
            FixedRatio(ratio, rounding),
            WeightedOrder(throw=throw),
            cell=cell)


class AM(AMT):
    """Attention-driven masking: AMT without throwing, with its options."""

    def __init__(self, ratio: float = 0.75, **kwargs):
        super().__init__(ratio=ratio, throw=0., **kwargs)
