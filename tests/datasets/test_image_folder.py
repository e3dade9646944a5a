# Copyright (c) OpenMMLab. All rights reserved.
"""Image folders as they really are: mixed formats, broken files, nothing."""
import io
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, worker_init_fn
from mmengine.fileio import (
    BaseStorageBackend,
    LocalBackend,
    register_backend,
)
from PIL import Image
from torch.utils.data import DataLoader

from sbam_mm.datasets import ImageFolder, UnreadableImagesError, decode_image
from sbam_mm.registry import DATASETS

PACK = [dict(type='PackInputs')]


def colours(seed: int, size: int = 32) -> np.ndarray:
    """A picture with structure, so that JPEG has something to truncate."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((size, size), 3))


def encoded(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_folder(root, count=8, broken=(), size=32):
    """``count`` JPEG files in classes a and b; ``broken`` ones cut short."""
    for index in range(count):
        content = encoded(colours(index, size), 'jpeg')
        if index in broken:
            content = content[:len(content) * 2 // 3]
        folder = root / 'ab'[index * 2 // count]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{index:03d}.jpg').write_bytes(content)
    return str(root)


@pytest.mark.unit
def test_decode_gives_bgr_of_the_same_pixels():
    image = colours(0)
    out = decode_image(encoded(image, 'png'))
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, image[..., ::-1])


@pytest.mark.unit
def test_decode_converts_every_kind_of_png():
    image = Image.fromarray(colours(1))
    grey = np.asarray(image.convert('L'))
    out = decode_image(encoded(grey, 'png'))
    np.testing.assert_array_equal(out, np.repeat(grey[..., None], 3, 2))

    # Plain Pillow turns 16-bit grey above 255 into white.
    deep = grey.astype(np.uint16) * 257
    out = decode_image(encoded(deep, 'png'))
    np.testing.assert_array_equal(out, np.repeat(grey[..., None], 3, 2))

    palette = image.quantize(16)
    out = decode_image(encoded(palette, 'png'))
    np.testing.assert_array_equal(
        out,
        np.asarray(palette.convert('RGB'))[..., ::-1])

    rgba = image.copy()
    rgba.putalpha(128)
    out = decode_image(encoded(rgba, 'png'))
    np.testing.assert_array_equal(out, np.asarray(image)[..., ::-1])

    bits = image.convert('1')
    out = decode_image(encoded(bits, 'png'))
    assert set(np.unique(out)) == {0, 255}


@pytest.mark.unit
def test_decode_applies_the_exif_orientation():
    image = Image.fromarray(colours(2)[:, :16])
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    assert decode_image(encoded(image, 'png', exif=exif)).shape == (16, 32, 3)


@pytest.mark.unit
@pytest.mark.parametrize('kind', ['jpeg', 'png'])
def test_decode_refuses_a_truncated_file(kind):
    content = encoded(colours(3, 64), kind)
    for share in (.3, .6, .9):
        with pytest.raises((OSError, SyntaxError)):
            decode_image(content[:int(len(content) * share)])
    with pytest.raises(OSError):
        decode_image(b'<html>404 not found</html>')


@pytest.mark.unit
def test_class_folders_give_labels_paths_and_ids(tmp_path):
    write_folder(tmp_path / 'train')
    dataset = DATASETS.build(
        dict(
            type='sbam_mm.ImageFolder',
            data_root=str(tmp_path),
            data_prefix='train',
            pipeline=[dict(type='LoadImageFromFile'), *PACK]))
    assert len(dataset) == 8
    assert dataset.CLASSES == ('a', 'b')
    assert dataset.get_gt_labels().tolist() == [0] * 4 + [1] * 4
    sample = dataset[5]
    assert sample['data_samples'].sample_idx == 5
    assert sample['data_samples'].img_path.endswith('b/005.jpg')
    assert sample['data_samples'].gt_label.tolist() == [1]
    assert sample['inputs'].shape == (3, 32, 32)
    expected = decode_image((tmp_path / 'train/b/005.jpg').read_bytes())
    np.testing.assert_array_equal(sample['inputs'].permute(1, 2, 0), expected)


@pytest.mark.unit
def test_flat_folder_needs_no_labels(tmp_path):
    for index in range(3):
        (tmp_path / f'{index}.png').write_bytes(encoded(colours(index), 'png'))
    dataset = ImageFolder(data_root=str(tmp_path), pipeline=PACK)
    assert len(dataset) == 3
    assert 'gt_label' not in dataset[0]['data_samples']


@pytest.mark.unit
def test_annotation_file(tmp_path):
    write_folder(tmp_path / 'images')
    (tmp_path / 'list.txt').write_text('a/001.jpg 7\nb/006.jpg 3\n')
    dataset = ImageFolder(
        data_root=str(tmp_path), data_prefix='images', ann_file='list.txt')
    assert dataset.get_gt_labels().tolist() == [7, 3]
    with pytest.raises(FileNotFoundError, match='none.txt.*ann_file'):
        ImageFolder(
            data_root=str(tmp_path), data_prefix='images', ann_file='none.txt')


@pytest.mark.unit
@pytest.mark.parametrize(
    'crop', ['RandomResizedCrop', 'LoadRandomResizedCrop'])
def test_images_of_a_data_base_need_no_folder(tmp_path, crop):
    """As with mmengine's lmdb or petrel: paths are keys."""
    for index in range(3):
        _Dictionary.stored[f'train/a/{index}.jpg'] = encoded(
            colours(index), 'jpeg')
    register_backend('dictionary', _Dictionary, force=True)
    (tmp_path / 'list.txt').write_text('a/0.jpg 0\na/2.jpg 4\n')
    dataset = ImageFolder(
        data_prefix='train', ann_file=str(tmp_path / 'list.txt'),
        backend_args=dict(backend='dictionary'),
        pipeline=[dict(type=f'sbam_mm.{crop}', scale=16), *PACK])
    assert dataset.get_gt_labels().tolist() == [0, 4]
    assert dataset[1]['inputs'].shape == (3, 16, 16)
    assert dataset.num_unreadable == 0


@pytest.mark.unit
@pytest.mark.parametrize('flat', [False, True])
def test_another_storage_is_listed_as_a_disk(tmp_path, flat):
    """Classes, system folders and images without classes alike."""
    register_backend('mirror', _Mirror, force=True)
    folder = tmp_path / 'images'
    if flat:
        folder.mkdir()
        (folder / '1.png').write_bytes(encoded(colours(1), 'png'))
    else:
        write_folder(folder)
        shutil.copytree(folder / 'a', folder / '.ipynb_checkpoints')
        (folder / 'a' / 'notes.txt').write_text('no image')
    local = ImageFolder(data_root=str(folder))
    remote = ImageFolder(
        data_root=str(folder), backend_args=dict(backend='mirror'))
    assert remote.with_label is local.with_label is (not flat)
    assert [remote.get_data_info(i) for i in range(len(remote))] == [
        local.get_data_info(i) for i in range(len(local))]


class _Mirror(LocalBackend):
    """A storage that only mmengine's interface knows."""


class _Dictionary(BaseStorageBackend):
    stored = {}

    def get(self, filepath):
        return self.stored[filepath]

    def get_text(self, filepath, encoding='utf-8'):
        return self.get(filepath).decode(encoding)


@pytest.mark.unit
def test_missing_and_empty_folders_get_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere.*DATA_ROOT'):
        ImageFolder(data_root=str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match=r'no image.*DATA_ROOT'):
        ImageFolder(data_root=str(tmp_path))
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'notes.txt').write_text('no image')
    with pytest.raises(FileNotFoundError, match=r'no image.*train/<class>/'):
        ImageFolder(data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match='No image folder is set'):
        ImageFolder(data_root='')
    with pytest.raises(ValueError, match='between 0 and 1'):
        ImageFolder(data_root=str(tmp_path), max_unreadable=2)
    with pytest.raises(ValueError, match='color_type'):
        ImageFolder(
            data_root=str(tmp_path),
            pipeline=[
                dict(type='LoadImageFromFile', color_type='grayscale')
            ])


@pytest.mark.unit
@pytest.mark.parametrize('cache', [False, True])
def test_unreadable_is_replaced_and_counted(
        tmp_path, cache):
    root = write_folder(tmp_path, broken=(2, ))
    (tmp_path / 'b' / '999.png').write_text('not an image')
    dataset = ImageFolder(data_root=root, pipeline=PACK, cache=cache)
    for _ in range(3):
        ids = [dataset[i]['data_samples'].sample_idx for i in range(9)]
    assert dataset.num_unreadable == 2
    assert [i for i in range(9) if ids[i] != i] == [2, 8]
    assert not {2, 8} & set(ids)


@pytest.mark.unit
def test_unreadable_is_logged_once(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('sbam_mm.datasets.reading.read_counter.print_log',
                        lambda text, **_: lines.append(text))
    dataset = ImageFolder(data_root=write_folder(tmp_path, broken=(2, )))
    for _ in range(3):
        assert dataset.prepare_data(2) is None
    assert len(lines) == 1
    assert 'a/002.jpg' in lines[0]


@pytest.mark.unit
def test_replacement_follows_the_seed(tmp_path):
    root = write_folder(tmp_path, count=40, broken=(2, 3, 4))

    def ids(cache):
        dataset = ImageFolder(data_root=root, pipeline=PACK, cache=cache)
        np.random.seed(5)
        return [dataset[i]['data_samples'].sample_idx for i in range(40)]

    assert ids(False) == ids(False) == ids(True)


@pytest.mark.unit
def test_evaluation_takes_the_next_readable_file(tmp_path):
    root = write_folder(tmp_path, broken=(2, 3, 7))
    dataset = ImageFolder(data_root=root, pipeline=PACK, test_mode=True)
    state = np.random.get_state()[1].tolist()
    ids = [dataset[i]['data_samples'].sample_idx for i in range(8)]
    assert ids == [0, 1, 4, 4, 4, 5, 6, 0]
    assert np.random.get_state()[1].tolist() == state


def _loader(dataset, method, persistent=False):
    return DataLoader(
        dataset,
        4,
        num_workers=2,
        collate_fn=default_collate,
        multiprocessing_context=method,
        persistent_workers=persistent)


@pytest.mark.integration
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_counter_spans_workers(tmp_path, method):
    root = write_folder(tmp_path, count=16, broken=(1, 6, 9))
    dataset = ImageFolder(data_root=root, pipeline=PACK)
    loader = _loader(dataset, method, persistent=True)
    for _ in range(2):
        assert sum(len(batch['inputs']) for batch in loader) == 16
        assert dataset.num_unreadable == 3


@pytest.mark.integration
def test_workers_are_reproducible(tmp_path):
    root = write_folder(tmp_path, count=16, broken=(1, 6, 9))

    def ids():
        loader = _loader(ImageFolder(data_root=root, pipeline=PACK), 'fork')
        loader.worker_init_fn = _seed
        return [s.sample_idx for b in loader for s in b['data_samples']]

    assert ids() == ids()


def _seed(worker):
    worker_init_fn(worker, num_workers=2, rank=0, seed=3)


@pytest.mark.integration
def test_run_stops_when_nearly_all_is_unreadable(tmp_path):
    root = write_folder(tmp_path, count=64, broken=range(4, 64))
    dataset = ImageFolder(data_root=root, pipeline=PACK)
    with pytest.raises(
            UnreadableImagesError, match='cannot be read.*max_unreadable'):
        for _ in _loader(dataset, 'fork'):
            pass
    # 32 files must have been tried before the run is given up.
    assert 28 <= dataset.num_unreadable <= 60


@pytest.mark.unit
def test_limit_of_unreadable_files(tmp_path):
    root = write_folder(tmp_path, count=10, broken=range(0, 6))
    with pytest.raises(UnreadableImagesError, match='6 of the 10 images'):
        ImageFolder(data_root=root, pipeline=PACK, cache=True)
    patient = ImageFolder(data_root=root, pipeline=PACK, max_unreadable=.6)
    assert [patient[i]['inputs'].shape[0] for i in range(10)] == [3] * 10
    # One bad file at the start of a large folder is no reason to stop.
    root = write_folder(tmp_path / 'more', count=40, broken=range(0, 10))
    dataset = ImageFolder(data_root=root, pipeline=PACK)
    for index in range(40):
        dataset[index]
    assert dataset.num_unreadable == 10


@pytest.mark.unit
def test_cache_is_the_same_to_the_pixel(tmp_path):
    root = write_folder(tmp_path, count=6)
    (tmp_path / 'a' / 'wide.png').write_bytes(
        encoded(colours(9)[:20], 'png'))  # sizes may differ
    crop = dict(type='RandomResizedCrop', scale=16)
    for pipeline in (PACK, [crop, dict(type='RandomFlip', prob=.5), *PACK]):
        plain = ImageFolder(data_root=root, pipeline=pipeline)
        cached = ImageFolder(data_root=root, pipeline=pipeline, cache=True)
        for _ in range(2):
            for index in range(7):
                np.random.seed(index)
                expected = plain[index]
                np.random.seed(index)
                sample = cached[index]
                assert torch.equal(sample['inputs'], expected['inputs'])
                assert (sample['data_samples'].ori_shape ==
                        expected['data_samples'].ori_shape)


@pytest.mark.unit
def test_cache_is_not_spoilt_by_what_is_handed_out(tmp_path):
    dataset = ImageFolder(
        data_root=write_folder(tmp_path), pipeline=PACK, cache=True)
    before = dataset[0]['inputs'].clone()
    dataset[0]['inputs'].zero_()
    assert torch.equal(dataset[0]['inputs'], before)
    with pytest.raises(MemoryError, match='cache=False'):
        ImageFolder(data_root=str(tmp_path), cache=True, cache_limit=1e-6)


@pytest.mark.unit
@pytest.mark.parametrize('cache', [False, True])
def test_subsets_and_pickles(tmp_path, cache):
    root = write_folder(tmp_path, broken=(7, ))
    dataset = ImageFolder(data_root=root, pipeline=PACK, cache=cache)
    subset = dataset.get_subset([7, 4])
    np.random.seed(0)
    assert subset[1]['data_samples'].img_path.endswith('b/004.jpg')
    assert subset[0]['data_samples'].img_path.endswith('b/004.jpg')
    assert subset.num_unreadable == 1
    assert len(dataset) == 8
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[3]['inputs'], dataset[3]['inputs'])
    assert multiprocessing.active_children() == []
