# Copyright (c) OpenMMLab. All rights reserved.
"""Crops drawn before decoding: the boxes and pixels of those drawn after."""
import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DefaultScope
from PIL import Image

from sbam_mm.datasets import (
    EncodedImage,
    ImageFolder,
    LoadRandomResizedCrop,
    RandomResizedCrop,
    decode_image,
    flat_collate,
)
from sbam_mm.registry import FUNCTIONS
from sbam_mm.run_switches import exact
from sbam_mm.visualization import photograph

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
BICUBIC = dict(
    scale=(32, 40), crop_ratio_range=(.2, 1.), backend='pillow',
    interpolation='bicubic')
PACK = [dict(type='RandomFlip', prob=.5), dict(type='PackInputs')]


def encoded(image, kind='jpeg', **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=150, height=113):
    return Image.fromarray(photograph('cat')).resize((width, height))


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(photo(), exif=exif)


def turned_by_xmp(orientation):
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>')
    return encoded(photo(), xmp=xmp.encode())


FILES = {
    '4:4:4': lambda: encoded(photo(), subsampling=0, quality=95),
    '4:2:2': lambda: encoded(photo(), subsampling=1),
    '4:2:0': lambda: encoded(photo(), subsampling=2),
    'tall': lambda: encoded(photo(60, 200)),
    'restarts': lambda: encoded(photo(), restart_marker_rows=1),
    'progressive': lambda: encoded(photo(), progressive=True),
    'grey': lambda: encoded(photo().convert('L')),
    'cmyk': lambda: encoded(photo().convert('CMYK')),
    'junk behind': lambda: encoded(photo()) + b'some bytes',
    'png': lambda: encoded(photo(), 'png'),
    'upside down': lambda: turned(3),
    'on its side': lambda: turned(6),
    'mirrored on its side': lambda: turned(7),
    'on its side by xmp': lambda: turned_by_xmp(6),
    'upright by exif': lambda: turned(1),
}


@pytest.mark.parametrize('options', [
    BICUBIC,
    dict(scale=32, interpolation='bilinear'),
], ids=['pillow', 'cv2'])
@pytest.mark.parametrize('name', FILES)
def test_exact_is_equal_to_the_bit(name, options, tmp_path):
    content = FILES[name]()
    (tmp_path / 'file').write_bytes(content)
    whole = decode_image(content)
    ours, plain = LoadRandomResizedCrop(**options), RandomResizedCrop(
        **options)
    for seed in range(12):
        np.random.seed(seed)
        expected = plain(dict(img=whole, ori_shape=whole.shape[:2]))
        after = np.random.rand()
        np.random.seed(seed)
        out = ours(dict(img_path=str(tmp_path / 'file')))
        assert np.random.rand() == after
        np.testing.assert_array_equal(out['img'], expected['img'])
        assert {**out, 'img': 0, 'img_path': 0} == {
            **expected, 'img': 0, 'img_path': 0}


def test_what_lies_below_the_crop_is_not_decoded():
    content = encoded(photo(), quality=95)
    whole = EncodedImage(content).whole()
    spoilt = bytearray(content)
    for place in range(len(content) * 6 // 10, len(content) * 9 // 10):
        spoilt[place] = 0x55
    box = (20, 5, 120, 40)
    assert EncodedImage(bytes(spoilt)).whole() != whole
    assert EncodedImage(bytes(spoilt)).crop(box) == whole.crop(box)


@pytest.mark.parametrize('name', ['astronaut', 'coffee'])
def test_fast_is_near(name):
    picture = Image.fromarray(photograph(name)).convert('RGB')
    small = encoded(picture.resize((500, 375)), quality=92)
    large = encoded(picture.resize((1200, 900), 3), quality=92)
    options = dict(BICUBIC, scale=224)
    for content, size, mean, ratio in ((small, 224, .3, 50),
                                       (large, 96, 1.5, 36)):
        exact = LoadRandomResizedCrop(**dict(options, scale=size))
        fast = LoadRandomResizedCrop(
            **dict(options, scale=size), decode='fast')
        for seed in range(5):
            np.random.seed(seed)
            expected = exact(dict(encoded=EncodedImage(content)))
            np.random.seed(seed)
            out = fast(dict(encoded=EncodedImage(content)))
            assert out['crop_box'] == expected['crop_box']
            off = np.abs(out['img'].astype(float) - expected['img'])
            assert off.mean() < mean
            assert 10 * np.log10(255**2 / (off**2).mean()) > ratio


def test_exact_results_want_exact_pixels():
    content = encoded(photo())
    crops = []
    for decode, on in (('exact', False), ('fast', False), ('fast', True)):
        np.random.seed(0)
        with exact(on):
            crops.append(LoadRandomResizedCrop(**BICUBIC, decode=decode)(
                dict(encoded=EncodedImage(content)))['img'])
    assert np.array_equal(crops[0], crops[2])
    assert not np.array_equal(crops[0], crops[1])


@pytest.mark.parametrize('name', FILES)
def test_pixels_are_those_of_the_crop(name):
    """Whichever decoder is installed."""
    content = FILES[name]()
    height, width = EncodedImage(content).shape
    for box in ((10, 7, 50, 30), (0, 0, width, height)):
        crop = np.asarray(EncodedImage(content).crop(box))
        np.testing.assert_array_equal(EncodedImage(content).pixels(box), crop)


def test_large_crops_are_decoded_small():
    content = encoded(photo(1600, 1200))
    image = EncodedImage(content)
    small, shrunk = image.rows_above(1000, shrink=4)
    assert shrunk == 4 and small.width == 400 and 250 <= small.height < 300
    # Nothing but JPEGs can be.
    image = EncodedImage(encoded(photo(160, 120), 'png'))
    assert image.rows_above(100, shrink=4) == (image.whole(), 1)


@pytest.mark.parametrize('decode', ['exact', 'fast'])
def test_a_file_cut_short_raises_and_draws_nothing(decode):
    content = encoded(photo(), quality=95)
    crop = LoadRandomResizedCrop(**BICUBIC, decode=decode)
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    for share in (.2, .5, .8, .97):
        broken = content[:int(share * len(content))]
        for _ in range(5):
            with pytest.raises((OSError, SyntaxError)):
                crop(dict(encoded=EncodedImage(broken)))
    assert np.random.get_state()[1].tolist() == before


def write_folder(root, broken=()):
    for index in range(8):
        content = encoded(photo(90 + 3 * index, 70))
        if index in broken:
            content = content[:len(content) * 2 // 3]
        (root / f'{index}.jpg').write_bytes(content)
    return str(root)


def batches(root, loader, seed=0, **options):
    dataset = ImageFolder(
        root, pipeline=[dict(BICUBIC, type=loader), *PACK], **options)
    np.random.seed(seed)
    return dataset, [dataset[index] for index in range(len(dataset))]


@pytest.mark.parametrize('cache', [False, True])
def test_a_folder_with_broken_files(tmp_path, cache):
    root = write_folder(tmp_path, broken=(1, 5))
    _, plain = batches(root, 'sbam_mm.RandomResizedCrop')
    dataset, ours = batches(
        root, 'sbam_mm.LoadRandomResizedCrop', cache=cache)
    assert dataset.num_unreadable == 2
    for sample, expected in zip(ours, plain):
        assert torch.equal(sample['inputs'], expected['inputs'])
        assert (sample['data_samples'].metainfo ==
                expected['data_samples'].metainfo)


@pytest.mark.parametrize('loader', [
    'sbam_mm.RandomResizedCrop', 'sbam_mm.LoadRandomResizedCrop'])
def test_repeats_are_crops_of_one_image(tmp_path, loader):
    root = write_folder(tmp_path, broken=(2, ))
    once, _ = batches(root, loader)
    dataset, samples = batches(root, loader, repeats=3)
    assert len(dataset) == 8 and {len(crops) for crops in samples} == {3}
    for crops in samples:
        assert len({crop['data_samples'].sample_idx for crop in crops}) == 1
    np.random.seed(7)
    expected = [once[4] for _ in range(3)]
    np.random.seed(7)
    for crop, alone in zip(dataset[4], expected):
        assert torch.equal(crop['inputs'], alone['inputs'])
    batch = FUNCTIONS.get('sbam_mm.flat_collate')(samples[:2])
    assert batch['inputs'].shape == (6, 3, 32, 40)
    assert torch.equal(batch['inputs'],
                       default_collate(samples[0] + samples[1])['inputs'])
    assert len(flat_collate(samples[:2])['data_samples']) == 6


@pytest.mark.parametrize('recipe', [
    'imagenet_224', 'imagenet_224_simmim', 'imagenet_224_cmae',
    'finetune_224'])
def test_recipes_crop_as_if_all_were_decoded(recipe, tmp_path):
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{recipe}.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert pipeline[0].type == 'sbam_mm.LoadRandomResizedCrop'
    whole = [dict(pipeline[0], type='RandomResizedCrop'), *pipeline[1:]]
    root = write_folder(tmp_path, broken=(1, ))
    made = []
    for steps in (pipeline, whole):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            dataset = ImageFolder(root, pipeline=steps)
        random.seed(0)
        np.random.seed(0)
        samples = [dataset.prepare_data(index) for index in (0, 2, 3)]
        made.append(default_collate(samples)['inputs'])
    torch.testing.assert_close(*made, rtol=0, atol=0)


def test_bad_options_get_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="choose 'exact' or 'fast'"):
        LoadRandomResizedCrop(32, decode='quick')
    with pytest.raises(ValueError, match="backend='pillow'"):
        LoadRandomResizedCrop(32, decode='fast')
    with pytest.raises(ValueError, match='give 1 or more'):
        ImageFolder(str(tmp_path), repeats=0)
    with pytest.raises(FileNotFoundError):
        LoadRandomResizedCrop(32)(dict(img_path=os.devnull + 'nowhere'))
