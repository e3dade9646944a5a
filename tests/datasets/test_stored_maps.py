# Copyright (c) OpenMMLab. All rights reserved.
"""Maps on disk: what is written is read, for the right images only."""
import json
import pickle

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image

from sbam_mm.datasets import (
    ImageFolder,
    ImageList,
    LoadAttentionMap,
    LoadPartMap,
    MapVersions,
    StoredMaps,
    save_maps,
)
from sbam_mm.datasets.reading.stored_maps import MapInfo, MapWriter, innermost

pytestmark = pytest.mark.integration
GRID = (2, 3)


def folder(root, names=('a', 'b', 'c', 'd', 'e')):
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new('RGB', (8, 8)).save(root / f'{name}.png')
    return ImageFolder(str(root))


def some_maps(images=5, seed=0):
    return np.random.default_rng(seed).random((images, *GRID)).astype('f2')


@pytest.fixture
def dataset(tmp_path):
    return folder(tmp_path / 'images')


def publish(versions, epoch, dataset, maps=None):
    info = MapInfo(GRID, ImageList.of(dataset), 'a test', epoch)
    writer = MapWriter(versions.path(epoch), info)
    writer.create()
    writer.write(0, some_maps(len(dataset), epoch) if maps is None else maps)
    versions.publish(writer)


@pytest.mark.parametrize('dtype', ['float16', 'uint8', 'int32'])
def test_what_is_written_is_read(dataset, tmp_path, dtype):
    maps = (some_maps() * 100).astype(dtype)
    save_maps(tmp_path / 'maps.npy', maps, dataset, 'a test')
    stored = StoredMaps(tmp_path / 'maps.npy', GRID, ImageList.of(dataset))
    for index in range(5):
        info = dataset.get_data_info(index)
        read = stored.read(index, info['img_path'])
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, maps[index])
    assert not list(tmp_path.glob('*.tmp*'))


def test_pieces_in_any_order(dataset, tmp_path):
    maps = some_maps()
    info = MapInfo(GRID, ImageList.of(dataset), 'a test')
    first, second = (MapWriter(tmp_path / 'maps.npy', info) for _ in range(2))
    first.create()
    second.write(3, maps[3:])
    first.write(0, maps[:3])
    # Nobody sees it half done.
    with pytest.raises(ValueError, match='no map file'):
        StoredMaps(tmp_path / 'maps.npy')
    first.publish()
    np.testing.assert_array_equal(
        np.load(tmp_path / 'maps.npy'), maps)


def test_the_last_two_versions_are_kept(dataset, tmp_path):
    versions = MapVersions(tmp_path / 'maps')
    assert versions.current() is None and versions.stamp() is None
    stamps = set()
    for epoch in (40, 80, 120):
        publish(versions, epoch, dataset)
        assert versions.current() == versions.path(epoch)
        stamps.add(versions.stamp())
    assert len(stamps) == 3
    assert versions.epochs() == [80, 120]
    assert sorted(path.name for path in versions.folder.iterdir()) == [
        'current.json', 'epoch_0080.json', 'epoch_0080.npy',
        'epoch_0120.json', 'epoch_0120.npy']
    assert versions.remove_after(100) == [120]
    assert versions.epochs() == [80]


def test_a_write_that_was_cut_short_leaves_the_old_maps(dataset, tmp_path):
    versions = MapVersions(tmp_path / 'maps')
    publish(versions, 1, dataset)
    info = MapInfo(GRID, ImageList.of(dataset), 'a test', 2)
    writer = MapWriter(versions.path(2), info)
    writer.create()
    writer.write(0, some_maps()[:2])
    assert versions.epochs() == [1]
    np.testing.assert_array_equal(
        StoredMaps(versions.current()).read(4), some_maps(seed=1)[4])


def test_a_fingerprint_is_of_the_relative_paths(dataset, tmp_path):
    moved = folder(tmp_path / 'elsewhere')
    assert ImageList.of(moved) == ImageList.of(dataset)
    repeated = RepeatDataset(dataset, times=3)
    assert ImageList.of(repeated) == ImageList.of(dataset)
    more = folder(tmp_path / 'more', names='abcdef')
    assert ImageList.of(more).fingerprint != ImageList.of(
        dataset).fingerprint
    with pytest.raises(ValueError, match='one folder or annotation file'):
        innermost(ConcatDataset([dataset, more]))


def test_changed_data_stop(dataset, tmp_path):
    path = tmp_path / 'maps.npy'
    save_maps(path, some_maps(), dataset, 'a test')
    renamed = folder(tmp_path / 'renamed', names='abcxe')
    stops = dict(match=r'data set changed .*maps\.npy.*delete the file')
    with pytest.raises(ValueError, **stops):
        StoredMaps(path, image_list=ImageList.of(renamed))
    # Without the list it is seen from the images that come by.
    stored = StoredMaps(path)
    with pytest.raises(ValueError, **stops):
        stored.read(3, renamed.get_data_info(3)['img_path'])
    with pytest.raises(ValueError, **stops):
        stored.read(5)


def test_bad_files_stop_with_a_sentence(dataset, tmp_path):
    path = tmp_path / 'maps.npy'
    with pytest.raises(ValueError, match='no map file .*maps.npy'):
        LoadPartMap(str(path), grid=2)
    save_maps(path, some_maps(), dataset, 'a test')
    with pytest.raises(ValueError, match=r'maps of \(2, 3\), but \(4, 4\)'):
        StoredMaps(path, (4, 4))
    with pytest.raises(ValueError, match='one map per image'):
        save_maps(path, some_maps(4), dataset, 'a test')
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match='damaged; delete it'):
        StoredMaps(path)
    path.write_bytes(whole)
    described = json.loads(path.with_suffix('.json').read_text())
    described['mark']['images'] = 9
    path.with_suffix('.json').write_text(json.dumps(described))
    with pytest.raises(ValueError, match='describes 9 maps'):
        StoredMaps(path)


def sample(dataset, index=0):
    info = dataset.get_data_info(index)
    return dict(
        info, img=np.zeros((8, 8, 3)), ori_shape=(8, 8), crop_box=(0, 0, 1, 1))


def test_a_running_reader_notices_new_maps(dataset, tmp_path):
    versions = MapVersions(tmp_path / 'maps')
    reader = LoadAttentionMap(GRID)
    reader.bind(versions, ImageList.of(dataset))
    # As a worker has it.
    reader = pickle.loads(pickle.dumps(reader))
    assert reader(sample(dataset))['attention_map'].size == 0
    for epoch in (1, 2):
        publish(versions, epoch, dataset,
                np.full((5, *GRID), epoch / 4, 'f2'))
        made = reader(sample(dataset))['attention_map']
        np.testing.assert_array_equal(
            made, np.full(GRID, epoch / 4, np.float32))
    assert len(pickle.dumps(reader)) < 20_000


def test_no_hook_and_no_folder_stop(dataset, tmp_path):
    with pytest.raises(ValueError, match='sbam_mm.AttentionMapHook'):
        LoadAttentionMap(GRID)(sample(dataset))
    with pytest.raises(ValueError, match='no map file .*current.json'):
        LoadAttentionMap(GRID, folder=str(tmp_path))(sample(dataset))
    publish(MapVersions(tmp_path), 7, dataset)
    reader = LoadAttentionMap(GRID, folder=str(tmp_path))
    assert reader(sample(dataset, 3))['attention_map'].shape == GRID
    with pytest.raises(ValueError, match=r'but \(4, 4\) are asked for'):
        LoadAttentionMap(4, folder=str(tmp_path))(sample(dataset))
