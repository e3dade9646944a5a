# Copyright (c) OpenMMLab. All rights reserved.
"""Reading a config: a program if it is Python, data if it is YAML or JSON."""
import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from sbam_mm.errors import UserError

from .registered_names import SCOPES, VARIABLE, registries, with_names
from .safe_loading import use_safe_loading

SUFFIXES = ('.py', '.yaml', '.yml', '.json')
# Configs that a YAML file may build on although they are programs.
OWN_CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def read_config(path: str | Path, what: str = 'config') -> Config:
    """Read a config file.

    A Python config is a program and runs. YAML and JSON are data: they make
    no Python objects, import nothing, and name only what is registered.
    """
    path = str(path)
    if not os.path.isfile(path):
        beside = [one.name for one in Path(path).parent.glob('*')]
        near = get_close_matches(Path(path).name, beside, 1)
        raise UserError(
            f'the {what} {path!r} does not exist; the recipes are in configs/ '
            'and paths are relative to the current directory'
            + (f' (beside it: {near[0]!r})' if near else '') + '.')
    if not path.endswith(SUFFIXES):
        raise UserError(f'the {what} {path} is none by its name; give a file '
                        f'that ends in {", ".join(SUFFIXES)}.')
    use_safe_loading()
    try:
        if path.endswith('.py'):
            cfg = Config.fromfile(path)
            if cfg._imported_names:
                return with_names(cfg)
            # mmengine records variables that are set; others count, too.
            for name, default in VARIABLE.findall(cfg.text):
                cfg.env_variables.setdefault(name, default)
            return cfg
        return _read_data(path)
    except (NotData, yaml.constructor.ConstructorError) as error:
        wish = (str(error) if isinstance(error, NotData) else
                f'asks for a Python object ({error.problem})')
        raise UserError(
            f'the {what} {path} {wish}, which could run code; write it as a '
            'Python config if that is meant.') from error
    # SystemExit, too: a config is a program and may raise anything.
    except (Exception, SystemExit) as error:
        cause: BaseException = error
        # mmengine says of custom_imports that they failed, and not why.
        while isinstance(cause, ImportError) and cause.__context__:
            cause = cause.__context__
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(
                f'the {what} {path} needs the module {cause.name!r}, which '
                'Python does not find; put its folder into PYTHONPATH, or '
                'install it.') from error
        raise UserError(f'the {what} {path} cannot be read '
                        f'({_reason(cause)}); correct it.') from error


def read_model_config(path: str | Path) -> Config:
    """Read a config, which must have a model."""
    config = read_config(path)
    model = config.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise UserError(f'the config {path} has no model; give a config of '
                        'a pre-training run.')
    return config


class NotData(Exception):
    """A YAML or JSON file asks for more than data."""


def _reason(error: BaseException) -> str:
    """The kind of an error, its line, and the first line of its message."""
    if isinstance(error, SyntaxError):
        return (f'{type(error).__name__} in line {error.lineno}: '
                f'{error.msg}')
    text = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {text[:200]}'


def _read_data(path: str) -> Config:
    for base in _bases(path):
        if base.endswith('.py') and '::' not in base:
            place = (Path(path).parent / base).resolve()
            if OWN_CONFIGS not in place.parents:
                raise NotData(f'builds on the program {base}')
    cfg = Config.fromfile(path, import_custom_modules=False)
    if cfg.get('custom_imports'):
        raise NotData('asks for modules in custom_imports')
    texts = list(_texts(cfg.to_dict()))
    for key, value in texts:
        scope = value.rpartition('.')[0] if key == 'type' else value
        if scope and scope not in SCOPES:
            raise NotData(f'names {value!r} as its {key}')
    # mmengine imports and calls what is not registered, by its full name.
    known = {name for registry in registries(
        {value.split('.')[0] for _, value in texts})
        for name in registry.module_dict}
    for key, value in texts:
        if key == 'type' and value.rpartition('.')[2] not in known:
            raise NotData(f'names the type {value!r} that no registry knows')
    return cfg


def _bases(path: str) -> Iterator[str]:
    with open(path, encoding='utf-8') as file:
        content = yaml.safe_load(file)  # JSON is YAML, too
    found = content.get('_base_', []) if isinstance(content, dict) else []
    yield from [found] if isinstance(found, str) else found


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every name in a config by which mmengine looks something up."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ('type', 'runner_type', '_scope_', 'default_scope'
                       ) and isinstance(inner, str):
                yield ('type' if 'type' in key else key), inner
            else:
                yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
