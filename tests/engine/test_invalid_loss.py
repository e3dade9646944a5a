# Copyright (c) OpenMMLab. All rights reserved.
"""The three causes of a broken loss that can be told apart."""
from types import SimpleNamespace

import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn

from sbam_mm.engine.hooks import InvalidLossHook


@pytest.fixture
def runner():
    return SimpleNamespace(iter=41, epoch=2, model=nn.Linear(2, 2))


def check(runner, loss, batch=None, interval=1):
    InvalidLossHook(interval).after_train_iter(runner, 0, batch,
                                               dict(loss=torch.tensor(loss)))


@pytest.mark.unit
def test_finite_loss_passes(runner):
    check(runner, 1e30)
    InvalidLossHook().after_train_iter(runner, 0, None, None)
    check(runner, float('nan'), interval=5)  # iteration 42 is not its turn
    with pytest.raises(ValueError, match='at least 1'):
        InvalidLossHook(0)


@pytest.mark.unit
def test_causes(runner):
    good = dict(inputs=torch.zeros(3, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(
            FloatingPointError,
            match=r'inf at iteration 42 \(epoch 3\): images and parameters'):
        check(runner, float('inf'), good)
    runner.model.bias.data[1] = float('nan')
    with pytest.raises(FloatingPointError, match="parameter 'bias'"):
        check(runner, float('nan'), good)
    bad = dict(inputs=torch.zeros(3, 3, 4, 4))
    bad['inputs'][1, 0, 2, 2] = float('nan')
    with pytest.raises(FloatingPointError, match='image 1 of the batch'):
        check(runner, float('nan'), bad)
    bad['data_samples'] = [
        DataSample(metainfo=dict(img_path=f'{i}.jpg')) for i in range(3)
    ]
    with pytest.raises(FloatingPointError, match='image 1.jpg of the batch'):
        check(runner, float('nan'), bad)
    for views in ([torch.zeros(3, 3, 4, 4), bad['inputs']],
                  list(bad['inputs'])):
        with pytest.raises(FloatingPointError, match='image 1.jpg'):
            check(runner, float('nan'), dict(bad, inputs=views))
