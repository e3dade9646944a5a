# Copyright (c) OpenMMLab. All rights reserved.
"""CMAE's two views lie where they are said to lie."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.datasets import PackInputs

from sbam_mm.datasets import PixelShift, RandomResizedCrop

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.unit


@pytest.fixture
def image():
    """Every pixel has its own row and column as its colours."""
    rows, columns = np.mgrid[:36, :36].astype(np.uint8)
    return np.stack([rows, columns, rows], axis=-1)


def test_offsets_cover_the_range_evenly(image):
    np.random.seed(0)
    shift = PixelShift(size=32, max_shift=4)
    offsets = []
    for _ in range(400):
        online, target = shift(dict(img=image))['img']
        assert np.array_equal(online, image[:32, :32])
        row, column = target[0, 0, :2]
        assert np.array_equal(
            target, image[row:row + 32, column:column + 32])
        offsets.append((row, column))
    counts = np.unique(offsets, axis=0, return_counts=True)[1]
    assert len(counts) == 25 and counts.min() >= 4


def test_only_the_target_is_changed(image):

    def darken(results):
        results['img'] //= 2
        return results

    shift = PixelShift(size=32, max_shift=0, target=[darken])
    before = image.copy()
    online, target = shift(dict(img=image))['img']
    assert np.array_equal(image, before)
    assert np.array_equal(online, before[:32, :32])
    assert np.array_equal(target, before[:32, :32] // 2)


def test_box_is_that_of_the_online_view():
    """What maps that follow the crop go by."""
    np.random.seed(0)
    columns = np.tile(np.linspace(0, 255, 80).astype(np.uint8), (60, 1))
    picture = np.repeat(columns[..., None], 3, axis=-1)
    crop = RandomResizedCrop(40, crop_ratio_range=(.3, .6))
    results = crop(dict(img=picture))
    left, top, right, bottom = results['crop_box']
    seen = PixelShift(size=32, max_shift=8)(results)['crop_box']
    assert seen[:2] == (left, top)
    assert seen[2] == pytest.approx(left + .8 * (right - left))
    assert seen[3] == pytest.approx(top + .8 * (bottom - top))


@pytest.mark.parametrize('shift', [5, 31])
def test_image_too_small_for_the_shift(image, shift):
    with pytest.raises(ValueError, match=f'at least {32 + shift}'):
        PixelShift(size=32, max_shift=shift)(dict(img=image))


def test_pipeline_of_the_recipe():
    """Two packed views of 224 pixels; only the second loses its colour."""
    from mmengine.registry import DefaultScope

    from sbam_mm.registry import TRANSFORMS
    cfg = Config.fromfile(ROOT / 'configs/cmae/cmae_vitb_300e.py')
    shift, pack = cfg.train_pipeline[2:]
    assert pack.type == 'PackInputs'
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        shift.target[0].prob = 0.
        shift.target[1].prob = 1.
        transform = TRANSFORMS.build(shift)
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    online, target = PackInputs()(transform(dict(img=picture)))['inputs']
    assert online.shape == target.shape == (3, 224, 224)
    assert torch.equal(target[0], target[1])
    assert not torch.equal(online[0], online[1])
