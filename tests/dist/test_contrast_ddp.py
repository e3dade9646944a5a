# Copyright (c) OpenMMLab. All rights reserved.
"""InfoNCE on two processes is that of one process with the global batch."""
import pytest
import torch
from two_processes import run_two
from torch import nn

from sbam_mm.models.heads import InfoNCEHead

HALF = 3


class Predictor(nn.Module):
    """Without batch statistics, which gloo does not share on the CPU."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        return (self.fc(x[0]), )


class Model(nn.Module):
    """A projector and the head on top."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.projector = nn.Linear(8, 6)
        self.head = InfoNCEHead(Predictor(), temperature=0.2)

    def forward(self, images, target):
        return self.head.loss(self.projector(images), target)


def batch():
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(2 * HALF, 8, generator=generator),
            torch.randn(2 * HALF, 6, generator=generator))


def half(rank):
    model = Model()
    part = slice(HALF * rank, HALF * (rank + 1))
    wrapped = nn.parallel.DistributedDataParallel(model)
    loss = wrapped(*(t[part] for t in batch()))
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    return loss.detach(), grads


@pytest.mark.dist
def test_two_processes_equal_one(tmp_path):
    model = Model()
    loss = model(*batch())
    loss.backward()

    results = run_two(half, tmp_path)
    mean = (results[0][0] + results[1][0]) / 2
    torch.testing.assert_close(mean, loss.detach())
    for _, grads in results:
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(grads[name], parameter.grad)
