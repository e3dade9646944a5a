# Copyright (c) OpenMMLab. All rights reserved.
"""Many linear classifiers on the same frozen features, in one pass."""
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.engine.optimizers import LARS
from torch import Tensor, nn

from .pooling import pool

Batches = Iterator[Tuple[Tensor, Tensor]]
# Rows of features (b, R, D) and labels (b,) of an epoch, shuffled.
Stream = Callable[[int], Batches]


@dataclass(frozen=True)
class HeadSpec:
    """One linear classifier.

    Args:
        lr (float): Learning rate, not of a batch of 256 but as used.
        pooling (str): A key of :data:`sbam_mm.evaluation.pooling.POOLINGS`.
            Defaults to "cls".
        optimizer (str): "sgd", or "lars" without adaptation of the bias.
            Defaults to "sgd".
        batch_norm (bool): Normalise features first, without affine
            parameters. Defaults to False.
    """
    lr: float
    pooling: str = 'cls'
    optimizer: str = 'sgd'
    batch_norm: bool = False


@dataclass
class HeadResult:
    """What became of one classifier.

    Args:
        spec (HeadSpec): What it was.
        curve (list[dict]): Of each epoch: epoch, mean training loss, top-1
            and top-5 on the test images in per cent.
    """
    spec: HeadSpec
    curve: List[Dict[str, float]] = field(default_factory=list)


def train_heads(specs: Sequence[HeadSpec],
                train: Stream,
                test: Tuple[Any, Tensor],
                num_classes: int,
                steps: int,
                batch: int,
                epochs: int,
                warm_up: float = 0.,
                seed: int = 0,
                device: str = 'cpu') -> List[HeadResult]:
    """Train classifiers together; each as if it were trained alone.

    They share features and order but no parameter, and all start from the
    same draw, so one pass over the data gives a whole sweep. Momentum 0.9,
    no weight decay, cross entropy; the learning rate rises linearly over
    ``warm_up`` epochs and falls with a half cosine to 0, step by step.

    Source: He et al., *MAE*, CVPR 2022, appendix A.1 (LARS, batch norm);
    Caron et al., *DINO*, ICCV 2021 (SGD); Zhou et al., *iBOT*, ICLR 2022
    (the sweep).

    Args:
        specs (Sequence[HeadSpec]): The classifiers.
        train (Callable): Epoch number -> batches of rows (b, R, D) and
            labels (b,), of any size, from which steps of ``batch`` images
            are made; what is left over is dropped.
        test (tuple): Rows (M, R, D), an array that may be mapped from disk,
            and labels (M,).
        num_classes (int): Outputs.
        steps (int): Steps of an epoch.
        batch (int): Images of a step.
        epochs (int): How often the data is passed.
        warm_up (float): In epochs. Defaults to 0.
        seed (int): Of the initial weights. Defaults to 0.
        device (str): Defaults to "cpu".

    Returns:
        list[HeadResult]: In the order of the specs.

    Raises:
        ValueError: If a loss is not finite for all classifiers, or the
            stream has fewer images than a step.
    """
    rows = torch.as_tensor(np.asarray(test[0][:1]))
    heads = [_head(spec, rows, num_classes, seed).to(device)
             for spec in specs]
    optimizers = [_optimizer(spec, head) for spec, head in zip(specs, heads)]
    results = [HeadResult(spec) for spec in specs]
    total = steps * epochs
    step = 0
    for epoch in range(epochs):
        losses = torch.zeros(len(heads), device=device)
        for head in heads:
            head.train()
        for features, labels in _steps(train(epoch), batch):
            features, labels = features.to(device), labels.to(device)
            factor = _factor(step, total, warm_up * steps)
            for i, (spec, head, optimizer) in enumerate(
                    zip(specs, heads, optimizers)):
                for group in optimizer.param_groups:
                    group['lr'] = spec.lr * factor
                loss = F.cross_entropy(
                    head(pool(features, spec.pooling)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses[i] += loss.detach()
            step += 1
        if step != (epoch + 1) * steps:
            raise ValueError(
                f'an epoch had {step - epoch * steps} steps of {batch} '
                f'images where {steps} were expected; give a batch size that '
                'the training images fill.')
        scores = accuracies(specs, heads, test, device)
        for result, loss, score in zip(results, (losses / steps).tolist(),
                                       scores):
            result.curve.append(
                dict(epoch=epoch + 1, loss=loss, top1=score[0],
                     top5=score[1]))
    return results


def cached_stream(features: np.ndarray, labels: Tensor, batch: int,
                  seed: int = 0) -> Stream:
    """Batches of stored features, in another order every epoch.

    Args:
        features (np.ndarray): (N, R, D), may be mapped from disk.
        labels (Tensor): (N,).
        batch (int): Images at a time.
        seed (int): Of the order. Defaults to 0.
    """

    def epoch_batches(epoch: int) -> Batches:
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        for start in range(0, len(order), batch):
            # Ascending, as a disk likes it.
            chosen = np.sort(order[start:start + batch])
            yield (torch.from_numpy(features[chosen]).float(),
                   labels[torch.from_numpy(chosen)])

    return epoch_batches


@torch.no_grad()
def accuracies(specs: Sequence[HeadSpec], heads: Sequence[nn.Module],
               test: Tuple[Any, Tensor],
               device: str = 'cpu') -> List[Tuple[float, float]]:
    """Top-1 and top-5 of each head in per cent.

    Args:
        specs (Sequence[HeadSpec]): Tell how to pool.
        heads (Sequence[nn.Module]): The classifiers; set to evaluation mode.
        test (tuple): Rows (M, R, D) and labels (M,).
        device (str): Defaults to "cpu".
    """
    features, labels = test
    right = [[0, 0] for _ in heads]
    for head in heads:
        head.eval()
    for start in range(0, len(labels), 1024):
        rows = torch.from_numpy(
            np.array(features[start:start + 1024])).float().to(device)
        truth = labels[start:start + 1024].to(device)
        for spec, head, count in zip(specs, heads, right):
            logits = head(pool(rows, spec.pooling))
            best = logits.topk(min(5, logits.shape[1])).indices
            hit = best == truth[:, None]
            count[0] += int(hit[:, 0].sum())
            count[1] += int(hit.any(1).sum())
    return [(100 * one / len(labels), 100 * five / len(labels))
            for one, five in right]


def _head(spec: HeadSpec, rows: Tensor, num_classes: int,
          seed: int) -> nn.Module:
    width = pool(rows, spec.pooling).shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = nn.Linear(width, num_classes)
        nn.init.trunc_normal_(linear.weight, std=.01)
        nn.init.zeros_(linear.bias)
    if not spec.batch_norm:
        return linear
    return nn.Sequential(
        nn.BatchNorm1d(width, affine=False, eps=1e-6), linear)


def _optimizer(spec: HeadSpec, head: nn.Module) -> torch.optim.Optimizer:
    if spec.optimizer == 'sgd':
        return torch.optim.SGD(head.parameters(), spec.lr, momentum=.9)
    if spec.optimizer != 'lars':
        raise ValueError(f'optimizer {spec.optimizer!r} is unknown; choose '
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
    rows: List[Tensor] = []
    labels: List[Tensor] = []
    held = 0
    for features, classes in batches:
        while len(features):
            want = size - held
            rows.append(features[:want])
            labels.append(classes[:want])
            held += len(rows[-1])
            features, classes = features[want:], classes[want:]
            if held == size:
                yield torch.cat(rows), torch.cat(labels)
                rows, labels, held = [], [], 0
