# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures, inputs and patch grids agree pixel for pixel."""
import numpy as np
import pytest
import torch
from PIL import Image

from sbam_mm.files import write_atomically
from sbam_mm.registry import MODELS
from sbam_mm.visualization import center_crop, load_image, photograph
from sbam_mm.visualization.photographs import PHOTOGRAPHS
from sbam_mm.visualization.pixels import (
    GREY,
    heat_map,
    hide_patches,
    paste_visible,
    repeat_cells,
    to_inputs,
    to_pixels,
)

pytestmark = pytest.mark.unit


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape, np.uint8)


def test_hidden_patches_are_grey_exactly_where_the_mask_is():
    image = noise(24, 32, 3)  # no pixel has the grey's 205
    masked = np.random.default_rng(1).random((3, 4)) < .5
    drawn = hide_patches(image, masked)
    for i in range(3):
        for j in range(4):
            cell = np.s_[8 * i:8 * i + 8, 8 * j:8 * j + 8]
            if masked[i, j]:
                assert (drawn[cell] == GREY).all()
            else:
                assert (drawn[cell] == image[cell]).all()
    assert drawn.dtype == np.uint8


def test_visible_pixels_are_pasted_unchanged():
    image, prediction = noise(16, 16, 3), noise(16, 16, 3, seed=1)
    masked = np.array([[True, False], [False, True]])
    drawn = paste_visible(image, prediction, masked)
    inside = repeat_cells(masked, image.shape)
    assert (drawn[~inside] == image[~inside]).all()
    assert (drawn[inside] == prediction[inside]).all()


def test_heat_map_grows_with_the_score():
    image = np.full((8, 8, 3), 100, np.uint8)
    drawn = heat_map(image, np.array([[0., .1], [.5, 1.]])).astype(int)
    levels = [drawn[y, x].sum() for y, x in ((0, 0), (0, 7), (7, 0), (7, 7))]
    assert levels == sorted(levels) and len(set(levels)) == 4
    assert (drawn[:4, :4] == drawn[0, 0]).all()


@pytest.mark.parametrize('options', [
    dict(mean=[120., 110., 100.], std=[60., 50., 40.], to_rgb=True),
    dict(mean=[120., 110., 100.], std=[60., 50., 40.]),
    dict(),
], ids=['rgb', 'bgr', 'raw'])
def test_inputs_and_pixels_are_inverse(tiny_mae, options):
    model = tiny_mae()
    model.data_preprocessor = MODELS.build(
        dict(type='SelfSupDataPreprocessor', **options))
    images = [noise(32, 32, 3), noise(32, 32, 3, seed=1)]
    inputs = to_inputs(model, images)
    assert inputs.shape == (2, 3, 32, 32)
    assert (to_pixels(model, inputs) == np.stack(images)).all()
    if options.get('to_rgb'):
        red = (images[0][..., 0] - 120.) / 60.
        assert torch.allclose(inputs[0, 0], torch.tensor(red).float())
    # Out of range is clipped, not wrapped around.
    assert to_pixels(model, torch.full((1, 3, 8, 8), 1e4)).min() == 255


def test_photographs_are_there_without_a_network():
    for name in PHOTOGRAPHS:
        image = photograph(name)
        assert image.dtype == np.uint8 and image.shape[2] == 3
    with pytest.raises(ValueError, match='choose one of astronaut, cat'):
        photograph('dog')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', 'I;16', 'CMYK',
                                  '1', 'LA'])
def test_any_mode_becomes_rgb(tmp_path, mode):
    if mode == 'I;16':
        picture = Image.fromarray(
            np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 20)
    else:
        picture = Image.fromarray(noise(48, 64, 3)).convert(mode)
    path = tmp_path / ('x.tif' if mode == 'CMYK' else 'x.png')
    picture.save(path)
    image = load_image(path)
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8
    if mode == 'I;16':
        assert image[..., 0].max() == (64 * 48 - 1) * 20 // 257
    if mode == 'RGB':
        assert (image == np.asarray(picture)).all()
    assert center_crop(image, 16).shape == (16, 16, 3)
    assert center_crop(image, (16, 8)).shape == (16, 8, 3)


@pytest.mark.parametrize('content', [None, b'', b'no image'])
def test_unreadable_image_gets_a_sentence(tmp_path, content):
    path = tmp_path / 'x.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match='x.png (does not|cannot)') as error:
        load_image(path)
    assert '\n' not in str(error.value) and str(error.value).endswith('.')


def test_truncated_image_is_no_half_picture(tmp_path):
    path = tmp_path / 'x.jpg'
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match='cannot be read'):
        load_image(path)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'x.bin'
    write_atomically(path, b'old')

    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert list(path.parent.iterdir()) == [path]
