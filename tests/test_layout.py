# Copyright (c) OpenMMLab. All rights reserved.
"""Imports go one way: no two folders of the package need each other."""
import ast
import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest
import torch
from small_runs import write_images
from started_tools import call_tool, load_tool

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / 'sbam_mm').rglob('*.py'))
MODULES = {'.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix(
    '.__init__'): file for file in FILES}


def imported(file: Path) -> Iterator[str]:
    """Full names of all that a file imports, also within functions."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) + 1 - node.level] * (node.level > 0)
            module = '.'.join((*start, *filter(None, [node.module])))
            # A name may be a module itself.
            yield from (f'{module}.{name.name}' for name in node.names)


def folder_of(name: str) -> str:
    """Of an imported name of ours; nothing of others."""
    while name and name not in MODULES:
        name = name.rpartition('.')[0]
    return name and '.'.join(MODULES[name].relative_to(ROOT).parent.parts)


def imports() -> dict[str, set[str]]:
    """Which folders each folder imports; the top modules are one of them."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        own = '.'.join(file.relative_to(ROOT).parent.parts)
        others = {folder_of(name) for name in imported(file)} - {own, ''}
        if file.name == '__init__.py':
            # Which only gathers what its sub-folders export.
            others = {other for other in others
                      if not other.startswith(f'{own}.')}
        found.setdefault(own, set()).update(others)
    return found


def test_no_two_folders_import_each_other():
    found = imports()
    pairs = {(own, other) for own, others in found.items()
             for other in others if own < other and own in found[other]}
    assert not pairs


def top_imports() -> dict[str, set[str]]:
    """The same of the folders below sbam_mm, with all that is in them."""
    found: dict[str, set[str]] = {}
    for own, others in imports().items():
        top = '.'.join(own.split('.')[:2])
        found.setdefault(top, set()).update(
            {'.'.join(other.split('.')[:2]) for other in others} - {top})
    return found


def test_folders_have_an_order():
    """Of the folders below sbam_mm, in a circle of any length."""
    order = list(TopologicalSorter(top_imports()).static_order())
    assert order[0] == 'sbam_mm'
    assert set(order) == {'.'.join(name.split('.')[:2]) for name in imports()}


def test_tools_import_nothing_from_one_another():
    tools = {path.stem for path in (ROOT / 'tools').rglob('*.py')}
    for file in (ROOT / 'tools').glob('*.py'):
        for name in imported(file):
            assert name.split('.')[0] not in tools | {'tools'}, file


PAGE = (ROOT / 'docs/layout.md').read_text(encoding='utf-8')


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading of docs/layout.md."""
    text = PAGE.split(heading, 1)[1]
    table = re.search(r'\n\|.*?\|\n\|---.*?\n(.*?)\n\n', text, re.S)
    return [[cell.strip() for cell in line.strip('|').split(' | ')]
            for line in table[1].splitlines()]


def test_the_page_says_what_each_folder_imports():
    said = {
        row[0].strip('`/'): set(re.findall(r'`(\w+)`', ''.join(row[2:])))
        for row in rows('# How the code is laid out')
    }
    said.pop('files of `sbam_mm')
    assert said == {
        own.removeprefix('sbam_mm.'):
        {other.removeprefix('sbam_mm.') for other in others} - {'sbam_mm'}
        for own, others in top_imports().items() if own != 'sbam_mm'
    }


def test_the_figure_has_every_import_as_a_path():
    arrows: dict[str, set[str]] = {}
    figure = re.search('```mermaid\n(.*?)```', PAGE, re.S)[1]
    for line in re.findall('(.*) --> (.*)', figure):
        sources, targets = (set(re.findall(
            r'\w+', re.sub(r'\[.*\]', '', side))) for side in line)
        for source in sources:
            arrows.setdefault(source, set()).update(targets)
    found = {
        own.removeprefix('sbam_mm.'):
        {other.removeprefix('sbam_mm.') for other in others}
        for own, others in top_imports().items() if own != 'sbam_mm'
    }
    found['tools'] = {
        folder_of(name).removeprefix('sbam_mm.').split('.')[0]
        for file in (ROOT / 'tools').glob('*.py') for name in imported(file)
    } - {''}
    for own, others in found.items():
        others = {'top' if other == 'sbam_mm' else other for other in others}
        todo, seen = list(arrows[own]), set()
        while todo:
            seen.add(one := todo.pop())
            todo += arrows.get(one, ())
        assert others <= seen, own
        if own != 'tools':
            assert arrows[own] <= others | {'top'}, own
    assert set(chain(arrows, *arrows.values())) == {*found, 'top'}


class Passed:
    """Files of ours that are called while it lasts, in that order."""

    def __enter__(self):
        self.files = {}
        sys.setprofile(self.note)
        return self.files

    def note(self, frame, event, _):
        path = frame.f_code.co_filename.removeprefix(f'{ROOT}/')
        if event == 'call' and path.startswith(('sbam_mm/', 'tools/')):
            self.files.setdefault(path.removeprefix('sbam_mm/'))

    def __exit__(self, *_):
        sys.setprofile(None)


def test_the_page_follows_a_training_step(tiny_mae):
    model, images = tiny_mae('SBAM'), torch.randn(4, 3, 32, 32)
    model.loss(images)
    with Passed() as files:
        model.loss(images)
    said = [row[0].strip('`') for row in rows('## One training step')]
    assert said == list(files)


def test_the_page_follows_an_evaluation(tmp_path, tiny_mae):
    config = tmp_path / 'mae.py'
    config.write_text(
        "model = dict(type='sbam_mm.MAE', backbone=dict("
        "type='sbam_mm.MaskedViT', img_size=32, patch_size=8, arch=dict("
        'embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)))')
    torch.save(tiny_mae().state_dict(), tmp_path / 'mae.pth')
    load_tool('evaluate')
    with Passed() as files:
        ended = call_tool(
            'evaluate', tmp_path / 'mae.pth', '--config', config, '--data',
            write_images(tmp_path / 'images'), '--out', tmp_path / 'out',
            '--workers', 0, '--set', 'knn.k=5')
    assert ended.code == 0, ended.err
    said = [row[0].strip('`') for row in rows('## One evaluation')]
    assert [path for path in files if path in said] == said
