# Copyright (c) OpenMMLab. All rights reserved.
"""Trainings of a few steps that every method must pass."""
import torch
from mmengine.logging import MessageHub

from sbam_mm.masking import TokenMask


def mask_of(counts, thrown=0):
    """Random masks of 16 tokens, with that many hidden ones per image."""
    generator = torch.Generator().manual_seed(1)
    masked = torch.zeros(len(counts), 16, dtype=torch.bool)
    lost = torch.zeros_like(masked)
    for row, out, count in zip(masked, lost, counts):
        order = torch.randperm(16, generator=generator)
        row[order[:count]] = True
        out[order[count:count + thrown]] = True
    return TokenMask(masked, lost if thrown else None)


def step(model, optimizer, inputs):
    """One step of the optimizer; the sum of the losses is finite."""
    optimizer.zero_grad()
    loss, _ = model.parse_losses(model.loss(inputs))
    loss.backward()
    optimizer.step()
    assert loss.isfinite()


def every_parameter_learns(model, inputs):
    """After two steps all but frozen parameters have a finite gradient."""
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad])
    for _ in range(2):
        step(model, optimizer, inputs)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
        else:
            assert parameter.grad is None, name


def two_halves_equal_the_whole(start, inputs, path):
    """Everything that a training goes on from is in the state dict.

    Args:
        start (Callable): Model from a seed.
        inputs (Tensor or list): For every step.
        path (Path): Of the checkpoint.
    """

    def train(model, steps):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for number in steps:
            MessageHub.get_current_instance().update_info('iter', number)
            torch.manual_seed(number)
            step(model, optimizer, inputs)
        return model.state_dict()

    whole = train(start(0), range(4))
    torch.save(train(start(0), range(2)), path)
    resumed = start(7)
    resumed.load_state_dict(torch.load(path))
    found = train(resumed, range(2, 4))
    for name, value in whole.items():
        assert torch.equal(found[name], value), name
