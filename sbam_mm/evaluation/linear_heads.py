# Copyright (c) OpenMMLab. All rights reserved.
"""Many linear classifiers on the same frozen features, in one pass."""
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_dist_info, get_world_size
from mmpretrain.engine.optimizers import LARS
from torch import Tensor, nn

from sbam_mm.errors import UserError

from .features import Features, pool
from .processes import local_batches, local_chunks

Batches = Iterator[tuple[Features, Tensor]]
# Features (b, D) by name and labels (b,) of an epoch, shuffled; of several
# processes each has its own share of every step.
Stream = Callable[[int], Batches]


@dataclass(frozen=True)
class HeadSpec:
    """One linear classifier, by "sgd", or "lars" without adapting the bias.

    With ``batch_norm`` features are normalised first, not affinely.
    """
    lr: float
    pooling: str = 'cls'
    optimizer: str = 'sgd'
    batch_norm: bool = False


@dataclass
class HeadResult:
    """The ``curve`` of one classifier.

    Of each epoch: epoch, mean training loss, top-1 and top-5 on the test
    images in per cent.
    """
    spec: HeadSpec
    curve: list[dict[str, float]] = field(default_factory=list)


def train_heads(specs: Sequence[HeadSpec],
                train: Stream,
                test: tuple[Mapping[str, np.ndarray], Tensor],
                num_classes: int,
                steps: int,
                batch: int,
                epochs: int,
                warm_up: float = 0.,
                seed: int = 0,
                device: str = 'cpu') -> list[HeadResult]:
    """Train classifiers together; each as if it were trained alone.

    They share features and order but no parameter, and all start from the
    same draw, so one pass over the data gives a whole sweep. Momentum 0.9,
    no weight decay, cross entropy; the learning rate rises linearly over
    ``warm_up`` epochs and falls with a half cosine to 0, step by step.

    Several processes share the images of a step and sum their gradients, and
    batch norm sees all of them: the heads are those of one process.

    Source: He et al., *MAE*, CVPR 2022, appendix A.1 (LARS, batch norm);
    Caron et al., *DINO*, ICCV 2021 (SGD); Zhou et al., *iBOT*, ICLR 2022
    (the sweep).

    Args:
        train (Callable): Epoch number -> batches of features (b, D) by name
            and labels (b,), of any size, which are cut and joined to this
            process's share of steps of ``batch`` images.
        test (tuple): Features (M, D) by name, and labels (M,).
        warm_up (float): In epochs.

    Raises:
        UserError: If the stream has other than ``steps`` steps, or a step
            has fewer images than there are processes.
    """
    rank, world = get_dist_info()
    if batch < world:
        raise UserError(f'{world} processes cannot share a step of {batch} '
                        f'images; start at most {batch}.')
    share = len(range(rank, batch, world))
    one = {name: torch.as_tensor(np.asarray(rows[:1]))
           for name, rows in test[0].items()}
    heads = [_head(spec, pool(one, spec.pooling).shape[1], num_classes,
                   seed).to(device) for spec in specs]
    optimizers = [_optimizer(spec, head) for spec, head in zip(specs, heads)]
    results = [HeadResult(spec) for spec in specs]
    total = steps * epochs
    step = 0
    for epoch in range(epochs):
        losses = torch.zeros(len(heads), device=device)
        for head in heads:
            head.train()
        for features, labels in _steps(train(epoch), share):
            features = {name: rows.to(device)
                        for name, rows in features.items()}
            labels = labels.to(device)
            factor = _factor(step, total, warm_up * steps)
            for i, (spec, head, optimizer) in enumerate(
                    zip(specs, heads, optimizers)):
                for group in optimizer.param_groups:
                    group['lr'] = spec.lr * factor
                loss = F.cross_entropy(
                    head(pool(features, spec.pooling)), labels,
                    reduction='sum') / batch
                optimizer.zero_grad()
                loss.backward()
                for parameter in head.parameters():
                    all_reduce(parameter.grad)  # type: ignore[arg-type]
                optimizer.step()
                losses[i] += loss.detach()
            step += 1
        if step != (epoch + 1) * steps:
            raise UserError(
                f'an epoch had {step - epoch * steps} steps of {batch} '
                f'images where {steps} were expected; give a batch size that '
                'the training images fill.')
        all_reduce(losses)
        scores = accuracies(specs, heads, test, device)
        for result, loss, score in zip(results, (losses / steps).tolist(),
                                       scores):
            result.curve.append(
                dict(epoch=epoch + 1, loss=loss, top1=score[0],
                     top5=score[1]))
    return results


def cached_stream(features: Mapping[str, np.ndarray], labels: Tensor,
                  batch: int, seed: int = 0) -> Stream:
    """Steps of stored features (N, D), in another order every epoch."""

    def epoch_batches(epoch: int) -> Batches:
        for chosen in local_batches(len(labels), batch, seed, epoch):
            yield ({name: torch.from_numpy(rows[chosen]).float()
                    for name, rows in features.items()},
                   labels[torch.from_numpy(chosen)])

    return epoch_batches


@torch.no_grad()
def accuracies(specs: Sequence[HeadSpec], heads: Sequence[nn.Module],
               test: tuple[Mapping[str, np.ndarray], Tensor],
               device: str = 'cpu') -> list[tuple[float, float]]:
    """Top-1 and top-5 of each head in per cent; processes share the images."""
    features, labels = test
    right = torch.zeros(len(heads), 2, dtype=torch.int64)
    for head in heads:
        head.eval()
    for chunk in local_chunks(len(labels), 1024):
        chosen = slice(chunk.start, chunk.stop)
        found = {name: torch.from_numpy(np.array(rows[chosen])).float().to(
            device) for name, rows in features.items()}
        truth = labels[chosen].to(device)
        for spec, head, count in zip(specs, heads, right):
            logits = head(pool(found, spec.pooling))
            best = logits.topk(min(5, logits.shape[1])).indices
            hit = best == truth[:, None]
            count[0] += int(hit[:, 0].sum())
            count[1] += int(hit.any(1).sum())
    all_reduce(right)
    return [(100 * one / len(labels), 100 * five / len(labels))
            for one, five in right.tolist()]


class SharedBatchNorm(nn.BatchNorm1d):
    """Batch norm over the images of all processes, for frozen features.

    ``nn.SyncBatchNorm`` needs GPUs. This works everywhere, but passes no
    gradient on through the statistics: what is normalised is not trained.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        if not self.training or get_world_size() == 1:
            return super().forward(rows)
        with torch.no_grad():
            sums = torch.cat([rows.sum(0), rows.new_tensor([len(rows)])])
            all_reduce(sums)
            count, centre = sums[-1], sums[:-1] / sums[-1]
            # From the centre, as squares of large numbers lose digits.
            squares = (rows - centre).square().sum(0)
            all_reduce(squares)
            share: Any = self.momentum
            for kept, new in ((self.running_mean, centre),
                              (self.running_var, squares / (count - 1))):
                kept.lerp_(new, share)  # type: ignore[union-attr]
        return (rows - centre) / (squares / count + self.eps).sqrt()


def _head(spec: HeadSpec, width: int, num_classes: int,
          seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(linear.weight, std=.01)
        nn.init.zeros_(linear.bias)
    if not spec.batch_norm:
        return linear
    return nn.Sequential(
        SharedBatchNorm(width, affine=False, eps=1e-6), linear)


def _optimizer(spec: HeadSpec, head: nn.Module) -> torch.optim.Optimizer:
    if spec.optimizer == 'sgd':
        return torch.optim.SGD(head.parameters(), spec.lr, momentum=.9)
    if spec.optimizer != 'lars':
        raise UserError(f'optimizer {spec.optimizer!r} is unknown; choose '
                        '"sgd" or "lars".')
    matrices = [p for p in head.parameters() if p.ndim > 1]
    vectors = [p for p in head.parameters() if p.ndim <= 1]
    return LARS([dict(params=matrices),
                 dict(params=vectors, lars_exclude=True)],
                spec.lr, momentum=.9)


def _factor(step: int, total: int, warm_up: float) -> float:
    if step < warm_up:
        return step / warm_up
    return .5 * (1 + math.cos(
        math.pi * (step - warm_up) / max(total - warm_up, 1)))


def _steps(batches: Batches, size: int) -> Batches:
    """Cut and join batches to ``size`` images; the rest is dropped."""
    held: list[tuple[Features, Tensor]] = []
    lack = size
    for features, labels in batches:
        while len(labels):
            held.append(({name: rows[:lack] for name, rows in features.items()
                          }, labels[:lack]))
            features = {name: rows[lack:] for name, rows in features.items()}
            labels = labels[lack:]
            lack -= len(held[-1][1])
            if not lack:
                yield ({name: torch.cat([part[name] for part, _ in held])
                        for name in features},
                       torch.cat([part for _, part in held]))
                held, lack = [], size
