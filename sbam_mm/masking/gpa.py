# Copyright (c) OpenMMLab. All rights reserved.
"""GPA: hide what all patches of a teacher attend to, from soft to hard."""
import warnings

from .attention import AttentionSalience
from .maskers import Masker
from .ratio import FixedRatio
from .schedule import SoftToHard


class GPA(Masker):
    """Masking by global patch-wise attention.

    The score of a patch is the sum over the queries of all other patches of
    the logits q·k / √d it receives in one head of one block of a teacher.

    Source: Xi et al., *Global Patch-wise Attention is Masterful Facilitator
    for Masked Image Modeling*, ACM MM 2024, Eq. 5 and 6. Where paper and
    official code differ the default follows the paper: the code's score has
    the class token's query (``queries='all'``) and the patch's own
    (``own_query=True``) in it, and its README starts with ``soft=(0.3, 0)``.

    Args:
        block (int): Of the teacher; 9 (of 12) is what the paper found by
            few-shot selection (``tools/select_attention.py``).
        head (int or str): One from 0, "last", or "sum" or "mean" over all.
            -1 is the paper's name of the sum (Table 5).
        hard, soft (tuple[float, float]): See :class:`SoftToHard`.
        own_query, source, queries: See :class:`AttentionSalience`.

    Example::

        model = dict(
            teacher=dict(
                type='sbam_mm.FrozenTeacher',
                backbone=dict(type='sbam_mm.MaskedViT', arch='base'),
                checkpoint='mae_pretrain_vit_base.pth'),
            masker=dict(type='sbam_mm.GPA'))
    """

    def __init__(self,
                 ratio: float = 0.75,
                 block: int = 9,
                 head: int | str = 11,
                 hard: tuple[float, float] = (0., 0.5),
                 soft: tuple[float, float] = (0.5, 0.),
                 own_query: bool = False,
                 source: str = 'teacher',
                 rounding: str = 'floor',
                 queries: str = 'patches'):
        if head == -1:
            warnings.warn(
                "head=-1 is the sum of all heads here, as in GPA's paper "
                "(Table 5); write head='sum', or head='last' for the last.",
                DeprecationWarning, stacklevel=2)
            head = 'sum'
        super().__init__(
            AttentionSalience(
                block,
                head,
                queries=queries,
                softmax=False,
                own_query=own_query,
                source=source), FixedRatio(ratio, rounding),
            SoftToHard(hard, soft))
