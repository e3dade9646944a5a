# Copyright (c) OpenMMLab. All rights reserved.
"""What the registries of OpenMMLab's projects hold, by name."""
import os
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry

# Whose names `type` may have in front in YAML and JSON.
SCOPES = ('mmengine', 'mmcv', 'mmpretrain', 'mmseg', 'mmdet', 'sbam_mm')
# As mmengine reads them.
VARIABLE = re.compile(r'\{\{\s*\$(\w+)\s*:\s*(.*?)\s*\}\}')


def registries(used: set[str]) -> Iterator[Registry]:
    """The registries of some projects, each with all that it can find.

    Args:
        used (set[str]): Projects, those not installed included.
    """
    modules = [
        import_module(f'{scope}.registry')
        for scope in {'mmengine', 'mmpretrain', 'sbam_mm', *used} & set(SCOPES)
        if find_spec(scope) and find_spec(f'{scope}.registry')
    ]
    # Not all of them are children of mmengine's.
    todo = [one for module in modules for one in vars(module).values()
            if isinstance(one, Registry)]
    while todo:
        registry = todo.pop()
        registry.import_from_location()
        yield registry
        todo += registry.children.values()


def with_names(cfg: Config) -> Config:
    """A pure-Python config of mmengine's, as if it had been a text.

    There bases are imported and types are classes, and mmengine fills no
    environment variables in. All else looks at names, and so does who reads
    the config that a run leaves in its work directory.

    Args:
        cfg (Config): From a file with ``read_base()`` or imported classes.
    """
    content = {key: value for key, value in cfg._to_lazy_dict().items()
               if not isinstance(value, ModuleType)}  # import os
    default = content.get('default_scope', 'mmengine')
    names, variables = _Names(default), dict[str, str]()
    return Config(_spelled(content, names, variables), cfg_text=cfg.text,
                  filename=cfg.filename, env_variables=variables)


class _Names(dict):
    """Classes and functions to the names under which a config asks for them.

    A name has its scope in front unless the default scope finds just that.
    """

    def __init__(self, default: str) -> None:
        super().__init__()
        taken: dict[str, set] = {}
        found: dict[Any, tuple[str, str]] = {}
        for registry in registries({default}):
            for name, made in registry.module_dict.items():
                found.setdefault(made, (registry.scope, name))
                if registry.scope in ('mmengine', default):
                    taken.setdefault(name, set()).add(made)
        for made, (scope, name) in found.items():
            plain = taken.get(name) == {made}
            self[made] = name if plain else f'{scope}.{name}'


def _spelled(value: Any, names: _Names, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _spelled(one, names, variables)
                for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_spelled(one, names, variables) for one in value)
    if isinstance(value, (LazyObject, LazyAttr)):
        made = value.build()
        # A class of somebody else's is found where it is, registered or not.
        own = made.__module__.split('.')[0] in (*SCOPES, 'torch')
        return (own and names.get(made)) or f'{value.module}.{value}'
    if isinstance(value, str):
        for name, default in VARIABLE.findall(value):
            variables[name] = os.environ.get(name, default)
        return VARIABLE.sub(lambda found: variables[found[1]], value)
    return value
