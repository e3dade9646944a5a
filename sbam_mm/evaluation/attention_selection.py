# Copyright (c) OpenMMLab. All rights reserved.
"""Few-shot attention selection: which head of a teacher looks at objects.

Source: Xi et al., *Global Patch-wise Attention is Masterful Facilitator for
Masked Image Modeling* (GPA), ACM MM 2024, section 3.4 and Figure 4: every
head of every block is judged by the recall of annotated patches among those
it would mask. The paper found block 9, head 11 of MAE's ViT-B with 10 and
with 50 images (Table 5).
"""
from collections.abc import Callable, Sequence
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.masking import join_heads

from .object_masks import covered_patches

# What patches receive, (B, heads, L), by block, queries, softmax, own_query.
Ask = Callable[[int, str, bool, bool], Tensor]


class HeadRecall(NamedTuple):
    """The recall (mean over images, in [0, 1]) of one head from 0, or "sum".

    The sum over heads ranks patches as their mean does. The standard ``error``
    is NaN for one image.
    """
    block: int
    head: int | str
    recall: float
    error: float

    def config_lines(self, source: str = 'teacher') -> list[str]:
        """What to write into a config: a masker's salience, and GPA.

        Example:
            >>> print(HeadRecall(9, 11, .8, .02).config_lines()[1])
            masker=dict(type='sbam_mm.GPA', block=9, head=11)
        """
        own = '' if source == 'teacher' else f', source={source!r}'
        return [
            f"salience=dict(type='sbam_mm.AttentionSalience', "
            f'source={source!r}, block={self.block}, head={self.head!r}, '
            "queries='patches', softmax=False, own_query=False)",
            f"masker=dict(type='sbam_mm.GPA', block={self.block}, "
            f'head={self.head!r}{own})',
        ]


def annotated_patches(coverage: Tensor,
                      threshold: float = 0.5,
                      names: Sequence[str] | None = None) -> Tensor:
    """The patches that count as annotated, boolean (B, L).

    Args:
        coverage (Tensor): Share of every patch that is object, (B, L) in
            [0, 1].

    Raises:
        UserError: If an image has no annotated patch, or nothing else.
    """
    annotated = covered_patches(coverage, threshold)
    for i, count in enumerate(annotated.sum(dim=1).tolist()):
        name = f'image {i}' if names is None else names[i]
        if not count:
            raise UserError(
                f'the annotation of {name} is empty: no patch is covered '
                f'to {threshold:g} (at most {coverage[i].max():.2g}); draw '
                'more of the object or lower the threshold.')
        if count == coverage.shape[1]:
            raise UserError(
                f'the annotation of {name} is all of it, which every head '
                'recalls; leave the image out.')
    return annotated


def patch_recall(scores: Tensor,
                 annotated: Tensor,
                 num_masked: int | None = None) -> Tensor:
    r"""Share of the annotated patches among the k highest scores.

    .. math:: m = |\mathrm{top}_k(S) \cap M_h| / |M_h|

    of scores (..., B, L), equal ones in grid order: float32 (..., B).

    Args:
        annotated (Tensor): M_h, boolean (B, L), at least one per image.
        num_masked (int, optional): k, as many as a masker would mask.
            Defaults to None: as many as are annotated in the image, so that
            1 is the best and the annotated share what chance has.

    Example:
        >>> S = torch.tensor([[.9, .8, .1, .2]])
        >>> M = torch.tensor([[True, False, False, True]])
        >>> patch_recall(S, M).tolist(), patch_recall(S, M, 3).tolist()
        ([0.5], [1.0])
    """
    length = annotated.shape[1]
    wanted = annotated.sum(dim=1)
    count: int | Tensor = wanted[:, None]
    if num_masked is not None:
        if not 1 <= num_masked <= length:
            raise UserError(f'num_masked is a number of the {length} '
                            f'patches, got {num_masked}.')
        count = num_masked
    order = scores.argsort(dim=-1, descending=True, stable=True)
    found = annotated.expand_as(scores).gather(-1, order)
    place = torch.arange(length, device=scores.device)
    return (found & (place < count)).sum(dim=-1) / wanted


@torch.no_grad()
def head_scores(ask: Ask,
                block: int,
                own_query: bool = False,
                queries: str = 'patches') -> Tensor:
    """GPA scores of a block's heads, and their sum last: (heads + 1, B, L).

    Each image's are scaled to [0, 1].

    Args:
        ask (Callable): Of some images.
        own_query (bool): Whether a patch's own query counts, which in the
            paper it does not; see :class:`sbam_mm.masking.GPA`.
        queries (str): "patches", as in the paper, or "all" with the class
            token's.
    """
    received = ask(block, queries, False, own_query)
    heads: list[int | str] = [*range(received.shape[1]), 'sum']
    return torch.stack([join_heads(received, head) for head in heads])


def recall_of_heads(ask: Ask,
                    depth: int,
                    annotated: Tensor,
                    num_masked: int | None = None,
                    own_query: bool = False,
                    queries: str = 'patches') -> Tensor:
    """Recall of every head of every block and of their sum, image by image.

    Of shape (blocks, heads + 1, B) for ``depth`` blocks; the other arguments
    are those of :func:`head_scores` and :func:`patch_recall`.

    Example:
        >>> annotated = torch.arange(16).expand(2, 16) < 4
        >>> recall_of_heads(lambda *which: torch.rand(2, 3, 16), 12,
        ...                 annotated).shape
        torch.Size([12, 4, 2])
    """
    return torch.stack([
        patch_recall(
            head_scores(ask, block, own_query, queries), annotated,
            num_masked) for block in range(depth)
    ])


def rank_heads(recall: Tensor) -> list[HeadRecall]:
    """Heads by mean recall (blocks, heads + 1, B), the best first.

    Example:
        >>> best = rank_heads(torch.tensor([[[.2], [.1]], [[.9], [.4]]]))[0]
        >>> best.block, best.head
        (1, 0)
    """
    blocks, heads, images = recall.shape
    mean = recall.mean(dim=2)
    error = (recall.std(dim=2) / sqrt(images) if images > 1 else
             torch.full_like(mean, torch.nan))
    ranked = [
        HeadRecall(block, 'sum' if head == heads - 1 else head,
                   float(mean[block, head]), float(error[block, head]))
        for block in range(blocks) for head in range(heads)
    ]
    return sorted(ranked, key=lambda one: -one.recall)
