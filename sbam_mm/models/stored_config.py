# Copyright (c) OpenMMLab. All rights reserved.
"""The config that a checkpoint carries in its ``meta``, read as data.

mmengine writes the text of the config into every checkpoint. A file from
elsewhere may carry any text there, so it is parsed and nothing of it is run.
"""
import ast
from collections.abc import Mapping
from typing import Any

# What text may do to a parser, and to the reading of literals.
NO_DATA = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def stored_options(checkpoint: Any, *path: str) -> dict[str, Any] | None:
    """The options that a checkpoint's config gives a part.

    ``path`` leads to the part, such as "model", "backbone"; None where there
    is no config, or no such part in it. Values that are no data, such as
    calls, are None.

    Example:
        >>> meta = dict(cfg="model = dict(type='MAE', head=print('no'))")
        >>> stored_options(dict(meta=meta), 'model')
        {'type': 'MAE', 'head': None}
    """
    meta = checkpoint.get('meta') if isinstance(
        checkpoint, Mapping) else None
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    options = options_in(text) if isinstance(text, str) else None
    if options is None:
        return None
    for name in path:
        if name not in options:
            return None
        found = options[name]
        options = found if isinstance(found, dict) else {}
    return options


def options_in(text: str) -> dict[str, Any] | None:
    r"""The assignments of a config as mmengine dumps it; nothing is run.

    Example:
        >>> options_in("model = dict(type='MAE')\nx = [1, dict(b=None)]")
        {'model': {'type': 'MAE'}, 'x': [1, {'b': None}]}
    """
    try:
        return {
            name.id: _value(node.value)
            for node in ast.parse(text).body if isinstance(node, ast.Assign)
            for name in node.targets if isinstance(name, ast.Name)
        }
    except NO_DATA:
        return None


def _value(node: Any) -> Any:
    """What ``dict(a=1)``, ``{'a': 1}``, a list or a literal stands for."""
    if isinstance(node, ast.Call) and isinstance(
            node.func, ast.Name) and node.func.id == 'dict':
        return {keyword.arg: _value(keyword.value)
                for keyword in node.keywords if keyword.arg}
    if isinstance(node, ast.Dict):
        return {str(key.value): _value(value)
                for key, value in zip(node.keys, node.values)
                if isinstance(key, ast.Constant)}
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except NO_DATA:
        return None
