# Copyright (c) OpenMMLab. All rights reserved.
"""STL-10 and the objects in it, from the files of two public sources."""
import json

import numpy as np
import pytest
from image_set_files import stl10
from PIL import Image
from started_tools import call_tool

from sbam_mm.datasets import stl10_objects
from sbam_mm.evaluation.object_masks import read_object_masks

pytestmark = pytest.mark.integration
CLASSES = [f'class {i}' for i in range(10)]


def test_images_and_masks_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.setattr(stl10_objects, 'TRAIN', 2)
    labels = [0, 1] * 3
    stl10(tmp_path, monkeypatch, labels, labels)
    for name in CLASSES:
        (tmp_path / f'stl10_train_{name}.json').write_text('{}')
    (tmp_path / 'stl10_train_class 1.json').write_text(json.dumps({
        str(index): {'bird_0': [[index, 0]], 'bird_1': [[15, 15]]}
        for index in (1, 5)}))
    out = tmp_path / 'out'
    ended = call_tool('prepare_data', '--stl10', tmp_path, '--masks',
                      tmp_path, '--out', out)
    assert ended.code == 0 and f'DATA_ROOT={out}' in ended.out, ended.err
    # Without a mask no image; the third of a class is for validation.
    files = sorted(str(path.relative_to(out / 'images'))
                   for path in out.rglob('*.png'))
    assert files == ['train/class 1/0001.png', 'val/class 1/0005.png']
    masks = read_object_masks(out / 'object_masks.npz')
    for file, column in zip(files, (1, 5)):
        with Image.open(out / 'images' / file) as image:
            assert image.size == (96, 96)
        found = masks(out / 'images' / file, (16, 16))
        assert np.argwhere(found).tolist() == [[0, column], [15, 15]]


def test_what_is_missing_is_a_sentence(tmp_path, monkeypatch):
    ended = call_tool('prepare_data', '--stl10', tmp_path)
    assert ended.code == 2 and 'belong together' in ended.err
    ended = call_tool('prepare_data', '--stl10', tmp_path, '--masks', tmp_path)
    assert ended.code == 2 and 'STL10 in' in ended.err
    stl10(tmp_path, monkeypatch, [0, 1], [0, 1])
    call = ('prepare_data', '--stl10', tmp_path, '--masks', tmp_path, '--out',
            tmp_path / 'out')
    ended = call_tool(*call)
    assert ended.code == 2 and 'class 0.json does not exist' in ended.err
    for text, words in (('[]', 'is damaged'), ('{"0": [[1, 2]]}', 'no lists'),
                        ('{"0": {"a": [[99, 0]]}}', 'no lists')):
        (tmp_path / 'stl10_train_class 0.json').write_text(text)
        ended = call_tool(*call)
        assert ended.code == 2 and words in ended.err
        assert ended.err.count('\n') == 1
