# Copyright (c) OpenMMLab. All rights reserved.
"""iBOT on two processes: losses, centres and weights of one process."""
import pytest
import torch
from mmengine.logging import MessageHub
from tiny_ibot import tiny_ibot
from two_processes import run_two

STEPS = 3


def build():
    # Without noise the masks depend on the images alone.
    return tiny_ibot(
        masker=dict(type='sbam_mm.SBAM', ratio=0.3, delta_r=0.2, noise=0.),
        momentum=0.5,
        end_momentum=0.5)


def views(step):
    generator = torch.Generator().manual_seed(step)
    return [
        torch.randn(4, 3, size, size, generator=generator)
        for size in (32, 32, 16)
    ]


def train(model, step_model, part, pieces=1):
    """Three steps, each of so many micro-batches."""
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    hub = MessageHub.get_current_instance()
    hub.update_info_dict(
        dict(max_iters=STEPS * pieces, accumulative_counts=pieces))
    for step in range(STEPS):
        optimizer.zero_grad()
        images = [view[part].chunk(pieces) for view in views(step)]
        sums = torch.zeros(2)
        for piece, inputs in enumerate(zip(*images)):
            hub.update_info('iter', step * pieces + piece)
            out = step_model(list(inputs), mode='loss')
            both = torch.stack([out['loss_cls'], out['loss_patch']]) / pieces
            both.sum().backward()
            sums += both.detach()
        optimizer.step()
        losses.append(sums.tolist())
    return ({k: v.clone() for k, v in model.state_dict().items()},
            torch.tensor(losses))


def half(rank, pieces):
    model = build()
    # Centres agree because they are averaged, not because they are sent.
    wrapped = torch.nn.parallel.DistributedDataParallel(
        model, broadcast_buffers=False, gradient_as_bucket_view=True)
    return train(model, wrapped, slice(2 * rank, 2 * rank + 2), pieces)


@pytest.mark.dist
@pytest.mark.parametrize('pieces', [1, 2])
def test_two_processes_equal_one(tmp_path, pieces):
    model = build()
    weights, losses = train(model, model, slice(None))
    (first, losses0), (second, losses1) = run_two(half, tmp_path, pieces)
    assert not torch.equal(losses0, losses1)
    torch.testing.assert_close((losses0 + losses1) / 2, losses)
    assert weights['patch_loss.centre.value'].abs().max() > 1e-3
    for name, value in weights.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
