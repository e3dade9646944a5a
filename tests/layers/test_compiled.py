# Copyright (c) OpenMMLab. All rights reserved.
"""Compiled layers: the same numbers, and compiled once for all lengths."""
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from sbam_mm.evaluation import evaluating
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.models import MaskedViT

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
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
        arch=dict(
            embed_dims=24, num_layers=12, num_heads=2,
            feedforward_channels=48),
        img_size=32, patch_size=8, drop_path_rate=.3)
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
