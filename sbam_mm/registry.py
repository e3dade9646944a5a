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
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
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

# It prints that an optional part of it is missing, which no one here uses.
with redirect_stdout(StringIO()):
    import mmpretrain.datasets  # noqa: F401


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


def _registry(name: str, of: Registry, *folders: str,
              kind: type[Registry] = Registry) -> Registry:
    return kind(name, scope='sbam_mm', parent=of,
                locations=[f'sbam_mm.{folder}' for folder in folders])


MODELS = _registry('model', parent.MODELS, 'models', 'segments', 'downstream',
                   kind=ModelRegistry)
DATASETS = _registry('dataset', parent.DATASETS, 'datasets')
TRANSFORMS = _registry('transform', parent.TRANSFORMS, 'datasets', 'segments')
HOOKS = _registry('hook', parent.HOOKS, 'engine', 'evaluation')
DATA_SAMPLERS = _registry('data sampler', parent.DATA_SAMPLERS, 'datasets')
FUNCTIONS = _registry('function', root.FUNCTIONS, 'datasets')
# A child of mmengine's own, which mmseg and mmdet look into as well.
OPTIM_WRAPPER_CONSTRUCTORS = _registry(
    'optim wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
STRATEGIES = _registry('strategy', root.STRATEGIES, 'engine')

# mmseg and mmdet look for another scope among the children of the root alone.
for _ours, _root in ((MODELS, root.MODELS), (DATASETS, root.DATASETS),
                     (TRANSFORMS, root.TRANSFORMS), (HOOKS, root.HOOKS),
                     (DATA_SAMPLERS, root.DATA_SAMPLERS)):
    _root.children[_ours.scope] = _ours


def build_part(part: dict | nn.Module) -> nn.Module:
    """Build a module from its config, or return one that is already built."""
    return MODELS.build(part) if isinstance(part, dict) else part
