# Copyright (c) OpenMMLab. All rights reserved.
"""Compiled layers: the same numbers, and compiled once for all lengths."""
import pytest
import torch
import varlen_on_cpu
from mmcv.cnn import bricks
from mmpretrain.models import VisionTransformer
from torch._dynamo.testing import CompileCounter
from torch._dynamo.utils import counters

from sbam_mm.evaluation import evaluating
from sbam_mm.layers import (
    PackedLayout,
    attends_at_once,
    block,
    run_blocks,
)
from sbam_mm.layers import attention as layer_attention
from sbam_mm.layers.compiled import DropPath, compile_layers
from sbam_mm.models import MaskedBEiT, MaskedViT
from sbam_mm.models.necks import cross_decoder, regressor
from sbam_mm.packed import attention

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=12, num_heads=2, feedforward_channels=48)


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def gradients(model, images):
    model.zero_grad()
    torch.manual_seed(1)
    loss = model.loss(images)['loss']
    loss.backward()
    return loss, {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM'])
def test_equal_to_eager(tiny_mae, masker):
    images = torch.randn(3, 3, 32, 32)
    plain, compiled = tiny_mae(masker), tiny_mae(masker)
    names = list(compiled.state_dict())
    layers = compile_layers(compiled, backend='aot_eager')
    assert len(layers) == 3 and list(compiled.state_dict()) == names
    loss, grads = gradients(plain, images)
    got, got_grads = gradients(compiled, images)
    torch.testing.assert_close(got, loss, rtol=1e-6, atol=0)
    for name, want in grads.items():
        torch.testing.assert_close(
            got_grads[name], want, rtol=1e-4,
            atol=1e-5 * want.abs().max().item())


def test_packed_lengths_do_not_compile_again(tiny_mae):
    """Ten batches with other counts of tokens: one graph per kind of layer."""
    model = tiny_mae('RandomRatioMasker')
    counter = CompileCounter()
    compile_layers(model, backend=counter)
    lengths = set()
    frames = []
    for seed in range(10):
        torch.manual_seed(seed)
        out = model.loss(torch.randn(4, 3, 32, 32))
        out['loss'].backward()
        lengths.add(float(out['visible_tokens']))
        frames.append(counter.frame_count)
    assert len(lengths) > 5
    assert frames[-1] == frames[1], frames
    assert frames[-1] <= 4, frames


def test_rates_of_dropped_paths_share_a_graph():
    """Twelve layers, each with its own rate: more than dynamo's limit."""
    vit = MaskedViT(
        arch=ARCH, img_size=32, patch_size=8, drop_path_rate=.3)
    counter = CompileCounter()
    frames = []
    compile_layers(vit, backend=counter)
    for _ in range(3):
        for size in (32, 16):  # as of views of two sizes
            vit(torch.randn(2, 3, size, size))[0].sum().backward()
        frames.append(counter.frame_count)
    assert frames[0] <= 6, frames
    assert frames[-1] == frames[1], frames
    assert not torch._dynamo.utils.counters['graph_break']


def test_evaluation_compiles_nothing(tiny_mae):
    model = tiny_mae('RandomMasker')
    counter = CompileCounter()
    compile_layers(model, backend=counter)

    def step():
        model.loss(torch.randn(4, 3, 32, 32))['loss'].backward()
        return counter.frame_count

    before = [step(), step()][-1]
    with evaluating(model), torch.no_grad():
        for images in (9, 7, 3, 1):
            model.backbone(torch.randn(images, 3, 32, 32))
    assert counter.frame_count == before
    assert step() == before


@pytest.mark.parametrize('kind', [MaskedViT, MaskedBEiT, VisionTransformer])
def test_stochastic_depth(kind):
    """Two graphs, with and without; the numbers and draws of mmcv's."""
    def build():
        torch.manual_seed(0)
        return kind(arch=ARCH, img_size=32, patch_size=8, drop_path_rate=.1)

    plain, compiled = build(), build()
    names = list(compiled.state_dict()), [
        name for name, _ in compiled.named_parameters()]
    compile_layers(compiled, backend='aot_eager')
    assert names == (list(compiled.state_dict()), [
        name for name, _ in compiled.named_parameters()])
    images = torch.randn(6, 3, 32, 32)
    found = []
    for vit in (plain, compiled):
        torch.manual_seed(1)
        out = vit(images)[0]
        (out * torch.randn_like(out)).sum().backward()
        found.append([out] + [
            p.grad for p in vit.parameters() if p.grad is not None])
    for want, got in zip(*found):
        torch.testing.assert_close(
            got, want, rtol=1e-4, atol=1e-5 * want.abs().max().item())
    assert counters['stats']['unique_graphs'] == 2
    assert not counters['graph_break']
    for vit in (plain, compiled):
        vit.eval()
    torch.testing.assert_close(compiled(images)[0], plain(images)[0])


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_dropped_paths_keep_the_mean(dtype):
    torch.manual_seed(0)
    path, x = DropPath(0.1), torch.ones(40000, 2, 1, dtype=dtype)
    assert isinstance(path, bricks.DropPath) and not path.state_dict()
    out = path(x)
    assert out.dtype == dtype and torch.equal(out[:, 0], out[:, 1])
    # Six standard deviations of the share, and bfloat16's rounding of 1 / 0.9.
    share = (out[:, 0] == 0).double().mean().item()
    assert share == pytest.approx(0.1, abs=6 * (0.09 / 40000)**0.5)
    assert out.max().item() == pytest.approx(1 / 0.9, rel=4e-3)
    assert torch.equal(path.eval()(x), x)


@pytest.fixture
def varlen(monkeypatch):
    """Blocks attend by the variable-length kernel, as on a GPU."""
    varlen_on_cpu.register()
    monkeypatch.setattr(layer_attention, 'runs_varlen', lambda x, dims: True)


def blocks_of_kind(kind, with_cp):
    torch.manual_seed(0)
    made = torch.nn.ModuleList({
        'self': lambda: block.Block(block.plain_layer(24, 3)),
        'cross': lambda: cross_decoder.CrossBlock(24, 16, 3),
        'regressor': lambda: regressor.RegressorBlock(24, 16, 3),
    }[kind]() for _ in range(3))
    for one in made:
        one.with_cp = with_cp
    return made


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize('kind', ['self', 'cross', 'regressor'])
def test_packed_blocks_are_one_graph(kind, with_cp, varlen):
    """Five batches of other lengths, with the numbers of plain blocks."""
    plain, compiled = (blocks_of_kind(kind, with_cp) for _ in range(2))
    compile_layers(compiled, backend='aot_eager', fullgraph=True)
    for n in range(5):
        layout = PackedLayout(torch.rand(4, 20) < 0.3 + n / 10)
        keys = layout.rest(~layout.keep)
        options = {}
        if kind != 'self':
            memory = torch.randn(sum(keys.lengths), 16)
            options = dict(memories=[memory] * 3, keys=keys)
        x = torch.randn(sum(layout.lengths), 24)
        found = []
        for blocks in (plain, compiled):
            blocks.zero_grad()
            leaf = x.clone().requires_grad_()
            out = run_blocks(blocks, leaf, layout, **options)
            out.square().sum().backward()
            found.append([out, leaf.grad, *(
                p.grad for p in blocks.parameters())])
        for want, got in zip(*found):
            torch.testing.assert_close(
                got, want, rtol=1e-4, atol=1e-5 * want.abs().max().item())
        assert counters['stats']['unique_graphs'] == 1


def test_the_kernel_on_the_cpu_is_packed_attention(varlen, monkeypatch):
    """What the test above relies on."""
    layout = PackedLayout(torch.rand(4, 20) < 0.5)
    q, k, v = torch.randn(3, sum(layout.lengths), 2, 8).unbind()
    want = attention.packed_attention(q, k, v, layout)
    got = attention.attend_spans(q, k, v, layout.spans, layout.spans)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize('masker', ['SBAM', 'RandomRatioMasker'])
def test_images_in_the_order_they_came(masker, tiny_mae, monkeypatch):
    """With one kernel for all lengths nothing is sorted, nor changed."""
    images = torch.randn(5, 3, 32, 32)
    loss, grads = gradients(tiny_mae(masker), images)
    varlen_on_cpu.register()
    monkeypatch.setattr(layer_attention, 'runs_varlen', lambda x, dims: True)
    got, got_grads = gradients(tiny_mae(masker), images)
    torch.testing.assert_close(got, loss, rtol=1e-6, atol=0)
    for name, want in grads.items():
        torch.testing.assert_close(
            got_grads[name], want, rtol=1e-4,
            atol=1e-5 * want.abs().max().item())


def test_the_dtype_that_autocast_gives_decides():
    """Before queries are made, as they will be; only CUDA has the kernel."""
    x = torch.randn(3, 24)
    with torch.autocast('cpu', torch.bfloat16):
        assert not attention.runs_varlen(x, 8)
    assert not block.Block(block.plain_layer(24, 2)).attn.runs_varlen(x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('kind', ['self', 'cross', 'regressor'])
def test_packed_blocks_on_a_gpu(kind):
    """By the kernel itself: one graph, with the numbers of plain blocks."""
    plain, compiled = (blocks_of_kind(kind, False).cuda() for _ in range(2))
    compile_layers(compiled, fullgraph=True)
    for n in range(5):
        layout = PackedLayout(torch.rand(4, 20).cuda() < 0.3 + n / 10)
        keys = layout.rest(~layout.keep)
        options = {}
        if kind != 'self':
            memory = torch.randn(sum(keys.lengths), 16, device='cuda')
            options = dict(memories=[memory] * 3, keys=keys)
        x = torch.randn(sum(layout.lengths), 24, device='cuda')
        weights, found = torch.randn_like(x), []
        for blocks in (plain, compiled):
            blocks.zero_grad()
            leaf = x.clone().requires_grad_()
            with torch.autocast('cuda', torch.bfloat16):
                assert attends_at_once(blocks, leaf)
                out = run_blocks(blocks, leaf, layout, **options)
            (out * weights).sum().backward()
            found.append([out, leaf.grad, *(
                p.grad for p in blocks.parameters())])
        for want, got in zip(*found):
            assert (got - want).norm() <= 2e-2 * want.norm()
        assert counters['stats']['unique_graphs'] == 1
