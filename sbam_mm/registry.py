# Copyright (c) OpenMMLab. All rights reserved.
"""Registries of ``sbam_mm``, children of mmpretrain's.

A config anywhere in OpenMMLab writes ``type='sbam_mm.MAE'`` and mmengine finds
it here: the scope names this module, ``locations`` are imported at the first
look-up, and what is not ours is looked up in mmpretrain and mmengine. No
``custom_imports`` is needed. ``sbam_mm.masking`` knows nothing of registries:
what it lists is registered here, at that first look-up, too.
"""
from sbam_mm.installed_stack import check_stack

check_stack()  # the next lines need it

# ruff: noqa: E402
import inspect
from importlib import import_module
from typing import Any

import mmengine.registry as root
import mmpretrain.registry as parent
from mmengine.registry import Registry
from torch import nn

from sbam_mm.errors import UserError
from sbam_mm.finite import finite_options

# A child looks into its parent but does not import it: without this line
# `default_scope = 'sbam_mm'` would not find mmpretrain's own models.
import mmpretrain.models  # noqa: F401  isort: skip


class ModelRegistry(Registry):
    """Models and their parts, which refuse NaN and infinite options."""

    def import_from_location(self) -> None:
        masking = import_module('sbam_mm.masking')
        for name in masking.__all__:
            kind = getattr(masking, name)
            if not (inspect.isclass(kind) and issubclass(kind, nn.Module)):
                continue
            known = self.module_dict.setdefault(name, finite_options(kind))
            # Later, somebody may have put his own here with force=True.
            if known is not kind and not self._imported:
                raise UserError(
                    f'{known.__module__} registers a class {name}, and so '
                    'does sbam_mm; give yours another name.')
        super().import_from_location()

    def _register_module(self, module: type, *args: Any,
                         **kwargs: Any) -> None:
        super()._register_module(finite_options(module), *args, **kwargs)


MODELS = ModelRegistry(
    'model',
    scope='sbam_mm',
    parent=parent.MODELS,
    locations=['sbam_mm.models', 'sbam_mm.segments', 'sbam_mm.downstream'])
DATASETS = Registry(
    'dataset',
    scope='sbam_mm',
    parent=parent.DATASETS,
    locations=['sbam_mm.datasets'])
TRANSFORMS = Registry(
    'transform',
    scope='sbam_mm',
    parent=parent.TRANSFORMS,
    locations=['sbam_mm.datasets', 'sbam_mm.segments'])
HOOKS = Registry(
    'hook',
    scope='sbam_mm',
    parent=parent.HOOKS,
    locations=['sbam_mm.engine', 'sbam_mm.evaluation'])
DATA_SAMPLERS = Registry(
    'data sampler',
    scope='sbam_mm',
    parent=parent.DATA_SAMPLERS,
    locations=['sbam_mm.datasets'])
FUNCTIONS = Registry(
    'function',
    scope='sbam_mm',
    parent=root.FUNCTIONS,
    locations=['sbam_mm.datasets'])
# A child of mmengine's own, which mmseg and mmdet look into as well.
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    scope='sbam_mm',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['sbam_mm.engine'])

STRATEGIES = Registry(
    'strategy',
    scope='sbam_mm',
    parent=root.STRATEGIES,
    locations=['sbam_mm.engine'])

# mmseg and mmdet look for another scope among the children of the root alone.
for _ours, _root in ((MODELS, root.MODELS), (DATASETS, root.DATASETS),
                     (TRANSFORMS, root.TRANSFORMS), (HOOKS, root.HOOKS),
                     (DATA_SAMPLERS, root.DATA_SAMPLERS)):
    _root.children[_ours.scope] = _ours


def build_part(part: dict | nn.Module) -> nn.Module:
    """Build a module from its config, or take one that is built already."""
    return MODELS.build(part) if isinstance(part, dict) else part
