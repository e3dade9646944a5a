# Copyright (c) OpenMMLab. All rights reserved.
"""A curriculum: the lowest scores at first, the highest in the end."""
import pytest
import torch

from sbam_mm.masking import (
    AdaptiveRatio,
    CurriculumMasker,
    EasyToHard,
    HPMMasker,
    MaskingContext,
    RandomMasker,
    ScheduledRatio,
    SoftToHard,
)

pytestmark = pytest.mark.unit
SCORES = torch.linspace(0, 1, 100).expand(200, 100)


def at(progress, scores=SCORES):
    return MaskingContext(
        torch.zeros(len(scores), 100, 2), (10, 10), progress=progress,
        providers=dict(predicted_loss=lambda: scores))


class Known(torch.nn.Module):
    def forward(self, context):
        return SCORES


@pytest.mark.parametrize('progress, low, high', [
    (0., 1, 0), (.25, .5, 0), (.5, 0, 0), (.75, 0, .5), (1., 0, 1)])
def test_from_the_easiest_over_random_to_the_hardest(progress, low, high):
    """With shares of 1 at both ends the whole mask goes by the scores."""
    masker = CurriculumMasker(0.4, -1., 1., salience=Known())
    masked = masker(at(progress)).masked
    assert (masked.sum(1) == 40).all()
    assert masked[:, :round(40 * low)].all()
    assert masked[:, 100 - round(40 * high):].all()
    if not low and not high:
        noise = torch.rand(200, 100)
        assert torch.equal(masker(at(progress), noise).masked,
                           RandomMasker(0.4)(at(progress), noise).masked)


def test_mean_score_of_what_is_hidden_grows():
    means = [
        SCORES[CurriculumMasker(0.4, salience=Known())(at(t)).masked].mean()
        for t in (0., .25, .5, .75, 1.)]
    assert all(b - a > .05 for a, b in zip(means, means[1:]))


def test_it_is_hpms_selection():
    """One mechanism: from 0, with predicted losses, it is HPM's masker."""
    noise, scores = torch.rand(200, 100), torch.rand(200, 100)
    for progress in (0., .3, 1.):
        context = at(progress, scores)
        one = CurriculumMasker(
            0.75, 0., 0.5, salience=dict(type='sbam_mm.PredictedLoss'))
        assert torch.equal(one(context, noise).masked,
                           HPMMasker()(context, noise).masked)


def test_power_bends_both_schedules():
    masker = CurriculumMasker((0.5, 0.9), -1., 1., power=2., salience=Known())
    assert isinstance(masker.ratio, ScheduledRatio)
    straight = CurriculumMasker((0.5, 0.9), -1., 1., salience=Known())
    noise = torch.rand(200, 100)
    for t in (0., .5, 1.):
        assert torch.equal(masker(at(t), noise).masked,
                           straight(at(t * t), noise).masked)
    assert masker(at(.5)).num_visible == 40  # 0.5 + 0.25 * 0.4 are hidden
    soft = SoftToHard(soft=(1., 0.), hard=(0., 0.), power=2.)
    drawn = torch.rand(200, 100)
    assert torch.equal(
        soft(SCORES, 60, at(.5), noise, drawn).masked,
        SoftToHard(soft=(1., 0.), hard=(0., 0.))(
            SCORES, 60, at(.25), noise, drawn).masked)


def test_any_ratio():
    masker = CurriculumMasker(AdaptiveRatio(0.5, 0.2, 0.6), salience=Known())
    mask = masker(at(1.))
    assert (mask.visible_counts == 54).all()  # 0.3 + 0.4 * 0.4 are hidden
    built = CurriculumMasker(dict(type='sbam_mm.RandomRatio', scope='batch'))
    assert built.uniform and built.ratio.ratio == 0.75
    assert not masker.uniform


@pytest.mark.parametrize('make, words', [
    (lambda: CurriculumMasker(start=-1.5), 'hard holds two shares'),
    (lambda: EasyToHard(end=-2.), r'in \[-1, 1\]'),
    (lambda: SoftToHard(soft=(-.1, 0.)), r'in \[0, 1\]'),
    (lambda: CurriculumMasker(power=0.), 'power bends a schedule'),
    (lambda: ScheduledRatio(power=-1.), 'power bends a schedule'),
    (lambda: CurriculumMasker((0.5, 1.)), 'share in'),
])
def test_bad_input_gets_a_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
