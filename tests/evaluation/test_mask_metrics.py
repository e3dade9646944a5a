# Copyright (c) OpenMMLab. All rights reserved.
"""Metrics of masks, on masks and objects counted by hand."""
import json
import math

import pytest
import torch

from sbam_mm.evaluation import mask_metrics as package_function
from sbam_mm.evaluation import over_images, results
from sbam_mm.evaluation.mask_metrics import METRICS, mask_metrics
from sbam_mm.masking import TokenMask

pytestmark = pytest.mark.unit

# A 2 x 4 grid: two tokens inside the object, two on its boundary.
COVER = torch.tensor([[1., .5, 0., 0., 1., .25, 0., 0.]])
MASK = torch.tensor([[1, 1, 1, 0, 1, 0, 0, 0]]).bool()
SCORES = torch.tensor([[.2, 1., .05, 0., .4, .6, .3, 0.]])


def values(found):
    return {name: value.tolist() for name, value in found.items()}


def test_by_hand():
    found = mask_metrics(TokenMask(MASK, scores=SCORES), COVER)
    assert set(found) == set(METRICS)
    assert {name: value.item() for name, value in found.items()
            } == pytest.approx(
                dict(
                    hidden=4 / 8,
                    object_hidden=2.5 / 2.75,
                    background_hidden=1.5 / 5.25,
                    object_to_background=(2.5 / 2.75) / (1.5 / 5.25),
                    pointing=.5,  # the maximum is half on the object
                    # Of tokens 0, 1, 4 and 5; a half of what equals itself.
                    auroc=(3 + .5 * 5 + 4 + .25 * 4.375) / (2.75 * 5.25),
                    boundary_hidden=1 / 4,
                    boundary_salient=2 / 5,  # of .2, 1, .4, .6, .3
                    boundary_minus_inside=.8 - .3))
    assert package_function is mask_metrics


def test_with_a_threshold():
    found = values(
        mask_metrics(TokenMask(MASK, scores=SCORES), COVER, threshold=.5,
                     delta=.5))
    assert found['object_hidden'] == [1.]
    assert found['background_hidden'] == pytest.approx([1 / 5])
    assert found['object_to_background'] == pytest.approx([5.])
    assert found['pointing'] == [1.]
    assert found['boundary_salient'] == [1.]  # 1 and .6
    assert found['boundary_hidden'] == [1 / 4]  # not of the threshold


def test_thrown_tokens_are_hidden_too():
    thrown = torch.zeros_like(MASK)
    thrown[0, 1] = True
    apart = mask_metrics(TokenMask(MASK & ~thrown, thrown), COVER)
    together = mask_metrics(TokenMask(MASK), COVER)
    for name in ('hidden', 'object_hidden', 'background_hidden'):
        assert torch.equal(apart[name], together[name])


def test_no_salience_points_anywhere():
    """Equal scores hit as often as a random point does."""
    for scores in (None, torch.zeros(1, 8)):
        found = mask_metrics(TokenMask(MASK, scores=scores), COVER)
        assert found['pointing'].item() == pytest.approx(2.75 / 8)
        assert found['boundary_salient'].isnan()
        assert found['boundary_minus_inside'].isnan()


def test_what_has_no_meaning_is_no_number():
    cover = torch.stack([torch.zeros(8), torch.ones(8), COVER[0]])
    masked = torch.cat([MASK, MASK, torch.zeros_like(MASK)])
    found = mask_metrics(TokenMask(masked, scores=SCORES.repeat(3, 1)), cover)
    nothing, everything, visible = (
        {name: value[i].item() for name, value in found.items()}
        for i in range(3))
    assert math.isnan(nothing['object_hidden'])
    assert math.isnan(nothing['pointing'])
    assert nothing['background_hidden'] == .5
    assert math.isnan(everything['background_hidden'])
    assert everything['pointing'] == 1. and everything['object_hidden'] == .5
    assert math.isnan(visible['object_to_background'])  # 0 by 0
    assert math.isnan(visible['boundary_hidden'])
    assert visible['object_hidden'] == visible['background_hidden'] == 0.


def test_random_masks_do_not_prefer_objects():
    torch.manual_seed(0)
    masked = torch.rand(4000, 8).argsort(dim=1) < 6
    found = mask_metrics(TokenMask(masked), COVER.expand(4000, -1))
    for name in ('object_hidden', 'background_hidden'):
        assert over_images(found[name]).mean == pytest.approx(.75, abs=.01)
    assert over_images(found['boundary_hidden']).mean == pytest.approx(
        2 / 8, abs=.01)


@pytest.mark.parametrize('cover, options, words', [
    (torch.ones(1, 9), {}, 'must have the shape'),
    (torch.full((1, 8), 2.), {}, 'share of a patch in'),
    (COVER, dict(threshold=0.), 'threshold is a share'),
    (COVER, dict(threshold=1.5), 'threshold is a share'),
])
def test_bad_input(cover, options, words):
    with pytest.raises(ValueError, match=words):
        mask_metrics(TokenMask(MASK), cover, **options)


def test_draws_are_no_new_images():
    torch.manual_seed(0)
    images = torch.rand(5)
    once, twice = over_images(images), over_images(images.expand(7, -1))
    assert once == pytest.approx(twice)
    assert once.error == pytest.approx(images.std().item() / math.sqrt(5))
    one = over_images(torch.tensor([.5]))
    assert one.mean == .5 and math.isnan(one.error) and one.images == 1
    none = over_images(torch.tensor([float('nan')]))
    assert math.isnan(none.mean) and none.images == 0


def test_results_are_valid_json(tmp_path):
    data, page = results.write_results(
        tmp_path / 'new' / 'a.md', dict(x=[1., float('nan')]), 'text\n')
    assert json.loads(data.read_text()) == {'x': [1., None]}
    assert page.read_text() == 'text\n'
    assert sorted(f.name for f in page.parent.iterdir()) == ['a.json', 'a.md']
