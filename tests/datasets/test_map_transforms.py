# Copyright (c) OpenMMLab. All rights reserved.
"""Maps stay on what they were made from, through crops and flips."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import CenterCrop, Compose, RandomFlip, Resize
from mmpretrain.datasets import RandomResizedCrop as TheirCrop
from PIL import Image

from sbam_mm.datasets import (
    ImageFolder,
    ImageList,
    LoadAttentionMap,
    LoadPartMap,
    MapVersions,
    RandomResizedCrop,
    save_maps,
)
from sbam_mm.datasets.reading.stored_maps import MapInfo, MapWriter

pytestmark = pytest.mark.integration
SHAPES = [(72, 72), (60, 96), (110, 64)]
CELLS = 14
FLIP = dict(prob=[.25, .25, .25],
            direction=['horizontal', 'vertical', 'diagonal'])


@pytest.fixture
def dataset(tmp_path):
    Image.new('RGB', (8, 8)).save(tmp_path / '0.png')
    return ImageFolder(str(tmp_path))


def attention_loader(folder, dataset, stored, grid=CELLS):
    """The transform, on the map (h, w) of one image."""
    versions = MapVersions(folder / 'maps')
    info = MapInfo(stored.shape, ImageList.of(dataset), 'a test', 1)
    writer = MapWriter(versions.path(1), info)
    writer.create()
    writer.write(0, stored[None])
    versions.publish(writer)
    return LoadAttentionMap(grid, folder=str(versions.folder))


def sample(image):
    return dict(img=image, sample_idx=0, ori_shape=image.shape[:2])


def cell_means(image, cells=CELLS):
    return cv2.resize(
        image.mean(axis=2), (cells, cells), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize('shape', SHAPES)
def test_the_peak_stays_on_the_object(dataset, tmp_path, shape):
    """One bright object off the corner; the map is its brightness."""
    image = np.zeros((*shape, 3), np.float32)
    top, left = shape[0] * 5 // 8, shape[1] * 9 // 16
    image[top:top + shape[0] // 7, left:left + shape[1] // 7] = 1
    pipeline = Compose([
        RandomResizedCrop(8 * CELLS, crop_ratio_range=(.2, 1.)),
        RandomFlip(**FLIP),
        attention_loader(tmp_path, dataset, cell_means(image)),
    ])
    np.random.seed(0)
    seen, directions = 0, set()
    for _ in range(200):
        out = pipeline(sample(image))
        bright = cell_means(out['img'])
        if bright.max() < .5:
            continue
        seen += 1
        directions.add(out['flip_direction'])
        made = out['attention_map']
        row, column = np.unravel_index(made.argmax(), made.shape)
        # The stored map is coarser than the crop.
        near = bright[max(row - 1, 0):row + 2, max(column - 1, 0):column + 2]
        assert near.max() > .2
        assert np.corrcoef(made.ravel(), bright.ravel())[0, 1] > .8
    assert seen > 100 and len(directions) == 4


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('steps', [
    [RandomResizedCrop(CELLS * 8, crop_ratio_range=(.2, 1.)),
     RandomFlip(**FLIP)],
    [RandomFlip(**FLIP), RandomResizedCrop(CELLS * 8)],
    [Resize(scale=(130, 70)), RandomResizedCrop((CELLS * 8, CELLS * 8))],
    [RandomResizedCrop((90, 50), crop_ratio_range=(.4, 1.)),
     RandomFlip(**FLIP), RandomResizedCrop(CELLS * 8)],
    [Resize(scale=(CELLS * 8, CELLS * 8)), RandomFlip(**FLIP)],
], ids=['crop-flip', 'flip-crop', 'resize-crop', 'crop-flip-crop', 'whole'])
def test_a_ramp_stays_the_ramp(dataset, tmp_path, shape, steps):
    """Linear maps are interpolated exactly, so the place must be right to a
    twentieth of a stored cell."""
    rows, columns = ((np.arange(size) + .5) / size for size in shape)
    ramp = (rows[:, None] + 2 * columns).astype(np.float32)
    image = np.repeat(ramp[..., None], 3, axis=2)
    centres = (np.arange(CELLS) + .5) / CELLS
    stored = centres[:, None] + 2 * centres
    pipeline = Compose([*steps, attention_loader(tmp_path, dataset, stored)])
    np.random.seed(1)
    # Beyond the centres of its outer cells the stored map goes on flat.
    middle = slice(3, CELLS - 3)
    for _ in range(20):
        out = pipeline(sample(image))
        difference = out['attention_map'] - cell_means(out['img'])
        # The ramp rises by 2 / CELLS from one stored cell to the next.
        assert np.abs(difference[middle, middle]).max() < .1 / CELLS


@pytest.mark.parametrize('shape', SHAPES)
def test_parts_take_the_nearest_label(dataset, tmp_path, shape):
    labels = np.random.default_rng(0).integers(
        0, 255, (1, 11, 17), dtype=np.uint8)
    save_maps(tmp_path / 'parts.npy', labels, dataset, 'a test')
    # Every pixel says where it came from.
    rows, columns = ((np.arange(size) + .5) / size for size in shape)
    image = np.stack(
        np.broadcast_arrays(rows[:, None], columns, 0.), 2).astype(np.float32)
    pipeline = Compose([
        RandomResizedCrop(9 * 5, crop_ratio_range=(.2, .8)),
        RandomFlip(**FLIP),
        LoadPartMap(str(tmp_path / 'parts.npy'), grid=9),
    ])
    np.random.seed(2)
    for _ in range(30):
        out = pipeline(sample(image))
        assert out['part_map'].dtype == np.uint8
        y, x, _ = np.moveaxis(out['img'][2::5, 2::5], 2, 0)
        close = [np.abs(v * n - np.round(v * n)) < .01
                 for v, n in ((y, 11), (x, 17))]
        agree = out['part_map'] == labels[0, (y * 11).astype(int),
                                          (x * 17).astype(int)]
        assert (agree | close[0] | close[1]).all()


@pytest.mark.parametrize('shape', SHAPES)
def test_same_draws_and_pixels_as_mmpretrain(shape):
    image = np.random.default_rng(0).integers(
        0, 256, (*shape, 3), dtype=np.uint8)
    options = dict(
        scale=(32, 48), crop_ratio_range=(.2, 1.), backend='pillow',
        interpolation='bicubic')
    ours, theirs = RandomResizedCrop(**options), TheirCrop(**options)
    for seed in range(20):
        np.random.seed(seed)
        expected, state = theirs(sample(image)), np.random.random()
        np.random.seed(seed)
        made = ours(sample(image))
        assert np.random.random() == state
        np.testing.assert_array_equal(made['img'], expected['img'])
        left, top, right, bottom = (
            round(share * size)
            for share, size in zip(made['crop_box'], 2 * shape[::-1]))
        again = Image.fromarray(image[top:bottom, left:right]).resize(
            (48, 32), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(np.asarray(again), made['img'])


@pytest.mark.parametrize('steps', [
    [TheirCrop(32)],
    [Resize(scale=(64, 64)), CenterCrop(32)],
    [],
], ids=['crop', 'center-crop', 'nothing'])
def test_a_crop_without_a_box_stops(dataset, tmp_path, steps):
    """Also where crop and image have the same size."""
    loader = attention_loader(tmp_path, dataset, np.ones((CELLS, CELLS)))
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="type='sbam_mm.RandomResizedCrop'"):
        Compose([*steps, loader])(sample(image))


def test_a_grid_has_two_sides():
    with pytest.raises(ValueError, match='rows and columns'):
        LoadAttentionMap((14, 14, 14))
