# Copyright (c) OpenMMLab. All rights reserved.
"""Numbers and channels of any kind become levels by one rule, or are named."""
import io

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from sbam_mm.datasets import (
    EncodedImage,
    ImageFolder,
    ImagesOnDevice,
    UnreadableImagesError,
    decode_image,
)
from sbam_mm.datasets.reading.levels import to_levels, upright
from sbam_mm.visualization.photographs import load_image

RAMP = np.linspace(0, 1, 24 * 20).reshape(24, 20)


def saved(image, kind):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def rises(levels):
    return (np.diff(levels.astype(int).ravel()) >= 0).all()


# What is stored, and its range.
DEEP = {
    'float32': (RAMP.astype(np.float32), (0, 1)),
    'counts': (RAMP.astype(np.float32) * 4000, (0, 4000)),
    'float64': (RAMP * 2 - 1, (-1, 1)),
    'float16': (RAMP.astype(np.float16), (0, 1)),
    'int32': ((RAMP * 1e6).astype(np.int32), (0, 1e6)),
    'uint32': ((RAMP * 4e9).astype(np.uint32), (0, 4e9)),
    'int16': ((RAMP * 4000 - 1000).astype(np.int16), (-1000, 3000)),
    'int8': ((RAMP * 200 - 100).astype(np.int8), (-100, 100)),
    'big_endian': (RAMP.astype('>f4'), (0, 1)),
}


@pytest.mark.unit
@pytest.mark.parametrize('write', [tiff, npy])
@pytest.mark.parametrize('kind', DEEP)
def test_deep_values_need_a_range_and_rise_with_it(kind, write):
    values, limits = DEEP[kind]
    content = write(values)
    with pytest.raises(ValueError, match='value_range'):
        decode_image(content)
    with pytest.raises(ValueError, match='value_range'):
        EncodedImage(content).whole()
    for channels in (1, 3):
        levels = decode_image(content, channels, limits)
        assert levels.dtype == np.uint8
        assert levels.shape == (24, 20, channels)
        assert rises(levels[..., 0])
        assert (levels.min(), levels.max()) == (0, 255)
        expected = np.rint(255 * RAMP)
        # 201 values of int8 on 256 levels.
        assert np.abs(levels[..., 0] - expected).max() <= 2
    # A window of the range is stretched, the rest clipped.
    low, high = limits
    middle = (low + (high - low) / 4, low + (high - low) * 3 / 4)
    levels = decode_image(content, 1, middle)[..., 0]
    assert rises(levels)
    assert (levels == 0).mean() == pytest.approx(.25, abs=.01)
    assert (levels == 255).mean() == pytest.approx(.25, abs=.01)


@pytest.mark.unit
def test_pillows_float_and_integer_tiffs_as_other_programs_write_them():
    for values in (RAMP.astype(np.float32), (RAMP * 1e6).astype(np.int32)):
        content = saved(values, 'tiff')
        with pytest.raises(ValueError, match='value_range'):
            decode_image(content)
        levels = decode_image(content, value_range=(0, float(values.max())))
        assert rises(levels[..., 0])
        assert len(np.unique(levels)) > 200


@pytest.mark.unit
@pytest.mark.parametrize('write', ['png', 'tiff', 'npy', 'pgm'])
def test_sixteen_bits_are_the_types_range_or_the_given_one(write):
    values = (RAMP * 65535).astype(np.uint16)
    twelve = (RAMP * 4095).astype(np.uint16)

    def content(array):
        if write == 'npy':
            return npy(array)
        if write == 'pgm':
            return cv2.imencode('.pgm', array)[1].tobytes()
        return saved(array, write)

    assert (decode_image(content(values)) == (values // 257)[..., None]).all()
    levels = decode_image(content(twelve), value_range=(0, 4095))
    assert rises(levels[..., 0])
    assert np.abs(levels[..., 0] - 255 * RAMP).max() < 1.01


@pytest.mark.unit
@pytest.mark.parametrize('write', ['png', 'tiff'])
def test_sixteen_bit_colour_keeps_its_order(write):
    values = np.stack([RAMP, 1 - RAMP, RAMP / 2], 2)
    sixteen = (values * 4095).astype(np.uint16)
    content = (tiff(sixteen, photometric='rgb') if write == 'tiff' else
               cv2.imencode('.png', sixteen[..., ::-1])[1].tobytes())
    levels = decode_image(content, value_range=(0, 4095))[..., ::-1]
    assert np.abs(levels - 255 * values).max() < 1.01
    encoded = EncodedImage(content, value_range=(0, 4095))
    assert (np.asarray(encoded.whole()) == levels).all()
    # Cut short, it is not filled up.
    with pytest.raises(Exception):  # noqa: B017  Pillow raises many kinds
        decode_image(content[:len(content) // 2], value_range=(0, 4095))


@pytest.mark.unit
@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    values = RAMP.astype(np.float32)
    values[3, 4] = bad
    for content in (tiff(values), npy(values), saved(values, 'tiff')):
        with pytest.raises(ValueError, match='NaN or infinite'):
            decode_image(content, value_range=(0, 1))


@pytest.mark.unit
def test_complex_values_objects_and_damage_are_refused():
    with pytest.raises(ValueError, match='brightness'):
        decode_image(npy(RAMP.astype(complex)), 1, (0, 1))
    with pytest.raises(ValueError):
        decode_image(npy(np.array([[object()]])), 1)
    for content in (npy(RAMP), tiff(RAMP.astype(np.float32)),
                    tiff(RAMP.astype(np.float32), compression='zlib')):
        with pytest.raises(Exception):  # noqa: B017  as many as Pillow's
            decode_image(content[:len(content) * 2 // 3], 1, (0, 1))


@pytest.mark.unit
def test_a_dark_sixteen_bit_image_is_told_of_once(caplog):
    from mmengine.logging import MMLogger

    from sbam_mm.datasets.reading import levels
    levels._told.value = 0
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    dark = (RAMP * 4095).astype(np.uint16)
    for _ in range(2):
        decode_image(saved(dark, 'png'))
    logger.removeHandler(caplog.handler)
    assert caplog.text.count('value_range=(0, 4095)') == 1


def layered(channels, dtype=np.uint8):
    rng = np.random.default_rng(channels)
    return rng.integers(0, 256, (24, 20, channels)).astype(dtype)


@pytest.mark.unit
@pytest.mark.parametrize('channels', [1, 2, 4, 5, 13])
def test_channels_interleaved_planar_and_as_pages(channels):
    pixels = layered(channels)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    grey = dict(photometric='minisblack')
    files = channels > 1 and dict(
        npy=npy(pixels),
        npy_planar=npy(planes),
        interleaved=tiff(pixels, planarconfig='contig', **grey),
        planar=tiff(planes, planarconfig='separate', **grey),
        deflated=tiff(planes, planarconfig='separate', compression='zlib',
                      **grey),
        pages=tiff(planes, metadata=None, **grey),
        unasked=tiff(pixels, **grey))
    if channels == 1:
        files = dict(
            npy=npy(pixels), flat=npy(pixels[..., 0]), page=tiff(planes[0]),
            png=saved(pixels[..., 0], 'png'))
    for name, content in files.items():
        np.testing.assert_array_equal(
            decode_image(content, channels), pixels, err_msg=name)
        encoded = EncodedImage(content, channels)
        assert encoded.shape == (24, 20)
        np.testing.assert_array_equal(
            encoded.bands((2, 3, 12, 9)), pixels[3:9, 2:12])
        if channels > 1:
            with pytest.raises(ValueError, match='instead of 7 channels'):
                decode_image(content, 7)


@pytest.mark.unit
def test_pillows_four_channels_are_not_weighed_by_alpha():
    pixels = layered(4)
    for mode, kind in (('RGBA', 'png'), ('CMYK', 'tiff')):
        buffer = io.BytesIO()
        Image.fromarray(pixels, mode).save(buffer, kind)
        np.testing.assert_array_equal(
            decode_image(buffer.getvalue(), 4), pixels)
    with pytest.raises(ValueError, match='instead of 4 channels'):
        decode_image(saved(layered(3), 'png'), 4)
    grey = decode_image(saved(layered(3), 'png'), 1)
    assert grey.shape == (24, 20, 1)


@pytest.mark.unit
def test_a_range_for_each_channel_and_wrong_options():
    values = np.stack([RAMP, RAMP * 10], 2)
    levels = decode_image(npy(values), 2, [(0, 1), (0, 10)])
    np.testing.assert_array_equal(levels[..., 0], levels[..., 1])
    for channels, limits in ((2, (1, 0)), (2, (0, np.nan)), (2, 5),
                             (2, [(0, 1)] * 3), (0, None), (2.5, None),
                             (2, 'ab')):
        with pytest.raises(ValueError, match='channel'):
            ImageFolder('x', channels=channels, value_range=limits)


@pytest.mark.unit
@pytest.mark.parametrize('orientation', range(1, 9))
def test_tiffs_are_turned_as_pillow_turns_them(orientation):
    pixels = layered(3)
    content = tiff(pixels, photometric='rgb', extratags=[
        (274, 'H', 1, orientation, True)])
    expected = np.asarray(decode_image(content))[..., ::-1]
    np.testing.assert_array_equal(upright(pixels, orientation), expected)
    deep = tiff(pixels.astype(np.uint16) * 257, photometric='rgb',
                extratags=[(274, 'H', 1, orientation, True)])
    np.testing.assert_array_equal(decode_image(deep)[..., ::-1], expected)


def write_folder(root, channels=4, count=4):
    for half in ('train', 'test'):
        for name in 'ab':
            folder = root / half / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = layered(channels) // 2 + 100 * (name == 'b')
                np.save(folder / f'{i}.npy', pixels.astype(np.uint16) * 10)
    return str(root)


PIPELINES = dict(
    decoded=[
        dict(type='RandomResizedCrop', scale=16, backend='pillow',
             interpolation='bicubic'),
        dict(type='RandomFlip', prob=1.),
        dict(type='PackInputs')
    ],
    cropped=[
        dict(type='sbam_mm.LoadRandomResizedCrop', scale=16,
             backend='pillow', interpolation='bicubic', decode='fast'),
        dict(type='RandomFlip', prob=1.),
        dict(type='PackInputs')
    ],
    judged=[
        dict(type='ResizeEdge', scale=18, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=16),
        dict(type='PackInputs')
    ],
    resized=[dict(type='Resize', scale=(16, 16)), dict(type='PackInputs')])


@pytest.mark.unit
@pytest.mark.parametrize('channels', [1, 2, 4, 13])
@pytest.mark.parametrize('name', PIPELINES)
@pytest.mark.parametrize('cache', [False, True])
def test_pipelines_treat_every_channel_alike(tmp_path, channels, name, cache):
    root = write_folder(tmp_path, channels)
    dataset = ImageFolder(
        root, data_prefix='train', channels=channels, value_range=(0, 2550),
        cache=cache, pipeline=PIPELINES[name])
    np.random.seed(0)
    inputs = dataset[0]['inputs']
    assert inputs.shape == (channels, 16, 16)
    # The same of one channel alone, as a grey image.
    single = np.load(tmp_path / 'train' / 'a' / '0.npy')[..., -1]
    for folder in ('grey/train/a', 'grey/train/b'):
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / '0.npy', single)
    grey = ImageFolder(
        str(tmp_path / 'grey'), data_prefix='train', channels=3,
        value_range=(0, 2550), pipeline=PIPELINES['decoded'] if name ==
        'cropped' else PIPELINES[name])
    np.random.seed(0)
    expected = grey[0]['inputs'][0]
    # Pillow's rounding of vectors of channels may differ by one.
    assert (inputs[-1].int() - expected.int()).abs().max() <= 1


@pytest.mark.unit
@pytest.mark.parametrize('step', [
    dict(type='ColorJitter'), dict(type='Solarize', thr=128),
    dict(type='RandomApply', prob=.8, transforms=[
        dict(type='mmpretrain.RandomGrayscale')]),
    dict(type='MultiView', num_views=[1], transforms=[[
        dict(type='GaussianBlur', magnitude_range=(.1, 2.))]]),
    dict(type='RandAugment', policies='timm_increasing', num_policies=2,
         magnitude_level=9),
])
def test_transforms_of_colour_are_refused(tmp_path, step):
    root = write_folder(tmp_path)
    with pytest.raises(ValueError, match='is for colour images'):
        ImageFolder(root, data_prefix='train', channels=4, pipeline=[step])


@pytest.mark.unit
def test_images_on_the_device_have_any_channels(tmp_path):
    root = write_folder(tmp_path)
    images = ImagesOnDevice(
        dict(type='sbam_mm.ImageFolder', data_root=root, data_prefix='train',
             channels=4, value_range=(0, 2550)), scale=16, device='cpu')
    batch = images.__getitems__([0, 5])['inputs']
    assert batch.shape == (2, 4, 16, 16)
    assert batch.dtype == torch.uint8


@pytest.mark.unit
def test_wrong_channels_stop_with_what_to_set(tmp_path):
    root = write_folder(tmp_path)
    dataset = ImageFolder(root, data_prefix='train', channels=5,
                          value_range=(0, 1))
    with pytest.raises(UnreadableImagesError, match='set channels='):
        for i in range(len(dataset)):
            dataset.prepare_data(i)


@pytest.mark.unit
def test_npy_files_beside_photographs_are_no_images(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / '0.png').write_bytes(saved(layered(3), 'png'))
    np.save(tmp_path / 'a' / '0.npy', RAMP)
    np.save(tmp_path / 'labels.npy', RAMP)
    dataset = ImageFolder(str(tmp_path))
    assert len(dataset) == 1
    assert dataset[0]['gt_label'] == 0


@pytest.mark.unit
def test_pictures_read_the_same_values(tmp_path):
    path = tmp_path / 'x.npy'
    path.write_bytes(npy(RAMP))
    with pytest.raises(ValueError, match='value_range'):
        load_image(path)
    levels = load_image(path, value_range=(0, 1))
    assert levels.shape == (24, 20, 3)
    assert rises(levels[..., 0])


@pytest.mark.unit
def test_levels_of_8_bits_are_left_alone():
    pixels = layered(3)
    assert to_levels(pixels, (0, 10)) is pixels
    assert (to_levels(np.array([[[True, False]]])) == [255, 0]).all()
