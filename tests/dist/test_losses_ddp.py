# Copyright (c) OpenMMLab. All rights reserved.
"""Two processes with halves of a batch have one process's losses."""
import pytest
import torch
from two_processes import run_two

from sbam_mm.models.losses import (
    masked_mean,
    ranking_loss,
    sinkhorn_knopp,
    standardize,
)

pytestmark = pytest.mark.dist


def absolute(predicted, losses, masked, reduction):
    error = predicted - standardize(losses, masked)
    return masked_mean(error.square(), masked, reduction)


CASES = [(loss, reduction) for loss in (ranking_loss, absolute)
         for reduction in ('token', 'sample')]


def batch():
    """Four images whose masked counts and hence pairs differ."""
    generator = torch.Generator().manual_seed(0)
    predicted, losses, draws = torch.rand(3, 4, 16, generator=generator)
    masked = draws < torch.tensor([.9, .7, .3, .4])[:, None]
    return predicted, losses, masked


def half(rank):
    part = slice(2 * rank, 2 * rank + 2)
    predicted, losses, masked = (x[part] for x in batch())
    out = []
    for loss, reduction in CASES:
        p = predicted.clone().requires_grad_()
        value = loss(p, losses, masked, reduction)
        value.backward()
        out.append((value.detach(), p.grad))
    # DINOv2's targets, of two samples here and ten there.
    return out, sinkhorn_knopp(samples()[:2] if rank == 0 else samples()[2:])


def samples():
    return 5 * torch.randn(12, 6, generator=torch.Generator().manual_seed(1))


def test_two_processes_equal_one(tmp_path):
    halves, balanced = zip(*run_two(half, tmp_path))
    torch.testing.assert_close(
        torch.cat(balanced), sinkhorn_knopp(samples()))
    for (loss, reduction), first, second in zip(CASES, *halves):
        predicted, losses, masked = batch()
        predicted.requires_grad_()
        value = loss(predicted, losses, masked, reduction)
        value.backward()
        torch.testing.assert_close((first[0] + second[0]) / 2, value.detach())
        # DDP averages gradients over the two ranks.
        torch.testing.assert_close(
            torch.cat([first[1], second[1]]) / 2, predicted.grad)
