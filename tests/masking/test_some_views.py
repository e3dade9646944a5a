# Copyright (c) OpenMMLab. All rights reserved.
"""Masks on some views, and iBOT's rectangles that stop short."""
import pytest
import torch

from sbam_mm.masking import (
    BlockSelection,
    IBOTMasker,
    MaskingContext,
    MaskSomeViews,
    RandomMasker,
)

pytestmark = pytest.mark.unit


def context(count=400, side=14):
    return MaskingContext(torch.zeros(count, side * side, 1), (side, side))


def test_chosen_views_are_masked_as_ever():
    inner = RandomMasker(ratio=0.3)
    noise = torch.rand(400, 196)
    draws = torch.rand(400)
    plain = inner(context(), noise)
    mask = MaskSomeViews(inner, 0.25)(context(), noise, draws)
    chosen = draws <= 0.25
    assert torch.equal(mask.masked[chosen], plain.masked[chosen])
    assert not mask.masked[~chosen].any()
    assert torch.equal(mask.ratio, plain.ratio * chosen)
    assert not MaskSomeViews(inner).uniform
    assert MaskSomeViews(inner, 1.).uniform
    with pytest.raises(ValueError, match='iBOT uses 0.5'):
        MaskSomeViews(inner, 0.)


def test_ibot_draws_ratios_and_rectangles():
    torch.manual_seed(0)
    mask = IBOTMasker()(context())
    counts = mask.masked.sum(1)
    whole = counts == 0
    assert 160 < whole.sum() < 240
    # Never above the ratio drawn, mostly at it, sometimes short of it.
    wanted = (mask.ratio * 196 + 1e-3).floor()
    assert (counts <= wanted).all()
    short = (counts < wanted - 1)[~whole].float().mean()
    assert 0 < short < 0.3
    ratios = mask.ratio[~whole]
    assert ratios.min() > 0.1 and ratios.max() < 0.5
    assert abs(ratios.mean() - 0.3) < 0.03


def test_complete_blocks_keep_the_count():
    scores = torch.zeros(20, 196)
    for complete in (True, False):
        selection = BlockSelection(min_area=None, complete=complete)
        torch.manual_seed(1)
        counts = selection(scores, 150, context(20)).masked.sum(1)
        assert (counts == 46).all() == complete
        assert (counts <= 46).all()
        assert selection.uniform == complete
