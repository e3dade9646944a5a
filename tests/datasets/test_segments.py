# Copyright (c) OpenMMLab. All rights reserved.
"""Segments stay on the image, through crops, flips and views."""
import pickle

import numpy as np
import pytest
from mmcv.transforms import Compose, RandomFlip
from mmpretrain.datasets import PackInputs
from PIL import Image

from sbam_mm.datasets import ImageFolder, RandomResizedCrop, save_maps
from sbam_mm.datasets.transforms import (
    MultiView,
    crop_maps,
    majority_crop,
)
from sbam_mm.segments.maps import (
    Felzenszwalb,
    LoadSegments,
    Masks,
    id_map,
)
from sbam_mm.segments.maps import segment_maps as maps_module
from sbam_mm.visualization.photographs import photograph

pytestmark = pytest.mark.integration
GRID, PATCH = 6, 8
FLIP = dict(prob=[.25, .25, .25],
            direction=['horizontal', 'vertical', 'diagonal'])


def painted(shape, ids=5, seed=0):
    """An image whose brightness is the id of its region, and the ids."""
    rng = np.random.default_rng(seed)
    regions = np.zeros(shape, np.uint8)
    for number in range(1, ids + 1):
        top, left = (rng.integers(0, size * 3 // 4) for size in shape)
        regions[top:top + shape[0] // 2, left:left + shape[1] // 2] = number
    return np.repeat(regions[..., None] * 40, 3, axis=2), regions


@pytest.fixture
def stored(tmp_path):
    """A painted image in a file, its pixels and the file of its map."""
    image, regions = painted((72, 96))
    folder = tmp_path / 'images'
    folder.mkdir()
    Image.fromarray(image).save(folder / '0.png')
    dataset = ImageFolder(str(folder))
    path = tmp_path / 'segments.npy'
    save_maps(path, regions[None], dataset, 'a test')
    return image, str(path), dataset


def sample(image):
    return dict(img=image, sample_idx=0, ori_shape=image.shape[:2])


def shares(view):
    """Of every patch of a painted view, the share of each id: (h, w, 6)."""
    ids = view[..., 0] // 40
    cells = ids.reshape(ids.shape[0] // PATCH, PATCH, -1, PATCH)
    return np.stack([(cells == number).mean(axis=(1, 3))
                     for number in range(6)], axis=-1)


def agree(view, segment_map):
    """Where a patch is clearly of one region, the map says so."""
    covered = shares(view)
    clear = covered.max(axis=-1) > .8
    assert (segment_map == covered.argmax(axis=-1))[clear].all()
    return clear.sum(), len(np.unique(segment_map))


def crop(side, low=.2, high=1.):
    return RandomResizedCrop(
        side, crop_ratio_range=(low, high), interpolation='nearest')


@pytest.mark.parametrize('mode', ['nearest', 'majority'])
def test_follows_crop_and_flip(stored, mode):
    image, path, _ = stored
    pipeline = Compose([
        crop(GRID * PATCH), RandomFlip(**FLIP), LoadSegments(path, GRID, mode)
    ])
    np.random.seed(0)
    clear, ids, directions = 0, 0, set()
    for _ in range(100):
        out = pipeline(sample(image))
        assert out['segment_map'].dtype == np.uint8
        patches, regions = agree(out['img'], out['segment_map'])
        clear, ids = clear + patches, ids + regions
        directions.add(out['flip_direction'])
    # Most patches were compared, and there was something to mix up.
    assert clear > 100 * GRID**2 / 2 and ids > 250 and len(directions) == 4


def test_every_view_has_its_own_map(stored):
    image, path, _ = stored
    views = MultiView(
        [[crop(48), RandomFlip(**FLIP), LoadSegments(path, 6)],
         [crop(16, .05, .2), RandomFlip(**FLIP), LoadSegments(path, 2)]],
        [2, 3], keys=['segment_map'])
    pipeline = Compose([views, PackInputs(algorithm_keys=['segment_map'])])
    np.random.seed(1)
    clear = 0
    for _ in range(20):
        out = pipeline(sample(image))
        found = out['data_samples'].segment_map
        assert [part.shape for part in found] == [(6, 6)] * 2 + [(2, 2)] * 3
        for view, part in zip(out['inputs'], found):
            clear += agree(view.permute(1, 2, 0).numpy(), part)[0]
    assert clear > 20 * 84 / 2


ROTATE = dict(type='mmpretrain.Rotate', angle=90., prob=1.)
MINE = dict(
    type='sbam_mm.RandomResizedCrop', scale=48, interpolation='nearest')


@pytest.mark.parametrize('before, after, words', [
    ([MINE, dict(type='CenterCrop', crop_size=32)], [],
     'cannot follow CenterCrop'),
    ([dict(type='CenterCrop', crop_size=32), MINE], [],
     'cannot follow CenterCrop'),
    ([MINE, dict(type='mmpretrain.RandomCrop', crop_size=32)], [],
     'cannot follow RandomCrop'),
    ([dict(type='mmpretrain.RandomResizedCrop', scale=72)], [],
     "cannot follow RandomResizedCrop.*type='sbam_mm.RandomResizedCrop'"),
    ([dict(type='Resize', scale=(48, 48)),
      dict(type='mmpretrain.RandomCrop', crop_size=48, padding=8)], [],
     'cannot follow RandomCrop'),
    ([MINE, ROTATE], [], 'cannot follow Rotate'),
    ([MINE], [ROTATE], 'cannot follow Rotate'),
    ([MINE, dict(type='RandomApply', transforms=[ROTATE], prob=.1)], [],
     'cannot follow Rotate'),
    ([MINE, dict(type='mmpretrain.AutoAugment', policies='imagenet')], [],
     'cannot follow (Rotate|Shear)'),
    ([MINE, dict(type='mmpretrain.RandAugment', num_policies=2,
                 policies='timm_increasing', magnitude_level=9)], [],
     'cannot follow Rotate'),
    ([MINE, dict(type='torchvision/RandomVerticalFlip')], [],
     'cannot follow RandomVerticalFlip'),
    ([dict(type='RandomFlip', prob=.5), MINE,
      dict(type='RandomFlip', prob=.5)], [], 'one RandomFlip'),
    ([MINE], [dict(type='RandomFlip', prob=.5)], 'RandomFlip moves the image'),
    ([], [MINE], 'put LoadSegments behind RandomResizedCrop'),
])
@pytest.mark.parametrize('views', [False, True])
def test_what_a_map_cannot_follow(stored, before, after, words, views):
    """Said before the first image, whichever way it would take."""
    _, path, dataset = stored
    steps = [*before, dict(type='sbam_mm.LoadSegments', path=path, grid=6),
             *after]
    if views:
        one = dict(type='sbam_mm.LoadSegments', path=path, grid=6)
        # Also what stands before the views, for all of them.
        shared = steps[:len(before)] if not after else []
        steps = [*shared, dict(
            type='sbam_mm.MultiView', num_views=[1, 1],
            transforms=[[one], steps[len(shared):]])]
    with pytest.raises(ValueError, match=words):
        ImageFolder(dataset.img_prefix, pipeline=steps)


@pytest.mark.parametrize('steps', [
    [], [dict(type='RandomFlip', **FLIP)],
    [dict(type='RandomChoice', transforms=[
        [dict(type='RandomFlip', **FLIP)], [dict(MINE, scale=(72, 96))]])],
], ids=['nothing', 'flip', 'sometimes a crop'])
def test_images_that_are_left_whole(stored, steps):
    """No crop is needed, where none can have gone unnoticed."""
    _, path, dataset = stored
    made = ImageFolder(dataset.img_prefix, pipeline=[
        *steps, dict(type='sbam_mm.LoadSegments', path=path, grid=(9, 12))])
    np.random.seed(0)
    for _ in range(20):
        out = made[0]
        assert agree(out['img'], out['segment_map'])[0] > 30


def test_views_without_a_key_stop(stored):
    image, path, _ = stored
    views = MultiView(
        [[crop(48), LoadSegments(path, 6)], [crop(16)]], [1, 1],
        keys=['segment_map'])
    with pytest.raises(ValueError, match='in the transforms of each kind'):
        views(sample(image))


def test_majority_counts_area():
    rng = np.random.default_rng(0)
    fine = 120
    for _ in range(10):
        labels = rng.integers(0, 4, (7, 5)).astype(np.uint8)
        left, top = rng.uniform(0, .5, 2)
        right, bottom = left + rng.uniform(.2, .5), top + rng.uniform(.2, .5)
        box = (left, top, right, bottom)
        points = crop_maps.nearest_crop(labels, box, (3 * fine, 4 * fine))
        cells = points.reshape(3, fine, 4, fine)
        votes = np.stack([(cells == k).mean(axis=(1, 3)) for k in range(4)])
        first, second = np.sort(votes, axis=0)[:-3:-1]
        made = majority_crop(labels, box, (3, 4))
        sure = first - second > .04
        assert sure.sum() > 3
        assert (made == votes.argmax(axis=0))[sure].all()


def random_masks(count, seed):
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, 12, 12), bool)
    for mask in masks:
        top, left, height, width = rng.integers(0, 9, 4)
        mask[top:top + height + 1, left:left + width + 1] = True
    return Masks(masks, rng.permutation(count) / count)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('keep', ['largest', 'confident'])
def test_the_most_confident_wins(keep, seed):
    found = random_masks(9, seed)
    ids = id_map(found, 5, keep)
    merit = (found.masks.sum((1, 2)) if keep == 'largest' else found.scores)
    kept = sorted(range(9), key=lambda n: -merit[n])[:5]
    owner = np.full(ids.shape, -1)
    for place in np.ndindex(ids.shape):
        over = [n for n in kept if found.masks[n][place]]
        owner[place] = max(over, key=lambda n: found.scores[n], default=-1)
    # The same partition, in numbers without gaps.
    np.testing.assert_array_equal(ids == 0, owner == -1)
    pairs = set(zip(ids.ravel().tolist(), owner.ravel().tolist()))
    assert len(pairs) == len({pair[0] for pair in pairs}) == len(
        {pair[1] for pair in pairs})
    assert sorted(set(ids.ravel()) | {0}) == list(range(ids.max() + 1))
    assert ids.max() <= 5


def test_no_mask_is_an_empty_map():
    nothing = Masks(np.zeros((0, 4, 4), bool), np.zeros(0))
    assert not id_map(nothing).any()


def test_felzenszwalb_finds_regions_of_a_photograph():
    image = photograph('coffee')[::3, ::3]
    found = Felzenszwalb()(image)
    ids = id_map(found)
    assert ids.max() >= 2 and (found.masks.sum(axis=0) == 1).all()
    # No region alone is the picture.
    assert np.bincount(ids.ravel()).max() < .8 * ids.size
    np.testing.assert_array_equal(id_map(Felzenszwalb()(image)), ids)


def test_a_missing_file_stops_at_build_time(tmp_path):
    with pytest.raises(ValueError, match='tools/generate_segments.py DATA'):
        LoadSegments(str(tmp_path / 'none.npy'), 6)


def test_more_ids_than_c(stored):
    image, path, _ = stored
    load = LoadSegments(path, 6, max_masks=3)
    with pytest.raises(ValueError, match='--max-masks 3, or set max_masks=5'):
        Compose([crop(48), load])(sample(image))


def test_no_ids_and_no_mode(stored, tmp_path):
    _, path, dataset = stored
    with pytest.raises(ValueError, match='nearest or majority'):
        LoadSegments(path, 6, 'bilinear')
    save_maps(tmp_path / 'a.npy', np.zeros((1, 4, 4), 'f2'), dataset, 'a test')
    with pytest.raises(ValueError, match='holds float16, not ids'):
        LoadSegments(str(tmp_path / 'a.npy'), 6)


def test_the_map_of_another_image(stored):
    """Noticed with the first use, also after pickling, once per image."""
    image, path, dataset = stored
    img_path = dataset.get_data_info(0)['img_path']
    with open(img_path, 'rb') as file:
        content = file.read()
    np.save(maps_module.checksums_path(path),
            np.array([maps_module.checksum(content)], np.uint64))
    fresh, used = (Compose([crop(48), LoadSegments(path, 6)])
                   for _ in range(2))
    used(dict(sample(image), img_path=img_path))
    Image.fromarray(image[::-1]).save(img_path)
    for pipeline in (fresh, pickle.loads(pickle.dumps(fresh))):
        with pytest.raises(ValueError, match='another image .*checksum'):
            pipeline(dict(sample(image), img_path=img_path))
    used(dict(sample(image), img_path=img_path))
    unchecked = Compose([crop(48), LoadSegments(path, 6, verify=False)])
    unchecked(dict(sample(image), img_path=img_path))
