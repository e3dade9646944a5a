# Copyright (c) OpenMMLab. All rights reserved.
"""The examples in docstrings run."""
import doctest
import importlib
import pkgutil

import pytest

import sbam_mm

pytestmark = pytest.mark.unit
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(sbam_mm.__path__, 'sbam_mm.'))
# What else they import; it may be missing.
LIBRARIES = {
    'sbam_mm.adapters.hf': 'transformers',
    'sbam_mm.adapters.packed': 'timm',
    'sbam_mm.adapters.timm': 'timm',
}


@pytest.mark.parametrize('name', MODULES)
def test_examples(name, tmp_path, monkeypatch):
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    monkeypatch.chdir(tmp_path)
    # By name: a package's function may hide the module of the same name.
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    count = sum(
        len(test.examples) for name in MODULES if name not in LIBRARIES
        for test in finder.find(importlib.import_module(name)))
    assert count > 200
