# Copyright (c) OpenMMLab. All rights reserved.
"""What a config can name, Python can import from where one looks."""
import importlib
import sys

import pytest

from sbam_mm import registry

pytestmark = pytest.mark.unit
REGISTRIES = [
    registry.MODELS, registry.DATASETS, registry.TRANSFORMS, registry.HOOKS,
    registry.FUNCTIONS, registry.OPTIM_WRAPPER_CONSTRUCTORS,
    registry.STRATEGIES
]
# Packages that also gather what their sub-packages export.
GATHER = ('sbam_mm.models', 'sbam_mm.datasets')


@pytest.mark.parametrize('table', REGISTRIES, ids=lambda table: table.name)
def test_all_that_is_registered_can_be_imported(table):
    table.import_from_location()
    ours = {
        kind for kind in table.module_dict.values()
        if kind.__module__.startswith('sbam_mm.')
    }
    assert ours
    for kind in ours:
        package = kind.__module__
        while not hasattr(sys.modules[package], '__path__'):
            package = package.rpartition('.')[0]
        gather = {name for name in GATHER if package.startswith(f'{name}.')}
        for name in {package, *gather}:
            exported = getattr(sys.modules[name], '__all__', ())
            assert kind.__name__ in exported, (name, kind)
            assert getattr(sys.modules[name], kind.__name__) is kind


@pytest.mark.parametrize('package, name, place', [
    ('sbam_mm.models', 'DistilMAE', 'sbam_mm.segments'),
    ('sbam_mm.layers', 'SegmentBias', 'sbam_mm.segments'),
    ('sbam_mm.datasets', 'LoadSegments', 'sbam_mm.segments'),
    ('sbam_mm.engine.hooks', 'KNNHook', 'sbam_mm.evaluation'),
])
def test_names_that_moved_are_found_with_a_warning(package, name, place):
    module = importlib.import_module(package)
    with pytest.warns(DeprecationWarning, match=f'is now {place}.{name}'):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(place), name)
    with pytest.raises(AttributeError, match='no attribute'):
        module.Nothing  # noqa: B018
