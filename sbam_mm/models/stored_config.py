# Copyright (c) OpenMMLab. All rights reserved.
"""The config that a checkpoint carries in its ``meta``, read as data.

mmengine writes the text of the config into every checkpoint. A file from
elsewhere may carry any text there, so it is parsed and nothing of it is run.
"""
import ast
from collections.abc import Iterator, Mapping
from typing import Any


def stored_options(checkpoint: Any, *path: str) -> dict[str, Any] | None:
    """Syntax of the options that a checkpoint's config gives a part.

    ``path`` leads to the part, such as "model", "backbone"; None where there
    is no config, or no such part in it.
    """
    meta = checkpoint.get('meta') if isinstance(
        checkpoint, Mapping) else None
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    options: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            options.update({
                name.id: node.value
                for name in node.targets if isinstance(name, ast.Name)
            })
    for name in path:
        if name not in options:
            return None
        options = dict(_items(options[name]))
    return options


def stored_value(options: dict[str, Any] | None,
                 name: str,
                 default: Any = None) -> Any:
    """A literal among the options of :func:`stored_options`.

    Example:
        >>> meta = dict(cfg="model = dict(type='MAE', head=print('no'))")
        >>> options = stored_options(dict(meta=meta), 'model')
        >>> stored_value(options, 'type'), stored_value(options, 'head')
        ('MAE', None)
    """
    if not options or name not in options:
        return default
    try:
        return ast.literal_eval(options[name])
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return default


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and nodes of ``dict(a=1)`` or ``{'a': 1}``."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg:
                yield keyword.arg, keyword.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):
            if isinstance(key, ast.Constant):
                yield str(key.value), value
