# Copyright (c) OpenMMLab. All rights reserved.
"""Packed sequences equal a loop over single images."""
import pytest
import torch
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)

from sbam_mm.layers import (
    PackedLayout,
    packed_attention,
    run_blocks,
    sincos_position,
)
from sbam_mm.packed import layout as layouts
from sbam_mm.packed.attention import grouped_attention, runs_varlen

pytestmark = pytest.mark.unit


def keep_of(lengths, width):
    generator = torch.Generator().manual_seed(0)
    keep = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in zip(keep, lengths):
        row[torch.randperm(width, generator=generator)[:length]] = True
    return keep


LENGTHS = [[3, 7, 1, 7, 5], [4, 4, 4], [9], [1, 1, 2]]


@pytest.mark.parametrize('static', [True, False])
@pytest.mark.parametrize('lengths', [*LENGTHS, [0, 2]])
def test_kept_places_are_those_of_nonzero(lengths, static, monkeypatch):
    """With torch 2.6 and before."""
    monkeypatch.setattr(layouts, 'STATIC_NONZERO', static)
    keep = keep_of(lengths, 11)
    places = layouts.kept_places(keep, sum(lengths))
    assert torch.equal(places, keep.nonzero())
    places = layouts.kept_places(keep.flatten(), sum(lengths))
    assert torch.equal(places, keep.flatten().nonzero())


@pytest.mark.parametrize('lengths', LENGTHS)
def test_pack_and_unpack_are_inverse(lengths):
    keep = keep_of(lengths, 9)
    x = torch.randn(len(lengths), 9, 4)
    layout = PackedLayout(keep)
    packed = layout.pack(x)
    assert packed.shape == (sum(lengths), 4)
    assert layout.lengths == sorted(lengths)
    assert layout.cu_seqlens.tolist() == [
        sum(sorted(lengths)[:i]) for i in range(len(lengths) + 1)
    ]
    fill = torch.full((4, ), -1.)
    restored = layout.unpack(packed, fill)
    expected = torch.where(keep[..., None], x, fill)
    assert torch.equal(restored, expected)


def test_static_count_gives_the_same_layout():
    keep = keep_of([4, 4, 4], 9)
    static, counted = PackedLayout(keep, count=4), PackedLayout(keep)
    assert torch.equal(static.index, counted.index)
    assert static.uniform and counted.uniform


def test_gradient_of_fill_and_tokens():
    keep = keep_of([2, 3], 4)
    layout = PackedLayout(keep)
    packed = torch.randn(5, 1, requires_grad=True)
    fill = torch.zeros(1, 1, 1, requires_grad=True)
    layout.unpack(packed, fill).sum().backward()
    assert fill.grad.item() == 3  # the three empty places
    assert torch.equal(packed.grad, torch.ones(5, 1))


@pytest.mark.parametrize('lengths', LENGTHS)
def test_attention_equals_a_loop(lengths):
    lengths = sorted(lengths)
    layout = PackedLayout(keep_of(lengths, 9))
    q, k, v = (
        torch.randn(sum(lengths), 2, 8, requires_grad=True) for _ in range(3))
    out = packed_attention(q, k, v, layout)
    weight = torch.randn_like(out)
    grads = torch.autograd.grad((out * weight).sum(), (q, k, v))

    expected = []
    for q1, k1, v1 in zip(*(t.split(lengths) for t in (q, k, v))):
        attention = torch.einsum('qhd,khd->hqk', q1, k1) / 8**.5
        expected.append(
            torch.einsum('hqk,khd->qhd', attention.softmax(-1), v1))
    expected = torch.cat(expected)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    for got, want in zip(
            grads,
            torch.autograd.grad((expected * weight).sum(), (q, k, v))):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize('lengths', LENGTHS)
def test_blocks_equal_a_loop(lengths):
    torch.manual_seed(0)
    layers = torch.nn.ModuleList(
        TransformerEncoderLayer(8, 2, 16, layer_scale_init_value=0.5)
        for _ in range(2))
    keep, x = keep_of(lengths, 9), torch.randn(len(lengths), 9, 8)
    layout = PackedLayout(keep)
    out = layout.unpack(
        run_blocks(layers, layout.pack(x), layout), torch.zeros(()))
    for image, kept, got in zip(x, keep, out):
        want = image[kept][None]
        for layer in layers:
            want = layer(want)
        torch.testing.assert_close(got[kept], want[0], rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('channels', [64, 32])
def test_cuda_kernel_equals_the_fallback(channels):
    """Values and gradients, of views of one tensor as a layer makes them."""
    lengths = sorted([17, 40, 3, 61, 40])
    layout = PackedLayout(keep_of(lengths, 64).cuda())
    qkv = torch.randn(
        sum(lengths), 3, 4, channels, device='cuda', dtype=torch.bfloat16)
    weights = torch.randn_like(qkv[:, 0])
    found = []
    assert runs_varlen(qkv)
    for attend in (packed_attention, grouped_attention):
        leaf = qkv.clone().requires_grad_()
        out = attend(*leaf.unbind(1), layout, 0., layout)
        (out * weights).sum().backward()
        found.append((out.detach(), leaf.grad))
    for got, want in zip(*found):
        torch.testing.assert_close(got, want, rtol=2e-2, atol=2e-2)


def test_positions_run_row_by_row_on_any_grid():
    """A cell's embedding depends on its row and column, not on the grid."""
    wide, square = sincos_position((2, 5), 8), sincos_position((5, 5), 8)
    assert wide.shape == (1, 11, 8)
    assert torch.equal(wide[:, 0], torch.zeros(1, 8))
    torch.testing.assert_close(wide[0, 1:], square[0, 1:11])
    with pytest.raises(ValueError, match='divisible by 4'):
        sincos_position((2, 2), 6)


def test_queries_and_keys_in_different_orders_are_refused():
    """They would attend to other images without a word."""
    layout = PackedLayout(torch.tensor([[True, True], [False, True]]))
    q, k = torch.randn(3, 1, 4), torch.randn(4, 1, 4)
    with pytest.raises(ValueError, match='different orders of images'):
        packed_attention(q, k, k, layout,
                         keys=PackedLayout.whole(torch.ones(2, 2)))


def test_groups_without_queries_leave_the_gradient_of_others():
    """Keys that nothing asks get none; all others get autograd's of a loop."""
    torch.manual_seed(0)
    layout = PackedLayout(keep_of([2, 0, 3, 2], 4))
    keys = layout.beside(keep_of([1, 4, 2, 3], 4))
    q, k, v = (torch.randn(n, 2, 8, requires_grad=True) for n in (7, 10, 10))
    weights = torch.randn(7, 2, 8)
    out = grouped_attention(q, k, v, layout, 0., keys)
    got = torch.autograd.grad((out * weights).sum(), (q, k, v))
    rows, columns = (
        [slice(end - n, end) for n, end in zip(
            each.lengths, torch.tensor(each.lengths).cumsum(0).tolist())]
        for each in (layout, keys))
    want = torch.cat([
        torch.nn.functional.scaled_dot_product_attention(
            *(x.transpose(0, 1) for x in (q[a], k[b], v[b]))).transpose(0, 1)
        for a, b in zip(rows, columns)])
    torch.testing.assert_close(out, want)
    for one, other in zip(got, torch.autograd.grad(
            (want * weights).sum(), (q, k, v))):
        torch.testing.assert_close(one, other)
    assert (got[1][columns[0]] == 0).all() and (got[2][columns[0]] == 0).all()
