# Copyright (c) OpenMMLab. All rights reserved.
"""Image sets as they lie on disks, and lists of few of their images."""
import hashlib
from pathlib import Path

import numpy as np
import pytest
from image_set_files import painted, write_image_set
from PIL import Image

from sbam_mm.datasets.class_lists import CLASS_LISTS
from sbam_mm.datasets.reading.stored_maps import ImageList
from sbam_mm.datasets.torchvision_images import FOLDERS
from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.evaluation.few_shot import (
    few_shot_list,
    few_shot_subset,
    read_few_shot_list,
    write_few_shot_list,
)
from sbam_mm.evaluation.finetune import finetune_config
from sbam_mm.evaluation.image_sets import ImageSet, read_image_set
from sbam_mm.registry import DATASETS

pytestmark = pytest.mark.unit
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def image(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (8, 8), (value, 0, 0)).save(path)


@pytest.fixture
def folders(tmp_path):
    """Three classes of 4 + 2 images; red tells which."""
    for label, name in enumerate(['ant', 'bee', 'big cat']):
        for half, count in (('train', 4), ('val', 2)):
            for i in range(count):
                image(tmp_path / 'set' / half / name / f'{i}.png',
                      100 * label + i)
    return tmp_path / 'set'


def reds(images, half, folder):
    """Red of every image and its label, as the data set delivers them."""
    data = DATASETS.build(
        images.dataset(half, [dict(type='mmpretrain.PackInputs')], folder))
    return [(int(item['inputs'][2, 0, 0]), int(item['data_samples'].gt_label))
            for item in (data[i] for i in range(len(data)))]


def test_class_folders(folders, tmp_path):
    images = read_image_set(folders)
    assert images.classes == ('ant', 'bee', 'big cat')
    assert reds(images, 'train', tmp_path / 'lists') == [
        (100 * label + i, label) for label in range(3) for i in range(4)]
    assert reds(images, 'test', tmp_path / 'lists') == [
        (100 * label + i, label) for label in range(3) for i in range(2)]


def test_some_classes(folders, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('big cat\nant the insect\n')
    images = read_image_set(folders, names)
    assert images.classes == ('ant', 'big cat')
    assert {label for red, label in reds(images, 'test', tmp_path)
            if red >= 200} == {1}
    assert images.fingerprint != read_image_set(folders).fingerprint
    names.write_text('ant\ndog\n')
    with pytest.raises(ValueError, match="1 of the 2 classes.*'dog'"):
        read_image_set(folders, names)


def test_only_the_classes_asked_for_need_images(folders, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('ant\nbee\n')
    for path in (folders / 'train' / 'big cat').iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="no training image, e.g. 'big cat'"):
        read_image_set(folders)
    assert len(read_image_set(folders, names).train) == 8
    for name in ('ant', 'bee'):
        for path in (folders / 'val' / name).iterdir():
            path.unlink()
    # Test images are left, but of no class asked for.
    with pytest.raises(ValueError, match='holds no test image of'):
        read_image_set(folders, names)


def test_imagenet100_of_imagenet(tmp_path):
    """By name, as in ImageFolder; fine-tuning learns its hundred classes."""
    wanted = CLASS_LISTS['imagenet100']
    for half in ('train', 'val'):
        for name in ('n00000001', *wanted, 'n99999999'):
            path = tmp_path / 'imagenet' / half / name / '0.jpg'
            path.parent.mkdir(parents=True)
            path.touch()
    images = read_image_set(tmp_path / 'imagenet', 'imagenet100')
    assert images.classes == wanted
    assert images.train == tuple(
        (f'train/{name}/0.jpg', label) for label, name in enumerate(wanted))
    cfg = finetune_config(
        encoder_recipe(arch='tiny'), images, 'a.pth', tmp_path,
        CONFIGS / 'finetune/small.py', 192)
    assert cfg.model.head.num_classes == 100
    assert cfg.data_preprocessor.num_classes == 100
    lines = Path(cfg.train_dataloader.dataset.ann_file).read_text()
    assert lines.splitlines()[-1] == f'train/{wanted[-1]}/0.jpg 99'
    with pytest.raises(ValueError, match='known list .imagenet100'):
        read_image_set(tmp_path / 'imagenet', 'imagenet10')


def test_tiny_imagenet(tmp_path, monkeypatch):
    root = write_image_set('TinyImageNet', tmp_path / 'tiny', monkeypatch,
                           [0, 0, 1, 1], [1, 0])
    images = read_image_set(root)
    assert images.classes == ('n00000100', 'n00000101')
    assert dict(images.test) == {
        'val/images/val_0.JPEG': 1, 'val/images/val_1.JPEG': 0}
    assert len(images.train) == 4
    assert len(reds(images, 'test', tmp_path)) == 2


@pytest.mark.parametrize('name, classes, side', [
    ('CIFAR10', 10, 32), ('CIFAR100', 100, 32), ('STL10', 10, 96)])
def test_torchvision_format(name, classes, side, tmp_path, monkeypatch):
    """Every image upright, with its colours and its (fine) label."""
    train = list(range(classes))[::-1] * 2
    test = list(range(classes))
    root = write_image_set(name, tmp_path / 'data', monkeypatch, train, test)
    images = read_image_set(root)
    assert read_image_set(root / FOLDERS[name]) == images
    assert len(images.classes) == classes
    assert images.classes[7] in ('class 7', 'fine 07')
    for half, labels in (('train', train), ('test', test)):
        data = DATASETS.build(images.dataset(
            half, [dict(type='mmpretrain.PackInputs')], tmp_path))
        for item, label, wanted in zip(
                data, labels, painted(labels, side), strict=True):
            assert int(item['data_samples'].gt_label) == label
            found = item['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]
            assert (found == wanted).all()
        assert ImageList.of(data).images == len(labels)


def test_few_of_torchvision_format(tmp_path, monkeypatch):
    root = write_image_set('CIFAR10', tmp_path / 'data', monkeypatch,
                           list(range(10)) * 2, list(range(10)))
    images = read_image_set(root)
    few = few_shot_subset(images, few_shot_list(images, 0.5))
    found = reds(few, 'train', tmp_path)
    assert sorted(label for _, label in found) == list(range(10))
    (root / FOLDERS['CIFAR10'] / 'test_batch').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='missing or incomplete'):
        read_image_set(root)


def test_stl10_without_the_names_of_its_classes(tmp_path, monkeypatch):
    root = write_image_set('STL10', tmp_path, monkeypatch, [0, 1], [0, 1])
    (root / FOLDERS['STL10'] / 'class_names.txt').unlink()
    with pytest.raises(FileNotFoundError, match='missing or incomplete'):
        read_image_set(root)


def numbered(classes=10, count=500):
    return ImageSet('toy', '/nowhere', tuple(map(str, range(classes))), tuple(
        (f'train/{label}/{i:04d}.jpg', label)
        for label in range(classes) for i in range(count)), ())


def test_few_shot_lists_are_the_published_ones(tmp_path):
    """These hashes must never change: papers cite the lists."""
    expected = {
        (0.01, 0): 'd2193953c4eae1b0',
        (0.1, 0): '8235553c57b9f9dc',
        (0.01, 1): 'c8e0e175c1cf844d',
    }
    for (share, seed), digest in expected.items():
        path = write_few_shot_list(numbered(), share, seed, tmp_path)
        assert path.name == f'toy_{100 * share:g}percent_seed{seed}.txt'
        found = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        assert found == digest, (share, seed, found)


def test_few_shot_lists_are_balanced_nested_and_ordered_by_nothing():
    images = numbered()
    one, ten = (few_shot_list(images, share) for share in (.01, .1))
    assert len(one) == 50 and len(ten) == 500 and set(one) < set(ten)
    for label in range(10):
        assert sum(path.startswith(f'{label}/') for path in one) == 5
    # Neither the order of the images nor the other classes matter.
    shuffled = ImageSet('toy', '/', images.classes, images.train[::-1], ())
    assert few_shot_list(shuffled, .01) == one
    fewer = numbered(classes=4)
    assert few_shot_list(fewer, .01) == [p for p in one if p[0] in '0123']
    # A hash, not the head of each class.
    numbers = [int(path[2:6]) for path in ten]
    assert 200 < np.mean(numbers) < 300
    assert set(few_shot_list(images, .01, seed=1)) != set(one)
    assert len(few_shot_list(images, .0001)) == 10  # at least one each


def test_lists_of_others():
    images = numbered(classes=2, count=3)
    few = few_shot_subset(images, ['0/0002.jpg', '1/0000.jpg'])
    assert few.train == (('train/0/0002.jpg', 0), ('train/1/0000.jpg', 1))
    with pytest.raises(ValueError, match='leaves classes without any'):
        few_shot_subset(images, ['0/0000.jpg'])
    with pytest.raises(ValueError, match="e.g. '0/9999.jpg'"):
        few_shot_subset(images, ['0/9999.jpg', '1/0000.jpg'])
    with pytest.raises(ValueError, match='no share'):
        few_shot_list(images, 1.5)


@pytest.mark.parametrize('text', [
    'a/1.png\nb/2.png\n', 'a/1.png\nb/2.png', '\na/1.png\r\n\n b/2.png \n\n'])
def test_lists_of_other_editors(text, tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes(text.encode())
    assert read_few_shot_list(path) == ['a/1.png', 'b/2.png']


def test_sentences(folders, tmp_path):
    with pytest.raises(ValueError, match='does not exist; correct --data'):
        read_image_set(tmp_path / 'nowhere')
    (folders / 'train' / 'dog').mkdir()
    with pytest.raises(ValueError, match="4 classes are in .*'dog' only"):
        read_image_set(folders)
    (folders / 'val' / 'dog').mkdir()
    with pytest.raises(ValueError, match="no training image, e.g. 'dog'"):
        read_image_set(folders)
    for name in ('ant', 'bee', 'big cat'):
        for path in (folders / 'val' / name).iterdir():
            path.unlink()
    with pytest.raises(ValueError, match='holds no test image'):
        read_image_set(folders)
    with pytest.raises(ValueError, match='is not a folder of class folders'):
        read_image_set(tmp_path)
