# Copyright (c) OpenMMLab. All rights reserved.
"""Heads trained together are the heads trained alone."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.engine.optimizers import LARS
from torch import nn

from sbam_mm.evaluation.linear_heads import (
    HeadSpec,
    cached_stream,
    train_heads,
)

pytestmark = pytest.mark.unit
CLASSES, BATCH = 3, 20


@pytest.fixture
def rows():
    """Five rows a sample, as a ViT's, of which the last tell the class."""
    generator = np.random.default_rng(0)
    labels = torch.arange(120) % CLASSES
    rows = generator.standard_normal((120, 5, 8)).astype(np.float16)
    rows[np.arange(120), 3:, labels] += 2
    return {'4cls': rows[:, :4].reshape(120, 32), 'cls': rows[:, 3],
            'avg': rows[:, 4]}, labels


def part(features, chosen):
    return {name: rows[chosen] for name, rows in features.items()}


def train(specs, rows, epochs=3, **options):
    features, labels = rows
    return train_heads(
        specs, cached_stream(part(features, slice(100)), labels[:100], BATCH),
        (part(features, slice(100, None)), labels[100:]),
        CLASSES, 5, BATCH, epochs, **options)


def test_sweep_equals_one_by_one(rows):
    specs = [
        HeadSpec(lr, pooling, optimizer, norm)
        for lr in (0.01, 0.5) for pooling in ('cls', '4cls+avg')
        for optimizer, norm in (('sgd', False), ('lars', True))
    ]
    together = train(specs, rows)
    for spec, result in zip(specs, together):
        alone, = train([spec], rows)
        assert result.curve == alone.curve
    ends = {result.curve[-1]['loss'] for result in together}
    assert len(ends) == len(specs)


def reference(optimizer, norm, rows, epochs, warm_up, lr):
    """The same training written out."""
    features, labels = rows
    torch.manual_seed(0)
    linear = nn.Linear(8, CLASSES)
    nn.init.trunc_normal_(linear.weight, std=.01)
    nn.init.zeros_(linear.bias)
    model = nn.Sequential(nn.BatchNorm1d(8, affine=False, eps=1e-6),
                          linear) if norm else linear
    step = 0
    curve = []
    for epoch in range(epochs):
        losses = []
        for chunk, truth in cached_stream(part(features, slice(100)),
                                          labels[:100], BATCH)(epoch):
            done = step - warm_up * 5
            scale = (step / (warm_up * 5) if done < 0 else .5 *
                     (1 + np.cos(np.pi * done / (5 * (epochs - warm_up)))))
            if not step:
                opt = optimizer(linear)
            for group in opt.param_groups:
                group['lr'] = lr * scale
            loss = F.cross_entropy(model(chunk['cls']), truth)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            step += 1
        curve.append(np.mean(losses))
    return curve


@pytest.mark.parametrize('name', ['sgd', 'lars'])
def test_losses_are_those_of_the_recipe(rows, name):
    def sgd(linear):
        return torch.optim.SGD(linear.parameters(), 1., momentum=.9)

    def lars(linear):
        return LARS([dict(params=[linear.weight]),
                     dict(params=[linear.bias], lars_exclude=True)],
                    1., momentum=.9)

    optimizer = dict(sgd=sgd, lars=lars)[name]
    expected = reference(optimizer, name == 'lars', rows, 4, 1, 0.3)
    found, = train([HeadSpec(0.3, 'cls', name, name == 'lars')], rows, 4,
                   warm_up=1.)
    np.testing.assert_allclose([e['loss'] for e in found.curve], expected,
                               rtol=1e-5)


def test_learns_what_is_in_the_chosen_rows(rows):
    useful, useless = train(
        [HeadSpec(0.5, 'cls'), HeadSpec(0.5, 'avg')],
        (dict(rows[0], avg=rows[0]['4cls'][:, :8]), rows[1]), 10)
    assert useful.curve[-1]['top1'] >= 80
    assert useless.curve[-1]['top1'] <= 65
    assert useful.curve[-1]['top5'] == 100  # three classes
    assert [e['epoch'] for e in useful.curve] == list(range(1, 11))


def test_every_epoch_passes_every_image_once_in_its_own_order(rows):
    features, labels = rows
    features = dict(cls=np.arange(120, dtype=np.float32).reshape(120, 1))
    stream = cached_stream(features, labels, 40)
    orders = [torch.cat([chunk['cls'][:, 0] for chunk, _ in stream(epoch)])
              for epoch in (0, 1, 0)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(120))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])


def test_step_size_does_not_depend_on_how_batches_come(rows):
    """Steps of 20 images, however the encoder delivers them."""
    features, labels = {name: torch.from_numpy(values).float()
                        for name, values in rows[0].items()}, rows[1]

    def pieces(size):
        def stream(epoch):
            for start in range(0, 100, size):
                stop = min(start + size, 100)
                yield part(features, slice(start, stop)), labels[start:stop]
        return stream

    curves = [
        train_heads([HeadSpec(0.1)], pieces(size), (
            part(rows[0], slice(100, None)), labels[100:]), CLASSES, 5,
            20, 2)[0].curve
        for size in (7, 20, 64)
    ]
    assert curves[0] == curves[1] == curves[2]
    with pytest.raises(ValueError, match='had 5 steps of 20 images where 6'):
        train_heads([HeadSpec(0.1)], pieces(7), (rows[0], labels), CLASSES,
                    6, 20, 1)
