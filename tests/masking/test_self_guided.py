# Copyright (c) OpenMMLab. All rights reserved.
"""Self-guided masks: the normalised cut, the main cluster, and hints."""
import pytest
import torch

from sbam_mm.masking import (
    ClusterSalience,
    MaskingContext,
    RandomMasker,
    SelfGuidedMasker,
    TopWithHints,
)
from sbam_mm.masking.self_guided import main_cluster, second_vector
from sbam_mm.models.selfsup import MAE

pytestmark = pytest.mark.unit


def clustered(noise=0.4, seed=0):
    """Tokens (4, 64, 16) of an object of 3 x 5 tokens and its background."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.zeros(4, 8, 8, dtype=torch.bool)
    inside[:, 2:5, 1:6] = True
    tokens = noise * torch.randn(4, 8, 8, 16, generator=generator)
    tokens[..., 0] += inside
    tokens[..., 1] += ~inside
    return tokens.flatten(1, 2), inside.flatten(1)


def asking(tokens, progress=1.):
    return MaskingContext(
        torch.zeros(len(tokens), 64, 2), (8, 8), progress=progress,
        providers=dict(layer_tokens=lambda layer: tokens))


def test_the_cut_is_that_of_the_eigenvectors():
    """Power iteration against torch.linalg.eigh, in the plain definition."""
    tokens = torch.nn.functional.normalize(clustered()[0], dim=-1)
    weight = (1 + tokens @ tokens.mT) / 2
    degree = weight.sum(2).double()
    # (D - W) y = lambda D y, by the symmetric problem of D^1/2 y.
    root = degree.rsqrt()
    normal = torch.eye(64) - (
        root[:, :, None] * weight * root[:, None, :])
    values, vectors = torch.linalg.eigh(normal)
    expected = root * vectors[:, :, 1]
    assert (values[:, 0].abs() < 1e-6).all()
    got = second_vector(weight).double()
    cosine = torch.nn.functional.cosine_similarity(got, expected)
    torch.testing.assert_close(
        cosine.abs(), torch.ones(4).double(), rtol=0, atol=1e-5)
    # y is orthogonal to the trivial solution.
    assert ((got * degree).sum(1).abs() < 1e-4).all()


def test_the_main_cluster_is_the_object():
    tokens, inside = clustered(0.1)
    unit = torch.nn.functional.normalize(tokens, dim=-1)
    assert torch.equal(main_cluster(unit), inside)
    scores = ClusterSalience()(asking(tokens))
    for b in range(4):
        assert scores[b][inside[b]].min() > scores[b][~inside[b]].max()
    assert scores.amin(1).tolist() == [0.] * 4
    assert scores.amax(1).tolist() == [1.] * 4
    expected = torch.nn.functional.cosine_similarity(
        unit[:, :, None], unit[:, None], dim=-1)
    expected = (expected * inside[:, None]).sum(2)
    expected = expected - expected.amin(1, keepdim=True)
    torch.testing.assert_close(
        scores, expected / expected.amax(1, keepdim=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize('value', [0., 1., float('nan'), float('inf')])
def test_images_without_clusters_have_no_preference(value):
    tokens = clustered()[0]
    tokens[1] = value
    scores = ClusterSalience()(asking(tokens))
    assert not scores[1].any() and scores[[0, 2, 3]].any(dim=1).all()


def test_hints_are_shown_and_others_hidden_instead():
    torch.manual_seed(0)
    scores = torch.arange(100.).expand(4000, 100)
    masked = TopWithHints(0.2)(scores, 50).masked
    assert (masked.sum(1) == 50).all()
    inside = masked[:, 50:].float()
    # 10 of 50 are hints, drawn evenly, and of the 60 other tokens 10 are
    # hidden: the hints last.
    assert (inside.sum(1) >= 40).all()
    assert inside.mean(0).max() - inside.mean(0).min() < .06
    assert (masked[:, :50].sum(1) + inside.sum(1) == 50).all()
    assert masked[:, :50].float().mean(0).min() > .1
    assert TopWithHints(0.)(scores[:1], 50).masked[0, 50:].all()


def test_counts_of_each_image():
    counts = torch.tensor([10, 20, 50])
    masked = TopWithHints(0.1)(torch.rand(3, 64), counts).masked
    assert torch.equal((~masked).sum(1), counts)


def test_the_warm_up_is_random():
    tokens, inside = clustered(0.1)
    masker, noise = SelfGuidedMasker(0.25), torch.rand(4, 64)
    early = masker(asking(tokens, 0.12), noise)
    assert torch.equal(
        early.masked, RandomMasker(0.25)(asking(tokens), noise).masked)
    late = masker(asking(tokens, 0.125), noise)
    assert (late.masked & inside).sum() > 50  # of 60
    hidden = SelfGuidedMasker(0.25, hints=0., start_progress=0.)(
        asking(tokens, 0.), noise).masked
    assert (inside <= hidden).all()


def test_it_asks_the_models_own_tokens(tiny_mae):
    model = tiny_mae(dict(type='sbam_mm.SelfGuidedMasker', hints=0.,
                          start_progress=0., layer=-2))
    assert isinstance(model, MAE)
    images = torch.rand(2, 3, 32, 32)
    tokens = model.backbone.embed(images)
    context = model.context(tokens, images)
    depth = len(model.backbone.layers)
    for layer, same in ((-1, depth), (-2, depth - 1)):
        assert torch.equal(context.ask('layer_tokens', layer),
                           model.backbone.layer_tokens(tokens, same))
    mask = model.masker(context)
    for scores, masked in zip(mask.scores, mask.masked):
        assert scores[masked].min() >= scores[~masked].max()
    with pytest.raises(ValueError, match='after block -9'):
        context.ask('layer_tokens', -9)


@pytest.mark.parametrize('options, words', [
    (dict(layer=0), 'before all blocks'),
    (dict(hints=1.5), 'hints is a share'),
    (dict(start_progress=1.), 'share of the training'),
    (dict(hints=float('nan')), 'no finite number'),
])
def test_bad_input_gets_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        SelfGuidedMasker(**options)
