# Copyright (c) OpenMMLab. All rights reserved.
"""Ratios drawn by chance or moved over the training."""
import pytest
import torch

from sbam_mm.masking import (
    SBAM,
    FixedRatio,
    Masker,
    MaskingContext,
    NoisyTopK,
    NoSalience,
    RandomMasker,
    RandomRatio,
    RandomRatioMasker,
    ScheduledRatio,
)

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def images(batch_size=3, progress=0.):
    return MaskingContext(
        torch.randn(batch_size, 196, 8), (14, 14), progress=progress)


@pytest.mark.parametrize('rounding', ['floor', 'ceil'])
def test_per_image_ratios_fill_the_range(rounding):
    share = RandomRatio(0.6, 0.9, rounding=rounding)(torch.zeros(2000, 196))
    assert share.ratio.min() >= 0.6 and share.ratio.max() <= 0.9
    assert share.ratio.mean().item() == pytest.approx(0.75, abs=0.01)
    exact = 196 * (1 - share.ratio)
    difference = share.num_visible - exact
    low, high = (-1, 0) if rounding == 'floor' else (0, 1)
    assert (difference >= low - 1e-3).all()
    assert (difference <= high + 1e-3).all()


def test_one_ratio_per_batch():
    ratio = RandomRatio(0.6, 0.9, scope='batch')
    counts = set()
    for _ in range(10):
        share = ratio(torch.zeros(4, 196))
        assert isinstance(share.num_visible, int)
        assert len(share.ratio.unique()) == 1
        counts.add(share.num_visible)
    assert len(counts) > 5
    assert ratio.uniform and not RandomRatio().uniform


@pytest.mark.parametrize('rounding', ['floor', 'ceil'])
@pytest.mark.parametrize('percent', range(0, 100, 5))
def test_a_range_of_no_width_is_a_fixed_ratio(percent, rounding):
    """Float rounding must neither add nor lose a token: 100 (1 - 0.7)."""
    ratio = percent / 100
    for length in (1, 36, 100, 196):
        scores = torch.zeros(2, length)
        expected = FixedRatio(ratio, rounding)(scores)
        for scope in ('sample', 'batch'):
            share = RandomRatio(ratio, ratio, scope, rounding)(scores)
            assert (torch.as_tensor(share.num_visible) ==
                    expected.num_visible).all()
            torch.testing.assert_close(share.ratio, expected.ratio)


def test_draws_can_be_injected():
    draws = torch.tensor([0., 0.5, 1.])
    share = RandomRatio(0.5, 0.75)(torch.zeros(3, 16), draws=draws)
    assert share.ratio.tolist() == [0.5, 0.625, 0.75]
    assert share.num_visible.tolist() == [8, 6, 4]
    share = RandomRatio(0.5, 0.75, 'batch')(
        torch.zeros(3, 16), draws=torch.tensor(0.5))
    assert share.num_visible == 6


def test_the_control_of_sbam_has_its_range():
    """Same bounds, same rounding, no salience."""
    ours, sbam = RandomRatioMasker(), SBAM()
    assert ours.ratio.low == pytest.approx(sbam.ratio.ratio -
                                           sbam.ratio.delta_r)
    assert ours.ratio.high == pytest.approx(sbam.ratio.ratio +
                                            sbam.ratio.delta_r)
    assert ours.ratio.ratio == pytest.approx(sbam.ratio.ratio)
    assert ours.ratio.rounding == sbam.ratio.rounding
    mask = ours(images(64))
    assert len(mask.visible_counts.unique()) > 10
    assert not mask.scores.any()


def test_schedule_moves_with_the_progress():
    masker = Masker(NoSalience(), ScheduledRatio(0.5, 0.75), NoisyTopK(1.))
    counts = [masker(images(progress=p)).num_visible for p in (0., 0.5, 1.)]
    assert counts == [98, 73, 49]
    noise = torch.rand(3, 196)
    context = images(progress=1.)
    assert torch.equal(
        masker(context, noise).masked,
        RandomMasker(0.75)(context, noise).masked)


@pytest.mark.parametrize('ratio, expected', [
    (RandomRatio(0.5, 0.75), 74),
    (ScheduledRatio(0.5, 0.9), 98),
])
def test_warm_up_has_the_mean_or_the_first_ratio(ratio, expected):
    masker = Masker(NoSalience(), ratio, NoisyTopK(1.), start_epoch=1)
    mask = masker(images())
    assert abs(mask.num_visible - expected) <= 1


@pytest.mark.parametrize('make, words', [
    (lambda: RandomRatio(0.5, 1.), 'high is a masking ratio'),
    (lambda: RandomRatio(-0.1, 0.5), 'low is a masking ratio'),
    (lambda: RandomRatio(0.9, 0.5), 'swap them'),
    (lambda: RandomRatio(scope='image'), 'scope must be'),
    (lambda: RandomRatio(rounding='up'), 'rounding must be'),
    (lambda: RandomRatioMasker(0.9), 'leaves [0, 1)'),
    (lambda: ScheduledRatio(end=1.), 'end is a masking ratio'),
    (lambda: ScheduledRatio(rounding='up'), 'rounding must be'),
    (lambda: RandomRatio()(torch.zeros(2, 9), draws=torch.rand(3)),
     'one draw per ratio'),
])
def test_bad_input_gets_a_sentence(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert words in str(error.value)
