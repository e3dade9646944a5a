# Copyright (c) OpenMMLab. All rights reserved.
"""Evaluation, and how images arrive, on CUDA without a GPU."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample
from watched import (
    ROOT,
    Watch,
    faked,
    needs_cuda_build,
    running,
)

from sbam_mm.datasets import ImagesOnDevice
from sbam_mm.engine.trial_build import build_without_weights
from sbam_mm.evaluation.features import FrozenEncoder, extract_features
from sbam_mm.evaluation.knn import knn_top1
from sbam_mm.evaluation.linear_heads import HeadSpec, accuracies

pytestmark = [pytest.mark.unit, needs_cuda_build]
BATCHES = 2


@pytest.fixture
def watch():
    return Watch()


def mae():
    cfg = Config.fromfile(ROOT / 'configs/baselines/mae_vitb_400e.py')
    return faked(build_without_weights(cfg))


def images(number):
    return [dict(inputs=torch.zeros(3, 224, 224, dtype=torch.uint8),
                 data_samples=DataSample().set_gt_label(i % 3))
            for i in range(number)]


@pytest.mark.parametrize('feature', ['cls', '4cls+avg'])
def test_features(watch, feature):
    """They come back batch by batch; all in float32."""
    with running(watch, autocast=None):
        features, labels = extract_features(
            mae(), images(4 * BATCHES), feature, batch_size=4)
    assert watch.waited.total() == BATCHES, watch.waited
    assert watch.kernels == dict(efficient=12 * BATCHES)
    assert set(watch.products) == {'float32'} and not watch.wrong
    assert features.device.type == labels.device.type == 'cpu'


def test_features_in_bfloat16(watch):
    with running(watch, autocast=None):
        model = mae()
        frozen = FrozenEncoder(model.backbone, model.data_preprocessor,
                               None, batch_size=4, amp=True)
        found = [features['cls'] for features, _ in frozen.features(
            frozen.loader(images(4 * BATCHES)), ['cls'])]
    assert not watch.waited
    assert watch.kernels == dict(flash=12 * BATCHES)
    assert set(watch.products) == {'bfloat16'} and not watch.wrong
    assert {(x.device.type, x.dtype) for x in found} == {
        ('cuda', torch.float32)}


def test_knn(watch):
    """Waits: features are finite, twice; classes; accuracy of either k."""
    with running(watch, autocast=None):
        bank, queries = (torch.empty(n, 384, device='cuda')
                         for n in (3000, 900))
        labels, truth = (torch.empty(n, dtype=torch.int64, device='cuda')
                         for n in (3000, 900))
        knn_top1(bank, labels, queries, truth, k=(10, 20))
    assert watch.waited.total() == 2 + 1 + 2, watch.waited
    assert set(watch.products) == {'float32'} and not watch.wrong


def test_accuracy_of_linear_heads(watch):
    """Two copies of each chunk, and two counts of each head on it."""
    specs = [HeadSpec(0.1), HeadSpec(0.1, pooling='avg')]
    features = {name: np.zeros((2000, 16), np.float32)
                for name in ('cls', 'avg')}
    labels = torch.zeros(2000, dtype=torch.int64)
    with running(watch, autocast=None):
        heads = [faked(torch.nn.Linear(16, 5)) for _ in specs]
        accuracies(specs, heads, (features, labels), 'cuda')
    chunks = 2
    # Both poolings and the labels are copied.
    assert watch.waited.total() == chunks * (3 + 2 * 2), watch.waited
    assert not watch.wrong


class Pictures:
    """Twelve images of 32 pixels."""

    def __len__(self):
        return 12

    def prepare_data(self, index):
        return dict(img=np.zeros((32, 32, 3), np.uint8))


def test_images_on_the_device(watch):
    """A batch of crops waits for nothing, though boxes are drawn here."""
    with running(watch, autocast=None):
        dataset = ImagesOnDevice(Pictures(), scale=24, device='cuda')
        watch.clear()
        batch = dataset.__getitems__([3, 1, 4, 1, 5])['inputs']
    assert not watch.waited and not watch.wrong
    assert (batch.device.type, batch.dtype, batch.shape) == (
        'cuda', torch.uint8, (5, 3, 24, 24))
