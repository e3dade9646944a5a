# Copyright (c) OpenMMLab. All rights reserved.
r"""Whether a masker hides objects, in numbers.

The supplement of Choi et al., *Salience-Based Adaptive Masking*, ECCV 2024,
says in section 2 (Fig. 3, pictures only) that SBAM identifies and masks
objects of all sizes, that its masks hold their boundaries, and that "token
saliency is higher at the boundaries than inside the object itself". These are
numbers for the three claims.

Notation, for one image: :math:`o_l` is the share of token l's patch that lies
on objects, or with a threshold t whether it is at least t, 1 or 0;
:math:`h_l` is 1 where the token is hidden (masked or thrown); :math:`S_l` is
its score, in [0, 1]; :math:`b_l = 1` on object boundaries, where objects cover
a part of the patch, :math:`0.05 < o_l < 0.95` before the threshold; and
:math:`i_l = 1` inside, :math:`o_l \ge 0.95`.
"""
from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask

from .object_masks import covered_patches

# A patch that objects cover to less than this is outside, to more than the
# rest inside: resampled outlines bleed a few pixels.
MARGIN = 0.05
METRICS = {
    'hidden': 'hidden tokens',
    'object_hidden': 'object hidden',
    'background_hidden': 'background hidden',
    'object_to_background': 'object / background',
    'pointing': 'pointing game',
    'auroc': 'AUROC',
    'boundary_hidden': 'hidden on boundary',
    'boundary_salient': 'salient on boundary',
    'boundary_minus_inside': 'salience boundary - inside',
}


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Quotient, not a number where nothing is below."""
    return torch.where(below > 0, above / below, above.new_tensor(torch.nan))


def boundary_tokens(coverage: Tensor) -> Tensor:
    """Tokens on object boundaries: b of this module's head, float32 (B, L)."""
    return ((coverage > MARGIN) & (coverage < 1 - MARGIN)).float()


def mask_metrics(token_mask: TokenMask,
                 coverage: Tensor,
                 threshold: float | None = None,
                 delta: float = 0.1) -> dict[str, Tensor]:
    r"""Compare masks and scores with objects, image by image.

    Args:
        coverage (Tensor): Share of every patch that is object, (B, L) in
            [0, 1].
        threshold (float, optional): A token is object from this coverage on.
            Defaults to None: every token counts with its share, so that
            objects smaller than a patch take part.
        delta (float): A token with S > delta is salient (Eq. 7).

    Returns:
        dict[str, Tensor]: Each float32 (B,), NaN where it has no meaning (no
        object, no boundary, no scores).

        * ``hidden``: :math:`\sum_l h_l / L`.
        * ``object_hidden``: :math:`\sum_l h_l o_l / \sum_l o_l`.
        * ``background_hidden``:
          :math:`\sum_l h_l (1 - o_l) / \sum_l (1 - o_l)`.
        * ``object_to_background``: the ratio of these two; 1 is what random
          masks have on average, above it objects are hidden first.
        * ``pointing``: :math:`o_{l^*}` at :math:`l^* = \arg\max_l S_l`, the
          pointing game; the mean over all maxima where there are several.
        * ``auroc``: how often a token of an object has more salience than one
          of the background, pairs weighted with :math:`o_l (1 - o_m)`, equal
          scores counting half; 0.5 is chance.
        * ``boundary_hidden``: :math:`\sum_l h_l b_l / \sum_l h_l`, share of
          the hidden tokens that lie on boundaries.
        * ``boundary_salient``:
          :math:`\sum_l 1_{S_l > \delta} b_l / \sum_l 1_{S_l > \delta}`, the
          same of the salient ones.
        * ``boundary_minus_inside``:
          :math:`\sum_l S_l b_l / \sum_l b_l - \sum_l S_l i_l / \sum_l i_l`,
          above 0 where salience is higher at boundaries.

    Example:
        >>> mask = TokenMask(torch.tensor([[True, True, False, False]]))
        >>> cover = torch.tensor([[1., 0., 0., 0.]])
        >>> found = mask_metrics(mask, cover)
        >>> found['object_hidden'].item()
        1.0
        >>> round(found['background_hidden'].item(), 3)
        0.333
    """
    masked = token_mask.masked
    if coverage.shape != masked.shape:
        raise UserError(
            f'the coverage {tuple(coverage.shape)} must have the shape of '
            f'the masks {tuple(masked.shape)}; average objects over the '
            "model's own grid.")
    if coverage.min() < 0 or coverage.max() > 1:
        raise UserError('coverage is a share of a patch in [0, 1], got '
                        f'{coverage.min():g} to {coverage.max():g}.')
    # On the host: a device would wait for every image.
    cover = coverage.float().cpu()
    boundary = boundary_tokens(cover)
    inside = (cover >= 1 - MARGIN).float()
    objects = cover
    if threshold is not None:
        objects = covered_patches(cover, threshold).float()
    hidden = (~token_mask.visible).float().cpu()
    scores = torch.zeros_like(cover)
    if token_mask.scores is not None:
        scores = token_mask.scores.float().cpu()
    salient = (scores > delta).float()
    peak = (scores == scores.amax(dim=1, keepdim=True)).float()

    def mean(values: Tensor, where: Tensor) -> Tensor:
        return _ratio((values * where).sum(dim=1), where.sum(dim=1))

    on_object, beside = mean(hidden, objects), mean(hidden, 1 - objects)
    known = objects.sum(dim=1) > 0
    return dict(
        hidden=hidden.mean(dim=1),
        object_hidden=on_object,
        background_hidden=beside,
        object_to_background=_ratio(on_object, beside),
        pointing=torch.where(known, mean(objects, peak), torch.nan),
        auroc=torch.stack([
            auroc(score, each) for score, each in zip(scores, objects)]),
        boundary_hidden=torch.where(known, mean(boundary, hidden), torch.nan),
        boundary_salient=torch.where(known, mean(boundary, salient),
                                     torch.nan),
        boundary_minus_inside=torch.where(
            scores.amax(dim=1) > 0,
            mean(scores, boundary) - mean(scores, inside), torch.nan))


def auroc(scores: Tensor, objects: Tensor) -> Tensor:
    """Of one image, scores and shares of objects (L,): a float32 scalar.

    NaN where all scores are equal, or there is nothing but object or
    background.

    Example:
        >>> auroc(torch.tensor([.9, .5, .1]), torch.tensor([1., 0., 0.]))
        tensor(1.)
    """
    values, place = scores.unique(return_inverse=True)
    if len(values) < 2:
        return scores.new_tensor(torch.nan)
    shape = scores.new_zeros(len(values))
    inside = shape.index_add(0, place, objects)
    beside = shape.index_add(0, place, 1 - objects)
    below = beside.cumsum(0) - beside / 2
    return _ratio((inside * below).sum(), inside.sum() * beside.sum())


class Estimate(NamedTuple):
    """A mean over images, its standard error (NaN for one), their number."""
    mean: float
    error: float
    images: int


def over_images(values: Tensor) -> Estimate:
    r"""Mean and standard error, :math:`s / \sqrt{n}`, over images.

    Several draws of one image are averaged first: they are no new images.

    Args:
        values (Tensor): (B,), or (seeds, B); NaN where undefined.

    Example:
        >>> nan = float('nan')
        >>> over_images(torch.tensor([[1., 3., nan], [3., 3., nan]]))
        Estimate(mean=2.5, error=0.5, images=2)
    """
    if values.dim() > 1:
        values = values.nanmean(dim=0)
    values = values[~values.isnan()].double()
    number = len(values)
    if not number:
        return Estimate(torch.nan, torch.nan, 0)
    error = float(values.std()) / sqrt(number) if number > 1 else torch.nan
    return Estimate(float(values.mean()), error, number)
