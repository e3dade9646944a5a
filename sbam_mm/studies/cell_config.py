# Copyright (c) OpenMMLab. All rights reserved.
"""From options to the config of one cell, and its hash."""
import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from sbam_mm.command_line.explain import options_of
from sbam_mm.engine.launch import check_names, load_config
from sbam_mm.engine.replace_masker import masker_owner, replace_masker
from sbam_mm.engine.schedule import set_epochs
from sbam_mm.errors import UserError
from sbam_mm.masking.named_maskers import (
    at_ratio,
    choose_maskers,
)
from sbam_mm.registry import DATASETS, HOOKS, MODELS, TRANSFORMS

# Options that are no names of a config: each does several things to it.
VERBS = ('config', 'epochs', 'masker', 'ratio')
# What mmengine's Runner makes a training of.
USED = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
        'train_cfg', 'val_cfg', 'test_cfg', 'auto_scale_lr', 'optim_wrapper',
        'param_scheduler', 'val_evaluator', 'test_evaluator',
        'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from',
        'randomness', 'env_cfg', 'default_scope', 'custom_imports',
        'runner_type', 'strategy', 'compile')
REGISTRIES = (MODELS, DATASETS, HOOKS, TRANSFORMS)


def cell_config(options: Mapping[str, Any],
                rounding: str | None = None,
                data_root: str | None = None) -> Config:
    """The config of a training, with options by dotted name and by verb.

    The verbs come first: ``config``, a file; ``epochs``, schedules scaled;
    ``masker``, a short name, or a dict with the ``name``, options of the
    masker and perhaps a ``teacher``, as of ``tools/train.py --masker``;
    ``ratio``, the base ratio of the masker. A dict with a ``type`` replaces
    what was there, one without changes what it names.

    Args:
        rounding (str, optional): See :func:`at_ratio`.

    Raises:
        UserError: If the config has no such option.
    """
    path = options['config']
    with redirect_stdout(StringIO()):  # mmengine tells of DATA_ROOT
        cfg = load_config(path, data_root)
    if cfg.get('train_dataloader') is None:
        raise UserError(f'the config {path} has no train_dataloader; use one '
                        'of a pre-training.')
    if 'epochs' in options:
        set_epochs(cfg, options['epochs'])
    if 'masker' in options:
        put_masker(cfg, options['masker'])
    if 'ratio' in options:
        owner = masker_owner(cfg)
        with DefaultScope.overwrite_default_scope(
                cfg.get('default_scope', 'mmengine')):
            owner['masker'] = at_ratio(owner['masker'], options['ratio'],
                                       rounding)
    for name, value in options.items():
        if name not in VERBS:
            check_option(cfg, name, path)
            value = copy.deepcopy(value)
            if isinstance(value, Mapping) and 'type' in value:
                replace_part(cfg, name, value)
            else:
                cfg.merge_from_dict({name: value})
    return cfg


def replace_part(cfg: Config, name: str, value: Mapping) -> None:
    """Put a dict in the place of what a config has by a dotted name."""
    *parents, last = name.split('.')
    part: Any = cfg
    for word in parents:
        part = part[int(word) if isinstance(part, list) else word]
    part[int(last) if isinstance(part, list) else last] = ConfigDict(value)


def put_masker(cfg: Config, masker: str | Mapping) -> None:
    """The verb ``masker``; the config's own masker keeps its options."""
    options = {} if isinstance(masker, str) else dict(masker)
    name = masker if isinstance(masker, str) else options.pop('name')
    teacher = options.pop('teacher', None)
    own = dict(masker_owner(cfg)['masker'])
    if not options and not teacher and choose_maskers([name], own)[0] == own:
        return
    replace_masker(cfg, name, options, teacher)


def check_option(cfg: Config, name: str, path: str) -> None:
    """Stop at a dotted name that the config, or what it builds, has not."""
    words = name.split('.')
    part: Any = cfg.get(words[0])
    check_names(cfg, {name: None}, 'the option')
    typed = False
    for number, word in enumerate(words[1:], start=1):
        known = _known(part)
        if isinstance(part, Mapping) and 'type' not in part:
            # What a part is built from may be a dict of anything.
            known = None if typed else known
            if words[:number] == ['train_dataloader']:
                known = [*part, *options_of(DataLoader)]
        typed = typed or (isinstance(part, Mapping) and 'type' in part)
        if known is not None and word not in known:
            near = get_close_matches(word, known, 1)
            where = '.'.join(words[:number])
            hint = (f'did you mean {".".join([*words[:number], near[0]])!r}?'
                    if near else f'{where or "it"} has '
                    f'{", ".join(sorted(known))}.')
            raise UserError(f'the option {name!r} is none of {path}; {hint}')
        if isinstance(part, Mapping):
            part = part.get(word)
        else:
            part = part[int(word)] if isinstance(part, Sequence) else None


def _known(part: Any) -> list[str] | None:
    """Names that may follow; None where anything may."""
    if isinstance(part, (list, tuple)):
        return [str(i) for i in range(len(part))]
    if not isinstance(part, Mapping):
        return [] if part is not None else None
    known = [str(key) for key in part]
    if 'type' in part:
        name = str(part['type']).rpartition('.')[2]
        for registry in REGISTRIES:
            registry.import_from_location()
            made = registry.module_dict.get(name)
            if made is not None:
                return [*known, *options_of(made)]
        return None
    return known


def comparable(cfg: Config) -> dict[str, Any]:
    """What a run computes, by dotted name.

    Where it is run (``work_dir``, the folder of the images and of files that
    environment variables name), whether it was resumed, which checkpoints it
    keeps and what else a config calls by a name (``data_root``) do not count.

    Example:
        >>> comparable(Config(dict(train_cfg=dict(max_epochs=4), lr=1.)))
        {'train_cfg.max_epochs': 4}
    """
    content = {k: v for k, v in cfg.to_dict().items() if k in USED}
    (content.get('default_hooks') or {}).pop('checkpoint', None)
    # As recipes of this project have it, also where it is the default.
    root = cfg.get('data_root') or cfg.env_variables.get('DATA_ROOT')
    # A teacher counts by the name of its file.
    files = {path: f'{name}/{Path(str(path)).name}'
             for name, path in cfg.env_variables.items()}

    def elsewhere(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if root and value.startswith(root):
            return 'DATA_ROOT' + value[len(root):]
        return files.get(value, value)

    # As it is stored.
    return json.loads(json.dumps(
        {name: elsewhere(value) for name, value in flat(content)},
        default=str))


def content_hash(content: Mapping[str, Any]) -> str:
    """Twelve hex digits that differ for different contents."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flat(value: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    """All values of a nested config by dotted name.

    Example:
        >>> dict(flat(dict(a=dict(b=1), c=[2, 3])))
        {'a.b': 1, 'c.0': 2, 'c.1': 3}
    """
    inner: Any = None
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, (list, tuple)):
        inner = enumerate(value)
    if not inner:
        yield name, value
        return
    for key, item in inner:
        yield from flat(item, f'{name}.{key}' if name else str(key))


def difference(before: Mapping[str, Any],
               now: Mapping[str, Any]) -> list[str]:
    """What two :func:`comparable` differ in, a phrase for each option.

    Example:
        >>> difference({'train_cfg.max_epochs': 4},
        ...            {'train_cfg.max_epochs': 8})
        ['train_cfg.max_epochs 4 -> 8']
    """
    absent = 'nothing'
    return [
        f'{name} {before.get(name, absent)} -> {now.get(name, absent)}'
        for name in sorted({*before, *now})
        if before.get(name, absent) != now.get(name, absent)
    ]
