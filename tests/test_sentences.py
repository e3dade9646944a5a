# Copyright (c) OpenMMLab. All rights reserved.
"""Errors that are the user's to correct end a run with one sentence."""
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader, Dataset

from sbam_mm.command_line import keep_tracebacks_in, run_or_explain
from sbam_mm.datasets.transforms import LoadLabelMap
from sbam_mm.files import read_array
from sbam_mm.registry import MODELS

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
    next(iter(DataLoader(dataset, num_workers=workers)))


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('dataset, words', [
    (Masks(), 'error: the mask /nowhere/1.png does not exist; every'),
    (Photographs(), 'error: /nowhere/1.jpg does not exist; check the path'),
], ids=['mask', 'photograph'])  # yapf: disable
def test_a_file_is_named_by_whichever_process_reads_it(
        dataset, words, workers, capsys):
    with pytest.raises(SystemExit):
        run_or_explain(first_of, dataset, workers)
    said, = capsys.readouterr().err.splitlines()
    assert said.startswith(words)


@pytest.mark.parametrize('content, words', [
    ('[]', 'Listed finds no sample in .*few.json'),
    ('[{"img_id": 1', 'few.json is no complete JSON file'),
])
def test_the_annotation_file_is_named(content, words, tmp_path, capsys):
    (tmp_path / 'few.json').write_text(content)
    with pytest.raises(SystemExit):
        run_or_explain(lambda: Listed(ann_file=str(tmp_path / 'few.json')))
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.parametrize('fail', [
    lambda: int('seven'), lambda: [][0], lambda: json.loads('{'),
    lambda: torch.ones(2) @ torch.ones(3)])
def test_the_traceback_of_a_bug_is_kept_and_named(fail, tmp_path, capsys):
    keep_tracebacks_in(tmp_path / 'run')
    with pytest.raises(SystemExit) as end:
        run_or_explain(fail)
    assert end.value.code == 2
    said, = capsys.readouterr().err.splitlines()
    path = tmp_path / 'run' / f'traceback_{os.getpid()}.txt'
    assert said.startswith('error: ') and f'the traceback is in {path}' in said
    text = path.read_text()
    assert text.startswith('Traceback') and 'in <lambda>' in text


def test_ctrl_c_is_no_error(capsys):

    def work():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        run_or_explain(work)
    assert end.value.code == 130
    assert capsys.readouterr().err == 'stopped by Ctrl-C.\n'


class Named(torch.nn.Module):
    """With options of its own and of its base."""

    def __init__(self, depth=1, **kwargs):
        super().__init__()


@pytest.mark.parametrize('config, words', [
    (dict(type='sbam_mm.SBAMM'), "the model 'sbam_mm.SBAMM', which is not "
     'known; did you mean sbam_mm.SBAM?'),
    (dict(type='sbam_mm.sbam'), 'did you mean sbam_mm.SBAM?'),
    (dict(type='sbam_mm.SBAM', rato=.5), "SBAM in the config has no option "
     "'rato'; did you mean 'ratio'?"),
    (dict(type='sbam_mm.MAEDecoder', embed_dm=3),
     "no option 'embed_dm'; did you mean 'embed_dim'?"),
    (dict(type='sbam_mm.DINOHead'), "DINOHead in the config lacks 'in_dim'"),
    (dict(ratio=.5), 'has no type'),
    (dict(type='sbam_mm.SBAM', ratio='many'), "SBAM cannot be built from "
     "{'ratio': 'many'}"),
])
def test_names_and_options_that_nothing_knows(config, words, capsys):
    with pytest.raises(SystemExit):
        run_or_explain(MODELS.build, config)
    said, = capsys.readouterr().err.splitlines()
    assert words in said, said


def test_a_name_without_its_scope(capsys):
    MODELS.get('sbam_mm.SBAM')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        with pytest.raises(SystemExit):
            run_or_explain(MODELS.build, dict(type='SBAM'))
    said, = capsys.readouterr().err.splitlines()
    assert said.endswith('did you mean sbam_mm.SBAM?'), said


def test_a_full_disk_is_named(capsys):
    with pytest.raises(SystemExit):
        run_or_explain(Path('/dev/full').write_text, 'x')
    assert 'there is no space left' in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, capsys):
    (tmp_path / '.new').write_text('x')
    (tmp_path / 'curve.png').mkdir()
    with pytest.raises(SystemExit):
        run_or_explain(os.replace, tmp_path / '.new', tmp_path / 'curve.png')
    assert 'curve.png is a folder' in capsys.readouterr().err


def test_names_of_any_bytes_are_printed(tmp_path, capsys):
    name = os.fsdecode(b'caf\xe9.jpg')
    with pytest.raises(SystemExit):
        run_or_explain(open, tmp_path / name)
    assert 'caf\\udce9.jpg does not exist' in capsys.readouterr().err


def test_arrays_of_objects_are_not_read(tmp_path, capsys):
    path = tmp_path / 'a.npy'
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(SystemExit):
        run_or_explain(read_array, path)
    assert f'{path} is no array of numbers' in capsys.readouterr().err
