# Copyright (c) OpenMMLab. All rights reserved.
"""The notebooks run as they are, and show what was stored."""
import os
import tempfile
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
# Of an embedded figure, in bytes.
MOST = 150 * 1024

pytestmark = pytest.mark.integration


def figures(book):
    return [output.data['image/jpeg'] for cell in book.cells
            for output in cell.get('outputs', ())
            if 'image/jpeg' in output.get('data', {})]


def printed(book):
    return [output.text for cell in book.cells
            for output in cell.get('outputs', ())
            if output.output_type == 'stream' and output.name == 'stdout']


@pytest.mark.parametrize('path', BOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_stored(path, tmp_path, monkeypatch):
    stored = nbformat.read(path, 4)
    book = nbformat.read(path, 4)
    for name, value in dict(
            OMP_NUM_THREADS='1', JUPYTER_PLATFORM_DIRS='1', TMPDIR=tmp_path,
            # As in an environment in which the project is installed.
            PYTHONPATH=f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
            PYTHONWARNINGS='ignore').items():
        monkeypatch.setenv(name, str(value))
    # Own images and results go to a temporary folder, wherever one starts.
    start = ROOT if path.stem.startswith('own') else path.parent
    before = {*start.iterdir()}
    nbclient.NotebookClient(
        book, timeout=300, kernel_name='python3',
        resources=dict(metadata=dict(path=str(start)))).execute()
    assert {*start.iterdir()} == before
    assert not [output for cell in book.cells
                for output in cell.get('outputs', ())
                if output.get('name') == 'stderr']
    assert len(figures(book)) == len(figures(stored)) > 0
    assert all(len(figure) * 3 / 4 < MOST for figure in figures(stored))
    # Numbers of trainings differ in the last digits between machines.
    assert [text.count('\n') for text in printed(book)] == [
        text.count('\n') for text in printed(stored)]
    if path.stem != 'pretrain_and_probe':
        assert words(book) == words(stored)


def words(book):
    """What is printed, without numbers with a fraction."""
    return [word for text in printed(book) for word in text.split()
            if '.' not in word]


@pytest.mark.parametrize('path', BOOKS, ids=lambda path: path.stem)
def test_it_is_stored_as_it_was_run(path):
    cells = [cell for cell in nbformat.read(path, 4).cells
             if cell.cell_type == 'code']
    assert [cell.execution_count for cell in cells] == list(
        range(1, len(cells) + 1))
    text = path.read_text(encoding='utf-8')
    private = {tempfile.gettempdir(), '/home', str(Path.home()), str(ROOT),
               str(ROOT.parent)} - {'/'}
    assert not [folder for folder in private if f'{folder}/' in text]
