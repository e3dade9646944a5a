# Copyright (c) OpenMMLab. All rights reserved.
"""Errors that are the user's to correct end a run with one sentence."""
import json
import re

import pytest
from mmengine.dataset import BaseDataset
from torch.utils.data import DataLoader, Dataset

from sbam_mm.datasets.transforms import LoadLabelMap
from sbam_mm.engine.sentences import one_sentence

pytestmark = pytest.mark.unit


class Masks(Dataset):
    """One mask, which is not there."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return LoadLabelMap()(dict(seg_map_path='/nowhere/1.png'))


class Photographs(Masks):
    """One photograph, which is not there."""

    def __getitem__(self, index):
        with open('/nowhere/1.jpg') as file:
            return file


class Listed(BaseDataset):
    """Of a JSON file, as COCO's."""

    def load_data_list(self):
        with open(self.ann_file) as file:
            return json.load(file)


def first_of(dataset, workers):
    with one_sentence():
        next(iter(DataLoader(dataset, num_workers=workers)))


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('dataset, words', [
    (Masks(), 'error: the mask /nowhere/1.png does not exist; every'),
    (Photographs(), 'error: the file /nowhere/1.jpg does not exist; copy'),
], ids=['mask', 'photograph'])  # yapf: disable
def test_a_file_is_named_by_whichever_process_reads_it(
        dataset, words, workers, capsys):
    with pytest.raises(SystemExit):
        first_of(dataset, workers)
    said, = capsys.readouterr().err.splitlines()
    assert said.startswith(words)


@pytest.mark.parametrize('content, words', [
    ('[]', 'Listed finds no sample in .*few.json'),
    ('[{"img_id": 1', 'few.json is no complete JSON file'),
])
def test_the_annotation_file_is_named(content, words, tmp_path, capsys):
    (tmp_path / 'few.json').write_text(content)
    with pytest.raises(SystemExit), one_sentence():
        Listed(ann_file=str(tmp_path / 'few.json'))
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.parametrize('fail', [
    lambda: int('seven'), lambda: [][0], lambda: json.loads('{')])
def test_a_bug_keeps_its_traceback(fail):
    with pytest.raises((ValueError, IndexError)):
        with one_sentence():
            fail()
