# Copyright (c) OpenMMLab. All rights reserved.
"""InfoNCE on two processes is that of one process with the global batch."""
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
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


def half(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.set_num_threads(1)
    model = Model()
    part = slice(HALF * rank, HALF * (rank + 1))
    wrapped = nn.parallel.DistributedDataParallel(model)
    loss = wrapped(*(t[part] for t in batch()))
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    torch.save((loss.detach(), grads), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.mark.dist
def test_two_processes_equal_one(tmp_path):
    model = Model()
    loss = model(*batch())
    loss.backward()

    context = mp.get_context('fork')
    processes = [
        context.Process(target=half, args=(rank, str(tmp_path)))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0

    results = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    mean = (results[0][0] + results[1][0]) / 2
    torch.testing.assert_close(mean, loss.detach())
    for _, grads in results:
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(grads[name], parameter.grad)
