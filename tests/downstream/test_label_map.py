# Copyright (c) OpenMMLab. All rights reserved.
"""Masks of all kinds are read as class indices, or refused."""
import numpy as np
import pytest
from PIL import Image

from sbam_mm.datasets.transforms import LoadLabelMap

pytestmark = pytest.mark.unit
LABELS = np.array([[0, 1, 2], [3, 254, 255]], np.uint8)


def load(path, num_classes=None, **fields):
    results = dict(seg_map_path=str(path), seg_fields=[], **fields)
    return LoadLabelMap(num_classes)(results)['gt_seg_map']


def palette_image():
    image = Image.fromarray(LABELS, mode='P')
    image.putpalette(np.arange(768)[::-1].astype(np.uint8).tobytes())
    return image


@pytest.mark.parametrize('image', [
    Image.fromarray(LABELS),
    Image.fromarray(LABELS.astype(np.uint16)),
    palette_image(),
], ids=['grey', '16 bits', 'palette'])  # yapf: disable
def test_indices_are_read_however_they_are_stored(image, tmp_path):
    image.save(tmp_path / 'mask.png')
    labels = load(tmp_path / 'mask.png')
    assert labels.dtype == np.uint8
    assert (labels == LABELS).all()


def test_label_zero_and_renamed_classes(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / 'mask.png')
    labels = load(tmp_path / 'mask.png', reduce_zero_label=True)
    assert labels.tolist() == [[255, 0, 1], [2, 253, 255]]
    labels = load(tmp_path / 'mask.png', label_map={1: 2, 2: 1, 254: 255})
    assert labels.tolist() == [[0, 2, 1], [3, 255, 255]]


BAD = {
    'colour picture': lambda p: Image.new('RGB', (3, 2)).save(p),
    '65535': lambda p: Image.fromarray(
        np.full((2, 3), 65535, np.uint16)).save(p),
    'cannot be read': lambda p: p.write_bytes(b'\x89PNG nothing'),
    'does not exist': lambda p: None,
    'the model has 4 classes': lambda p: Image.fromarray(LABELS).save(p),
}  # yapf: disable


@pytest.mark.parametrize('words', BAD)
def test_bad_masks_get_one_sentence(words, tmp_path):
    path = tmp_path / 'mask.png'
    BAD[words](path)
    with pytest.raises(ValueError, match=words) as error:
        load(path, num_classes=4)
    assert str(path) in str(error.value)
    assert str(error.value).count('. ') == 0
