# Copyright (c) OpenMMLab. All rights reserved.
"""The examples in the docstrings of what users build from run."""
import doctest
import importlib
import pkgutil

import pytest

import sbam_mm.downstream
import sbam_mm.layers
import sbam_mm.masking
import sbam_mm.models

pytestmark = pytest.mark.unit
MODULES = sorted(
    module.name for package in (sbam_mm.masking, sbam_mm.layers,
                                sbam_mm.models, sbam_mm.downstream)
    for module in pkgutil.walk_packages(package.__path__,
                                        package.__name__ + '.'))


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    # By name: a package's function may hide the module of the same name.
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    count = sum(
        len(test.examples) for name in MODULES
        for test in finder.find(importlib.import_module(name)))
    assert count > 50
