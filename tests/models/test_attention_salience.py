# Copyright (c) OpenMMLab. All rights reserved.
"""Attention as a salience: official scores, explicit formulae, bad input."""
from functools import partial

import golden_files
import pytest
import torch

from sbam_mm.masking import GPA, AttentionSalience, Masker, MaskingContext
from sbam_mm.masking.attention import one_head
from sbam_mm.models import MaskedViT

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('gpa_score_mask')


def teacher():
    dim = int(GOLDEN['cfg/embed_dim'])
    vit = MaskedViT(
        dict(
            embed_dims=dim,
            num_layers=2,
            num_heads=int(GOLDEN['cfg/num_heads']),
            feedforward_channels=4 * dim),
        img_size=48,
        patch_size=8,
        final_norm=False)
    state = golden_files.our_state_dict(GOLDEN)
    vit.load_state_dict(
        {name.removeprefix('backbone.'): v
         for name, v in state.items()}, strict=True)
    return vit


@pytest.mark.parametrize('case', [0, 1])
def test_score_equals_gpa(case):
    block, head = GOLDEN['block_and_head'][case].tolist()
    vit = teacher()
    received = vit.attention(
        vit.embed(GOLDEN['images']), block, 'all', softmax=False)
    raw = GOLDEN[f'raw{case}']
    torch.testing.assert_close(
        received[:, head], raw, rtol=1e-5, atol=1e-5 * raw.abs().max().item())


def test_masker_scores_as_the_official_code(tiny_mae):
    """With the class token's query and the patch's own in the sum."""
    vit = teacher()
    block, head = GOLDEN['block_and_head'][0].tolist()
    raw = GOLDEN['raw0']
    low, high = raw.aminmax(dim=1, keepdim=True)
    context = MaskingContext(
        vit.embed(GOLDEN['images']), vit.grid(GOLDEN['images']),
        providers=dict(
            attention=partial(vit.attention, vit.embed(GOLDEN['images']))))
    code, paper = (
        GPA(block=block, head=head, source='self', **options)
        for options in (dict(queries='all', own_query=True), {}))
    torch.testing.assert_close(
        code.salience(context), (raw - low) / (high - low),
        rtol=1e-4, atol=1e-5)
    logits = explicit(vit, GOLDEN['images'], block)[:, head, 1:, 1:]
    torch.testing.assert_close(
        paper.salience.unscaled(context),
        logits.sum(1) - logits.diagonal(dim1=1, dim2=2),
        rtol=1e-4, atol=1e-4 * raw.abs().max().item())


def test_the_last_head_and_all_of_them():
    received = torch.tensor([[[1., 2., 4.], [4., 1., 2.], [7., 3., 8.]]])
    assert one_head(received, 'last').tolist() == [[7., 3., 8.]]
    assert one_head(received, 'sum').tolist() == [[12., 6., 14.]]
    # -1 is all heads in the paper's Table 5, and the last one to Python.
    with pytest.warns(DeprecationWarning, match="head='sum'"):
        assert GPA(head=-1).salience.head == 'sum'
    with pytest.warns(DeprecationWarning, match="head='last'"):
        old = AttentionSalience(head=-1)
    context = MaskingContext(
        torch.zeros(1, 3, 2), (1, 3),
        providers=dict(attention=lambda *_: received))
    assert old(context)[0].tolist() == pytest.approx([.8, 0., 1.])


def explicit(vit, images, block):
    """Attention of one block as the textbook has it, (B, heads, N, N)."""
    x = vit.prepend_cls(vit.embed(images))
    for layer in vit.layers[:block]:
        x = layer(x)
    layer = vit.layers[block]
    b, n, d = x.shape
    qkv = layer.attn.qkv(layer.ln1(x)).reshape(b, n, 3, 4, d // 4)
    q, k, _ = qkv.permute(2, 0, 3, 1, 4)
    return q @ k.transpose(-1, -2) / (d // 4)**0.5


@pytest.mark.parametrize('queries', ['cls', 'all'])
@pytest.mark.parametrize('softmax', [True, False])
@pytest.mark.parametrize('block', [0, 1])
def test_equals_the_explicit_matrix(queries, softmax, block):
    vit, images = teacher(), GOLDEN['images']
    logits = explicit(vit, images, block)
    matrix = logits.softmax(-1) if softmax else logits
    rows = matrix[:, :, :1] if queries == 'cls' else matrix
    expected = rows.sum(2)[..., 1:]
    for index in (block, block - 2):
        torch.testing.assert_close(
            vit.attention(vit.embed(images), index, queries, softmax),
            expected,
            rtol=1e-4,
            atol=1e-4 * expected.abs().max().item())


def masker(**options):
    return dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AttentionSalience', **options),
        ratio=dict(type='sbam_mm.AdaptiveRatio'),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5))


@pytest.mark.parametrize('options', [
    dict(), dict(head='sum', queries='all'),
    dict(block=0, head=2, queries='all', softmax=False)
])
def test_adaptive_ratio_on_attention_trains(tiny_mae, options):
    """AMR on AttMask's and on GPA's scores, from the model's own encoder."""
    model = tiny_mae(masker(**options))
    out = model.loss(torch.rand(3, 3, 32, 32))
    out['loss'].backward()
    assert torch.isfinite(out['loss']) and 'salient_fraction' in out
    assert model.backbone.layers[1].attn.qkv.weight.grad.abs().sum() > 0


def test_masking_leaves_no_gradient_and_no_random_state_behind(tiny_mae):
    model, images = tiny_mae(masker()), torch.rand(2, 3, 32, 32)
    tokens = model.backbone.embed(images)
    noise = torch.rand(2, 16)
    context = model.context(tokens, images)
    state = torch.get_rng_state()
    first = model.masker(context, noise)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.masked, model.masker(context, noise).masked)
    assert not first.scores.requires_grad
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('make, words', [
    (lambda build: build(masker(head='max')), 'head must be'),
    (lambda build: build(masker(queries='patch')), 'queries must be'),
    (lambda build: build(masker(head=7)).loss(torch.rand(1, 3, 32, 32)),
     'heads 0 to 2'),
    (lambda build: build(masker(block=5)).loss(torch.rand(1, 3, 32, 32)),
     'blocks 0 to 1'),
])
def test_bad_input_gets_a_sentence(tiny_mae, make, words):
    with pytest.raises(ValueError, match=words):
        make(tiny_mae)


def test_a_model_without_attention_refuses_at_build_time():
    from sbam_mm.masking import FixedRatio, NoisyTopK
    from sbam_mm.models import MAEViT
    wants = Masker(AttentionSalience(), FixedRatio(), NoisyTopK())
    with pytest.raises(ValueError, match="needs 'attention'"):
        MAEViT(masker=wants)
