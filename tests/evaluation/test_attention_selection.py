# Copyright (c) OpenMMLab. All rights reserved.
"""The head that points at the objects is found, in its block."""
import math
from functools import partial

import pytest
import torch

from sbam_mm.evaluation.attention_selection import (
    HeadRecall,
    annotated_patches,
    head_scores,
    patch_recall,
    rank_heads,
    recall_of_heads,
)
from sbam_mm.masking import GPA
from sbam_mm.models.backbones.vit_attention import (
    input_tokens,
    patch_attention,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def objects():
    """Three images of one bright square each, and its patches."""
    torch.manual_seed(0)
    images = torch.rand(3, 3, 32, 32) * .2
    annotated = torch.zeros(3, 4, 4, dtype=torch.bool)
    for i, (y, x) in enumerate([(0, 0), (1, 2), (2, 1)]):
        images[i, :, 8 * y:8 * y + 16, 8 * x:8 * x + 16] += 3
        annotated[i, y:y + 2, x:x + 2] = True
    return images, annotated.flatten(1)


def attention_in(vit, images):
    return partial(patch_attention, vit, input_tokens(vit, images))


def point_at(vit, images, annotated, block, head):
    """Make one head's logits an affine function that is high on objects."""
    x = input_tokens(vit, images)
    for layer in vit.layers[:block]:
        x = layer(x)
    layer = vit.layers[block]
    tokens = layer.ln1(x)[:, 1:].flatten(0, 1)
    wanted = 2. * annotated.flatten().float()[:, None] - 1
    direction = torch.linalg.lstsq(tokens, wanted).solution[:, 0]
    width, dims = layer.attn.embed_dims, layer.attn.head_dims
    first = head * dims
    with torch.no_grad():
        weight, bias = layer.attn.qkv.weight, layer.attn.qkv.bias
        for part in (first, width + first):  # queries, keys
            weight[part:part + dims] = 0
            bias[part:part + dims] = 0
        bias[first] = 1  # every query asks the same,
        weight[width + first] = direction  # and objects answer


@pytest.mark.parametrize('block, head', [(0, 1), (1, 2)])
@pytest.mark.parametrize('own_query, queries', [
    (False, 'patches'), (True, 'all')], ids=['paper', 'code'])
def test_the_head_that_points_at_objects_is_first(tiny_mae, objects, block,
                                                  head, own_query, queries):
    images, annotated = objects
    vit = tiny_mae().eval().backbone
    point_at(vit, images, annotated, block, head)
    recall = recall_of_heads(
        attention_in(vit, images), 2, annotated, own_query=own_query,
        queries=queries)
    assert recall.shape == (2, 4, 3)
    ranked = rank_heads(recall)
    assert ranked[0][:3] == (block, head, 1.)
    # Only the sum, in which that head counts, may be as good.
    assert all(one.recall < 1 for one in ranked[1:] if one.head != 'sum')


def test_scores_are_those_gpa_masks_by(tiny_mae, objects):
    """What is ranked is what the printed config line will hide."""
    images, _ = objects
    model = tiny_mae().eval()
    tokens = model.backbone.embed(images)
    context = model.context(tokens, images)
    for head in (0, 2, 'sum'):
        masker = GPA(block=1, head=head, source='self')
        column = 3 if head == 'sum' else head
        torch.testing.assert_close(
            head_scores(attention_in(model.backbone, images), 1)[column],
            masker(context).scores)
    ask = attention_in(model.backbone, images)
    logits = ask(1, 'patches', False, False)
    order = head_scores(ask, 1)[3].argsort(dim=1)
    assert torch.equal(order, logits.mean(dim=1).argsort(dim=1))


def test_recall_by_hand():
    scores = torch.tensor([[.9, .1, .8, .2, .7], [.1, .2, .3, .4, .5]])
    annotated = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 1]]).bool()
    assert patch_recall(scores, annotated).tolist() == pytest.approx(
        [2 / 3, 1.])
    for number, wanted in ((1, [1 / 3, 1.]), (4, [2 / 3, 1.]), (5, [1., 1.])):
        assert patch_recall(scores, annotated, number).tolist() == (
            pytest.approx(wanted))
    # Heads by blocks in front.
    stacked = torch.stack([scores, -scores])
    assert patch_recall(stacked, annotated)[0].tolist() == pytest.approx(
        [2 / 3, 1.])
    assert patch_recall(stacked, annotated)[1].tolist() == pytest.approx(
        [2 / 3, 0.])
    with pytest.raises(ValueError, match='number of the 5 patches, got 6'):
        patch_recall(scores, annotated, 6)


def test_chance_is_the_annotated_share():
    torch.manual_seed(0)
    annotated = (torch.arange(16) < 4).expand(5000, -1)
    scores = torch.rand(5000, 16)
    assert patch_recall(scores, annotated).mean() == pytest.approx(
        4 / 16, abs=.01)
    assert patch_recall(scores, annotated, 12).mean() == pytest.approx(
        12 / 16, abs=.01)


def test_ranking_and_its_error():
    recall = torch.tensor([[[.2, .4], [.5, .5]], [[1., .6], [.5, .5]]])
    ranked = rank_heads(recall)
    assert [(r.block, r.head) for r in ranked] == [(1, 0), (0, 'sum'),
                                                   (1, 'sum'), (0, 0)]
    assert ranked[0].recall == pytest.approx(.8)
    assert ranked[0].error == pytest.approx(.2)  # .4 / sqrt(2) / sqrt(2)
    assert math.isnan(rank_heads(recall[..., :1])[0].error)


def test_config_lines_build_what_was_ranked():
    from sbam_mm.registry import MODELS
    for head in (2, 'sum'):
        salience, masker = (
            eval(f'dict({line})') for line in HeadRecall(
                1, head, 1., 0.).config_lines())
        masker = MODELS.build(masker['masker'])
        salience = MODELS.build(salience['salience'])
        for name in ('source', 'block', 'head', 'queries', 'softmax',
                     'own_query', 'normalize'):
            assert getattr(salience, name) == getattr(masker.salience, name)


@pytest.mark.parametrize('cover, threshold, words', [
    ([[.4, .1]], .5, "annotation of x is empty: no patch is covered to 0.5"),
    ([[1., .9]], .5, 'annotation of x is all of it'),
    ([[1., 0.]], 0., 'threshold is a share'),
])
def test_annotations_that_say_nothing(cover, threshold, words):
    with pytest.raises(ValueError, match=words):
        annotated_patches(torch.tensor(cover), threshold, ['x'])
