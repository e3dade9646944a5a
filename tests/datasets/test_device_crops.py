# Copyright (c) OpenMMLab. All rights reserved.
"""Crops decoded by the preprocessor are those that workers decode."""
import io

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from PIL import Image
from torch.utils.data import DataLoader

from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.transforms import (
    EncodedCrop,
    batch_crops,
    device_crops,
)
from sbam_mm.datasets.transforms.batch_crops import (
    Boxes,
    random_boxes,
    resize_crops,
    resize_different,
)
from sbam_mm.datasets.transforms.device_crops import (
    decode_crops,
    decode_files,
)
from sbam_mm.models import SelfSupDataPreprocessor
from sbam_mm.run_switches import exact
from sbam_mm.visualization.photographs import PHOTOGRAPHS, photograph

pytestmark = pytest.mark.unit
CPU = torch.device('cpu')
DEVICES = [
    'cpu',
    pytest.param('cuda', marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(),
                           reason='needs CUDA')])]


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, 'jpeg', quality=92, **options)
    return file.getvalue()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Photographs of different sizes, and two files for the workers."""
    folder = tmp_path_factory.mktemp('photographs')
    for number, name in enumerate(PHOTOGRAPHS):
        image = Image.fromarray(photograph(name))
        image.thumbnail((300 + 20 * number, 300))
        (folder / f'{name}.jpg').write_bytes(jpeg(image))
    (folder / 'coarse.jpg').write_bytes(jpeg(image, progressive=True))
    (folder / 'grey.jpg').write_bytes(jpeg(image.convert('L')))
    return folder


def pipeline(decode, **options):
    crop = dict(type='sbam_mm.LoadRandomResizedCrop', scale=(64, 80),
                crop_ratio_range=(.2, 1.), backend='pillow',
                interpolation='bicubic', decode=decode)
    return [dict(crop, **options), dict(type='RandomFlip', prob=.5),
            dict(type='PackInputs')]


def batch(folder, decode, seed=0, **options):
    images = ImageFolder(str(folder), with_label=False,
                         pipeline=pipeline(decode), **options)
    np.random.seed(seed)
    return default_collate([images[i] for i in range(len(images))])


def difference(ours, theirs):
    return (ours.int() - theirs.int()).abs()


@pytest.mark.parametrize('device', DEVICES)
def test_same_boxes_and_pixels(folder, device):
    """nvJPEG interpolates colours otherwise; a wrong box would be off by 40.
    """
    theirs = batch(folder, 'exact')
    ours = batch(folder, 'device')
    assert isinstance(ours['inputs'], EncodedCrop)
    assert ours['inputs'].encoded.sum() == len(PHOTOGRAPHS)
    assert ours['inputs'].flipped.any()
    pixels = decode_crops(ours['inputs'], torch.device(device)).cpu()
    off = difference(pixels, theirs['inputs'])
    if device == 'cpu':
        assert off.max() <= 2 and off.float().mean() < .2
    assert off.float().mean((1, 2, 3)).max() < 4
    for one, other in zip(ours['data_samples'], theirs['data_samples']):
        assert one.sample_idx == other.sample_idx
        assert one.flip == other.flip


@pytest.mark.parametrize('device', DEVICES)
def test_the_preprocessor_decodes(folder, device):
    """Under autocast too, and through workers and pinned memory."""
    preprocessor = SelfSupDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        to_rgb=True, non_blocking=True).to(device)
    images = ImageFolder(str(folder), pipeline=pipeline('device'))
    loader = DataLoader(images, 6, num_workers=1, collate_fn=default_collate,
                        pin_memory=device == 'cuda')
    seen = 0
    for data in loader:
        with torch.autocast(device, torch.bfloat16):
            made = preprocessor(data, True)
        assert made['inputs'].dtype == torch.float32
        want = SelfSupDataPreprocessor.forward(
            preprocessor, dict(data, inputs=decode_crops(
                data['inputs'], torch.device(device))))
        assert torch.equal(made['inputs'], want['inputs'])
        seen += len(made['inputs'])
    assert seen == len(images)


def test_repeats_and_labels(folder):
    images = ImageFolder(str(folder), with_label=False, repeats=2,
                         pipeline=pipeline('device'))
    one, two = images[0]
    assert one['inputs'].content == two['inputs'].content
    assert one['inputs'].box != two['inputs'].box


def test_exact_and_the_cache_have_pixels(folder):
    with exact():
        ours = batch(folder, 'device')
    assert torch.equal(ours['inputs'], batch(folder, 'exact')['inputs'])
    cached = batch(folder, 'device', cache=True)
    assert torch.equal(cached['inputs'], batch(folder, 'exact')['inputs'])


def test_files_for_the_workers_are_named_once(folder, monkeypatch):
    said = []
    monkeypatch.setattr(
        'sbam_mm.datasets.transforms.load_crop.print_log',
        lambda text, **_: said.append(text))
    images = ImageFolder(str(folder), pipeline=pipeline('device'))
    for _ in range(2):
        for i in range(len(images)):
            images[i]
    assert len(said) == 1 and 'coarse.jpg' in said[0]


def test_other_colours_are_for_the_workers(tmp_path):
    """Files in RGB, which only Adobe's marker or the names tell."""
    image = Image.fromarray(photograph('cat'))
    (tmp_path / 'a.jpg').write_bytes(jpeg(image, keep_rgb=True))
    (tmp_path / 'b.jpg').write_bytes(jpeg(image.convert('CMYK')))
    exif = Image.Exif()
    exif[0x112] = 6
    (tmp_path / 'c.jpg').write_bytes(jpeg(image, exif=exif))
    ours = batch(tmp_path, 'device')['inputs']
    assert not ours.encoded.any()
    assert torch.equal(decode_crops(ours, CPU),
                       batch(tmp_path, 'exact')['inputs'])


def test_a_broken_file_is_grey_and_others_are_not(folder, monkeypatch):
    said = []
    monkeypatch.setattr(device_crops, 'print_log',
                        lambda text, **_: said.append(text))
    good = (folder / 'cat.jpg').read_bytes()
    height, width = Image.open(folder / 'cat.jpg').size[::-1]
    start = good.index(b'\xff\xda')
    broken = good[:start] + b'\xff\xd9'
    device_crops._say_once.cache_clear()
    images = decode_files([good, broken], [[height, width]] * 2, CPU)
    assert (images[1] == device_crops.GREY).all()
    torch.testing.assert_close(
        images[0], torch.from_numpy(np.array(
            Image.open(folder / 'cat.jpg'))).permute(2, 0, 1))
    assert len(said) == 2 and "decode='fast'" in said[0]


def test_large_batches_are_decoded_in_pieces(folder, monkeypatch):
    ours = batch(folder, 'device')['inputs']
    whole = decode_crops(ours, CPU)
    monkeypatch.setattr(device_crops, 'DECODED', 150_000)
    monkeypatch.setattr(batch_crops, 'PIXELS', 50_000)
    assert torch.equal(decode_crops(ours, CPU), whole)


def test_different_sizes_are_cropped_as_equal_ones():
    torch.manual_seed(0)
    images = torch.randint(256, (9, 3, 40, 60), dtype=torch.uint8)
    boxes, flip = random_boxes(9, 40, 60), torch.rand(9) < .5
    want = resize_crops(images, boxes, (16, 24), flip)
    got = resize_different(list(images), Boxes(*boxes), (16, 24), flip)
    # The same sums in other products.
    assert difference(got, want).max() <= 1


@pytest.mark.parametrize('step, name', [
    (dict(type='ColorJitter', brightness=.4), 'ColorJitter'),
    (dict(type='RandomFlip', prob=.5, direction='vertical'), 'RandomFlip')])
def test_steps_that_want_pixels_are_refused(folder, step, name):
    first, flip, pack = pipeline('device')
    with pytest.raises(ValueError, match=f'no pixels for {name}'):
        ImageFolder(str(folder), pipeline=[first, step, pack])
    with pytest.raises(ValueError, match='PackInputs'):
        ImageFolder(str(folder), pipeline=[first, flip])
    with pytest.raises(ValueError, match='as Pillow does'):
        ImageFolder(str(folder), pipeline=pipeline('device', backend='cv2'))
