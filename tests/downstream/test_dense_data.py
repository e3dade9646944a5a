# Copyright (c) OpenMMLab. All rights reserved.
"""What is wrong with the data is said before the first step."""
import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch import nn

from sbam_mm.engine.data_files import check_data_files
from sbam_mm.engine.hooks import DenseDataHook
from sbam_mm.errors import UserError

pytestmark = pytest.mark.unit


class Images(list):
    """As much of a data set as the hook looks at."""

    def __init__(self, count, classes):
        super().__init__(range(count))
        self.metainfo = dict(classes=classes)


def runner(train, val, classes):
    model = nn.Module()
    model.decode_head = nn.Module()
    model.decode_head.num_classes = classes

    def loader(dataset):
        return SimpleNamespace(dataset=dataset)

    return SimpleNamespace(
        model=model,
        train_dataloader=loader(train),
        val_loop=SimpleNamespace(dataloader=loader(val)))


def test_what_fits_passes():
    images = Images(2, ('cat', 'dog'))
    DenseDataHook().before_train(runner(images, images, 2))


@pytest.mark.parametrize('train, val, classes, words', [
    ((0, 'ab'), (2, 'ab'), 2, 'training split has no sample'),
    ((2, 'ab'), (0, 'ab'), 2, 'validation split has no sample'),
    ((2, 'abc'), (2, 'ab'), 2, 'training split has 3 classes .* model 2'),
    ((2, 'ab'), (2, 'a'), 2, 'validation split has 1 classes .* model 2'),
])
def test_empty_splits_and_other_classes_are_refused(train, val, classes,
                                                    words):
    with pytest.raises(ValueError, match=words) as error:
        DenseDataHook().before_train(
            runner(Images(*train), Images(*val), classes))
    assert str(error.value).count('. ') == 0


@pytest.fixture
def coco(tmp_path):
    """A detection config whose files are all there."""
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train.json').write_text('{}')
    dataset = dict(
        type='CocoDataset',
        data_root=str(tmp_path),
        ann_file='train.json',
        data_prefix=dict(img='train/'))
    return Config(
        dict(
            default_scope='mmdet',
            train_dataloader=dict(
                dataset=dict(type='ClassBalancedDataset', dataset=dataset)),
            val_dataloader=dict(dataset=dataset)))


def test_files_that_are_there_pass(coco):
    check_data_files(coco, 'train', 'val')


@pytest.mark.parametrize('name', ['train.json', 'train'])
def test_missing_files_are_named_before_anything_is_built(
        coco, name, tmp_path):
    (tmp_path / name).rename(tmp_path / 'elsewhere')
    for split in ('train', 'val'):
        with pytest.raises(UserError, match=split) as error:
            check_data_files(coco, split)
        assert str(tmp_path / name) in str(error.value)
        assert str(error.value).count('. ') == 0


def test_the_annotations_of_the_metric_are_looked_for(coco):
    coco.val_evaluator = dict(type='CocoMetric', ann_file='/nowhere.json')
    check_data_files(coco, 'train')
    with pytest.raises(UserError, match='/nowhere.json') as error:
        check_data_files(coco, 'val')
    assert str(error.value).count('. ') == 0


@pytest.mark.parametrize('package', [None, 'release'])
def test_lvis_needs_a_package_that_evaluates(
        coco, package, tmp_path, monkeypatch):
    """Not the release on PyPI, of which this has as much as is looked at."""
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    if package:
        (tmp_path / 'lvis').mkdir()
        (tmp_path / 'lvis/__init__.py').touch()
    coco.val_dataloader.dataset.type = 'LVISV1Dataset'
    check_data_files(coco, 'train')
    with pytest.raises(UserError, match='lvis-api.git'):
        check_data_files(coco, 'val')
    (tmp_path / 'lvis').mkdir(exist_ok=True)
    (tmp_path / 'lvis/__init__.py').touch()
    (tmp_path / 'lvis/boundary_utils.py').touch()
    importlib.invalidate_caches()
    check_data_files(coco, 'val')
    sys.modules.pop('lvis', None)


def test_the_tool_says_it_in_one_line(tmp_path):
    """As a user meets it, whose libraries are not even imported."""
    tool = Path(__file__).parents[2] / 'tools/train.py'
    config = 'configs/mmseg/upernet_vitb_160k_ade20k.py'
    result = subprocess.run([
        sys.executable, tool, tool.parents[1] / config, '--data-root',
        tmp_path, '--work-dir', tmp_path / 'work'
    ], capture_output=True, text=True)  # yapf: disable
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and 'images/training' in last
    assert not (tmp_path / 'work').exists()
