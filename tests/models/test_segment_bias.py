# Copyright (c) OpenMMLab. All rights reserved.
"""The segment bias equals Eqs. 4 and 5 of its paper, pair by pair."""
import pytest
import torch

from sbam_mm.layers import (
    PackedLayout,
    RecordedAttention,
    packed_attention,
)
from sbam_mm.models.backbones import MaskedViT
from sbam_mm.segments import SegmentBias, SegmentRelation, Segments
from sbam_mm.segments.flex import (
    WITH_GRADIENTS,
    SegmentBlocks,
    flex_segment_attention,
)

pytestmark = pytest.mark.unit
HEADS, DIM, WIDTH = 2, 8, 9
LENGTHS = [[3, 7, 1, 7, 5], [4, 4, 4], [9, 9]]


def layout_of(lengths):
    generator = torch.Generator().manual_seed(0)
    keep = torch.zeros(len(lengths), WIDTH, dtype=torch.bool)
    for row, length in zip(keep, lengths):
        others = 1 + torch.randperm(WIDTH - 1, generator=generator)
        row[others[:length - 1]] = True
        row[0] = True  # the class token
    return PackedLayout(keep)


def ids_of(lengths):
    """Ids of all patches: 0 = unknown, and three segments."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(
        0, 4, (len(lengths), WIDTH - 1), generator=generator).byte()


def qkv_of(lengths, **options):
    torch.manual_seed(2)
    return [
        torch.randn(sum(lengths), HEADS, DIM, **options).requires_grad_()
        for _ in range(3)
    ]


def loop_over_pairs(q, k, v, ids, layout, u_pos, u_neg):
    """The paper's two equations, token by token of image by image."""
    begin, outs = 0, []
    for length in layout.lengths:
        rows = slice(begin, begin + length)
        begin += length
        out = torch.zeros(length, HEADS, DIM, dtype=q.dtype)
        places = layout.index[rows]
        image = int(places[0]) // WIDTH
        m = [0 if place % WIDTH == 0 else int(ids[image, place % WIDTH - 1])
             for place in places.tolist()]
        for head in range(HEADS):
            logits = q[rows, head] @ k[rows, head].T
            bias = torch.zeros(length, length, dtype=q.dtype)
            for i in range(length):
                for j in range(length):
                    if m[i] and m[j]:
                        u = u_pos if m[i] == m[j] else u_neg
                        bias = bias.index_put(
                            (torch.tensor(i), torch.tensor(j)), u[head])
            alpha = ((logits + bias) / DIM**0.5).softmax(dim=-1)
            out[:, head] = alpha @ v[rows, head]
        outs.append(out)
    return torch.cat(outs)


@pytest.mark.parametrize('lengths', LENGTHS)
def test_equals_a_loop_over_pairs(lengths):
    """Dense, packed and in one image; values and all gradients."""
    layout, ids = layout_of(lengths), ids_of(lengths)
    q, k, v = qkv_of(lengths)
    bias = SegmentBias(1, HEADS, init=(.9, -.6))
    bias.u_pos.data[0, 1] = -2.  # heads differ
    relation, = bias(ids)
    wanted = (q, k, v, bias.u_pos, bias.u_neg)
    expected = loop_over_pairs(q, k, v, ids, layout, bias.u_pos[0],
                               bias.u_neg[0])
    weight = torch.randn_like(expected)
    grads = torch.autograd.grad((expected * weight).sum(), wanted)
    for attend in (relation, RecordedAttention(relation)):
        out = attend(q, k, v, layout)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
        for ours, theirs in zip(
                torch.autograd.grad((out * weight).sum(), wanted), grads):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


flex_has_gradients = pytest.mark.skipif(
    not WITH_GRADIENTS,
    reason='FlexAttention has gradients for its bias since torch 2.6')


@flex_has_gradients
@pytest.mark.parametrize('lengths', LENGTHS)
def test_flex_equals_a_loop_over_pairs(lengths):
    """Its score modification, uncompiled, and its gradients for u: all that
    FlexAttention does without CUDA."""
    layout, ids = layout_of(lengths), ids_of(lengths)
    q, k, v = (x.detach() for x in qkv_of(lengths))
    u_pos, u_neg = u = torch.randn(2, HEADS).requires_grad_()
    blocks = SegmentBlocks(Segments(ids, 5).packed(layout), layout)
    expected = loop_over_pairs(q, k, v, ids, layout, u_pos, u_neg)
    out = flex_segment_attention(q, k, v, u_pos, u_neg, blocks)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    weight = torch.randn_like(expected)
    grad, formula = (
        torch.autograd.grad((x * weight).sum(), u)[0]
        for x in (out, expected))
    assert (formula != 0).all()
    torch.testing.assert_close(grad, formula, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('kernel', ['flex', 'sdpa'])
@pytest.mark.parametrize('lengths', [[40, 197, 40, 90], [50, 50], [197, 197]])
def test_kernels_on_cuda_equal_the_formula(kernel, lengths):
    torch.manual_seed(0)
    keep = torch.zeros(len(lengths), 197, dtype=torch.bool)
    for row, length in zip(keep, lengths):
        row[:length] = True
    layout = PackedLayout(keep.cuda())
    q, k, v = torch.randn(
        3, sum(lengths), 3, 64, device='cuda', requires_grad=True)
    bias = SegmentBias(1, 3, init=(3., -2.), kernel=kernel).cuda()
    ids = torch.randint(0, 6, (len(lengths), 196), device='cuda')
    relation, = bias(ids)
    weight = torch.randn_like(q)
    results = []
    for attend in (relation, RecordedAttention(relation)):
        out = attend(q, k, v, layout)
        results.append((out, *torch.autograd.grad(
            (out * weight).sum(), (bias.u_pos, bias.u_neg))))
    for ours, formula in zip(*results):
        torch.testing.assert_close(ours, formula, rtol=1e-4, atol=1e-5)


def test_gradients_against_finite_differences():
    lengths = [3, 5, 5]
    layout, ids = layout_of(lengths), ids_of(lengths)
    q, k, v = (x.detach() for x in qkv_of(lengths, dtype=torch.float64))
    segments = Segments(ids, 5)

    weight = torch.randn_like(q)

    def value(u):
        relation = SegmentRelation(segments, u[0], u[1], False)
        return (relation(q, k, v, layout) * weight).sum()

    u = torch.randn(2, HEADS, dtype=torch.float64, requires_grad=True)
    grad, = torch.autograd.grad(value(u), u)
    for place in torch.eye(2 * HEADS, dtype=torch.float64).view(-1, 2, HEADS):
        with torch.no_grad():
            slope = (value(u + 1e-5 * place) - value(u - 1e-5 * place)) / 2e-5
        torch.testing.assert_close((grad * place).sum(), slope)


def test_fused_backend_is_taken():
    """The mask of a biased SDPA that wants a gradient would not be fused."""
    layout = layout_of([9, 9])
    q, k, v = qkv_of([9, 9])
    relation, = SegmentBias(1, HEADS)(ids_of([9, 9]))
    node, found = relation(q, k, v, layout).grad_fn, set()
    while node is not None:
        found.add(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    assert any('FlashAttention' in name for name in found), found


def test_class_token_and_unknown_get_nothing():
    relation, = SegmentBias(1, HEADS, init=(1., -1.))(
        torch.tensor([[2, 0, 2, 1]]))
    matrix = relation.matrix()
    assert matrix.shape == (1, HEADS, 5, 5)
    expected = torch.tensor([
        [0., 0., 0., 0., 0.],
        [0., 1., 0., 1., -1.],
        [0., 0., 0., 0., 0.],
        [0., 1., 0., 1., -1.],
        [0., -1., 0., -1., 1.],
    ])
    assert torch.equal(matrix[0], expected.expand(HEADS, -1, -1))


@pytest.mark.parametrize('attend', [
    lambda relation, *qkv_and_layout: relation(*qkv_and_layout),
    lambda relation, *qkv_and_layout: RecordedAttention(relation)(
        *qkv_and_layout),
    pytest.param(
        lambda relation, q, k, v, layout: flex_segment_attention(
            q, k, v, relation.u_pos, relation.u_neg,
            relation.segments.blocks(layout)), marks=flex_has_gradients),
], ids=['channels', 'recorded', 'flex'])
def test_ids_above_the_highest_are_unknown(attend):
    """In every kernel; one of them has no channel for them."""
    lengths = LENGTHS[1]
    layout, ids = layout_of(lengths), ids_of(lengths)
    q, k, v = (x.detach() for x in qkv_of(lengths))
    relation, = SegmentBias(
        1, HEADS, init=(3., -2.), max_segments=2)(ids)
    u = relation.u_pos, relation.u_neg
    expected = loop_over_pairs(
        q, k, v, torch.where(ids > 2, 0, ids), layout, *u)
    assert not torch.allclose(
        expected, loop_over_pairs(q, k, v, ids, layout, *u), atol=1e-2)
    torch.testing.assert_close(
        attend(relation, q, k, v, layout), expected, rtol=0, atol=1e-5)


def test_nothing_known_is_plain_attention():
    layout = layout_of([3, 5, 5])
    q, k, v = qkv_of([3, 5, 5])
    relation, = SegmentBias(1, HEADS, init=(4., -4.))(
        torch.zeros(3, WIDTH - 1, dtype=torch.uint8))
    torch.testing.assert_close(
        relation(q, k, v, layout),
        packed_attention(q, k, v, layout),
        rtol=0,
        atol=1e-6)


@pytest.mark.parametrize('sharing, count', [('fixed', 0), ('shared', 2),
                                            ('head', 6),
                                            ('head_and_layer', 24)])
def test_parameters_of_table_5(sharing, count):
    bias = SegmentBias(4, 3, sharing)
    assert sum(p.numel() for p in bias.parameters()) == count
    u_pos, u_neg = bias(torch.ones(1, 2))[0].u_pos, bias.u_neg
    assert u_pos.shape == (3, )
    if sharing == 'fixed':
        assert (u_pos == 1).all() and (u_neg == -1).all()
    one = SegmentBias(4, 3, sharing, relations=['positive'])
    assert sum(p.numel() for p in one.parameters()) == count // 2
    assert 'u_neg' not in one.state_dict() and not one.u_neg.any()


@pytest.mark.parametrize('options, words', [
    (dict(sharing='layer'), 'head_and_layer'),
    (dict(relations=['same']), 'positive, negative'),
    (dict(relations='positive'), "relations='positive' are .* a list of one"),
    (dict(kernel='triton'), 'sdpa, flex'),
    (dict(init=.5), 'init=0.5 does .* two numbers'),
    (dict(init=(.5, )), 'two numbers'),
    (dict(init=(.5, None)), 'two numbers'),
    (dict(max_segments=0), 'max_segments=0 leaves no segments'),
    (dict(max_segments=2.5), 'max_segments=2.5 leaves no'),
    (dict(shared=True), "'shared': True} is not .* a dict of some of shar"),
    (True, 'segment_bias=True is not .* or dict[(][)] for the defaults'),
])
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        MaskedViT(
            arch=dict(embed_dims=8, num_layers=2, num_heads=2,
                      feedforward_channels=8), segment_bias=options)
