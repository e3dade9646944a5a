# Copyright (c) OpenMMLab. All rights reserved.
"""Imports go one way: no two folders of the package need each other."""
import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

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


def test_folders_have_an_order():
    """Of the folders below sbam_mm, in a circle of any length."""
    found: dict[str, set[str]] = {}
    for own, others in imports().items():
        top = '.'.join(own.split('.')[:2])
        found.setdefault(top, set()).update(
            {'.'.join(other.split('.')[:2]) for other in others} - {top})
    order = list(TopologicalSorter(found).static_order())
    assert order[0] == 'sbam_mm'
    assert set(order) == {'.'.join(name.split('.')[:2]) for name in imports()}


def test_tools_import_nothing_from_one_another():
    tools = {path.stem for path in (ROOT / 'tools').rglob('*.py')}
    for file in (ROOT / 'tools').glob('*.py'):
        for name in imported(file):
            assert name.split('.')[0] not in tools | {'tools'}, file
