# Copyright (c) OpenMMLab. All rights reserved.
"""From masks that overlap to one id per pixel."""
from dataclasses import dataclass

import numpy as np

from sbam_mm.errors import UserError

KEEP = ('largest', 'confident')


@dataclass(frozen=True)
class Masks:
    """What a back-end found in an image.

    ``masks``, (n, H, W) bool, may overlap; ``scores``, (n,), is how confident
    it is of each.
    """
    masks: np.ndarray
    scores: np.ndarray


def check_kept(max_masks: int, keep: str) -> None:
    """Stop at unknown masks to keep, or at more ids than a byte has."""
    if keep not in KEEP:
        raise UserError(
            f'there are no {keep!r} masks; keep the {" or ".join(KEEP)} ones.')
    if not 1 <= max_masks <= 255:
        raise UserError(f'an image has 1 to 255 masks at most, not '
                        f'max_masks={max_masks}; the paper has 5.')


def id_map(found: Masks,
           max_masks: int = 5,
           keep: str = 'largest') -> np.ndarray:
    """Give each pixel the id of its most confident mask: (H, W) uint8.

    0 is for no mask; the others are numbered from 1 in the order in which
    they were kept, without gaps.

    The paper keeps c = 5 masks without saying which. The largest cover more
    of the image the more points SAM is asked at, as its Table 3 has it (70.4 %
    at 8 x 8 points, 72.7 % at 32 x 32), where the most confident of more
    masks would be ever smaller ones; hence the default.

    Source: Taguchi et al., *SAM Helps SSL*, 2024, section 3.1, Eq. 3 ("in
    areas where masks overlap, we only leave the confident mask").

    Args:
        max_masks (int): The paper's c, at most 255.
        keep (str): Which masks to keep of more than c, the "largest" or the
            most "confident".

    Example:
        >>> masks = np.array([[[1, 1, 1, 0]], [[0, 0, 1, 1]]], dtype=bool)
        >>> id_map(Masks(masks, np.array([.9, .8])))
        array([[1, 1, 1, 2]], dtype=uint8)
        >>> id_map(Masks(masks, np.array([.8, .9])), max_masks=1)
        array([[1, 1, 1, 0]], dtype=uint8)
    """
    check_kept(max_masks, keep)
    masks = np.asarray(found.masks, dtype=bool)
    scores = np.asarray(found.scores, dtype=np.float64)
    merit = masks.sum(axis=(1, 2)) if keep == 'largest' else scores
    kept = np.argsort(-merit, kind='stable')[:max_masks]
    ids = np.zeros(masks.shape[1:], np.uint8)
    # The most confident last, over the others.
    for rank in np.argsort(scores[kept], kind='stable'):
        ids[masks[kept[rank]]] = rank + 1
    # A mask may lie under others as a whole.
    left = np.unique(ids[ids > 0])
    number = np.zeros(256, np.uint8)
    number[left] = np.arange(1, len(left) + 1)
    return number[ids]
