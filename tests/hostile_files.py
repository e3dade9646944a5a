# Copyright (c) OpenMMLab. All rights reserved.
"""Files that want to run code when they are read.

Each one would make a file named CODE_RAN if it got its way.
"""
import collections
import functools
import io
import operator
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


class Runs:
    """Unpickled, this calls a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def payloads(mark: Path) -> dict:
    """Objects that run code when they are unpickled, by what they use."""
    code = f'open({str(mark)!r}, "w").close()'
    return {
        'exec': Runs(exec, code),
        'eval': Runs(eval, code),
        'system': Runs(os.system, f'touch {mark}'),
        'touch': Runs(Path.touch, mark),
        'partial': Runs(functools.partial(exec, code)),
        'methodcaller': Runs(operator.methodcaller('touch'), mark),
        # mmengine allows `getattr`, from which it is two steps to anything.
        'getattr': Runs(getattr, HistoryBuffer, '__init__'),
        'numpy': np.array([Runs(exec, code)], dtype=object),
    }


def whole_checkpoint() -> dict:
    """What mmengine saves, with random weights of nothing in particular."""
    history = HistoryBuffer()
    history.update(1.)
    return dict(
        meta=dict(epoch=1, iter=4, time='20260101_000000'),
        state_dict={'backbone.cls_token': torch.zeros(1, 1, 8)},
        message_hub=dict(
            log_scalars=collections.OrderedDict(loss=history),
            runtime_info=collections.OrderedDict(),
            resumed_keys=collections.OrderedDict(loss=True)),
        optimizer=dict(state={}, param_groups=[]),
        param_schedulers=[])


def _inside(checkpoint: dict, place: str, evil: object) -> dict:
    """The checkpoint with an object at a place such as "meta.seed"."""
    *path, last = place.split('.')
    inner = checkpoint
    for key in path:
        inner = inner[key]
    inner[last] = evil
    return checkpoint


PLACES = ('state_dict.evil', 'optimizer.evil', 'message_hub.runtime_info.evil',
          'message_hub.evil', 'meta.dataset_meta', 'param_schedulers', 'evil')


def checkpoint_writers(mark: Path,
                       base: Callable[[], dict] = whole_checkpoint) -> dict:
    """What writes hostile checkpoints, by name.

    Args:
        mark (Path): The file that appears if code has run.
        base (Callable): A checkpoint that would be taken otherwise.

    Returns:
        dict[str, Callable]: Each takes the path to write to.
    """
    evil = payloads(mark)
    code = f'open({str(mark)!r}, "w").close()'

    def zipped(place, one, **options):
        return lambda path: torch.save(
            _inside(base(), place, one), path, **options)

    def pickled(protocol):
        return lambda path: path.write_bytes(pickle.dumps(
            dict(state_dict={}, evil=evil['exec']), protocol))

    def archived(path):
        with tarfile.open(path, 'w') as tar:
            for name, ones in dict(storages=[0, []], tensors=[0],
                                   pickle=[dict(x=evil['exec'])]).items():
                content = b''.join(pickle.dumps(one, 2) for one in ones)
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    return {
        **{f'in_{name}': zipped('message_hub.runtime_info.evil', one)
           for name, one in evil.items()},
        **{f'at_{place}': zipped(place, evil['exec']) for place in PLACES},
        'legacy': zipped(
            'evil', evil['exec'], _use_new_zipfile_serialization=False),
        'tar': archived,
        **{f'pickle_{protocol}': pickled(protocol) for protocol in (0, 2, 4)},
        'script': lambda path: torch.jit.script(
            torch.nn.Linear(2, 2)).save(str(path)),
        # Not an object but text, which mmengine's resume executes.
        'config_text': zipped('meta.config', f'x = 1\n{code}\n'),
    }


CHECKPOINTS = list(checkpoint_writers(Path('unused')))


def write_configs(folder: Path, mark: Path) -> dict:
    """Write YAML and JSON configs that want to run code, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    code = f'open({str(mark)!r}, "w").close()'
    (folder / 'evil_module.py').write_text(f'{code}\n')
    package = folder / 'evil_scope'
    package.mkdir(exist_ok=True)
    (package / '__init__.py').write_text('')
    (package / 'registry.py').write_text(f'{code}\n')
    pickle_file = folder / 'evil.pkl'
    pickle_file.write_bytes(pickle.dumps(payloads(mark)['exec']))
    model = 'model: {type: sbam_mm.MAE}\ntrain_dataloader: {batch_size: 1}\n'
    hook = ('model: {type: sbam_mm.MAE}\ntrain_dataloader: {batch_size: 1}\n'
            'custom_hooks: [%s]\n')
    contents = {
        'apply.yaml': f'{model}x: !!python/object/apply:os.system '
        f'["touch {mark}"]\n',
        'new.yaml': f'{model}x: !!python/object/new:os.system '
        f'["touch {mark}"]\n',
        'name.yml': f'{model}x: !!python/name:os.system\n',
        'module.yml': f'{model}x: !!python/module:evil_module\n',
        'imports.yaml': f'{model}custom_imports: {{imports: [evil_module]}}\n',
        'base.yaml': f'_base_: ./evil_module.py\n{model}',
        'bases.yaml': f'_base_: [./evil_module.py]\n{model}',
        'scope.yaml': f'{model}default_scope: evil_scope\n',
        'hook.yaml': hook % f'{{type: os.system, command: "touch {mark}"}}',
        'bare.yaml': hook % '{type: evil_module}',
        'hook_scope.yaml': hook % '{type: evil_scope.X}',
        'load.yaml': hook % (f'{{type: mmengine.load, file: "{pickle_file}"'
                             ', file_format: pkl}'),
        'imports.json': '{"model": {"type": "sbam_mm.MAE"}, "custom_imports":'
        ' {"imports": ["evil_module"]}}',
        'base.json': '{"_base_": "./evil_module.py", "model": {"type": '
        '"sbam_mm.MAE"}}',
        'hook.json': '{"model": {"type": "sbam_mm.MAE"}, "train_dataloader": '
        '{"batch_size": 1}, "custom_hooks": [{"type": "os.system", '
        f'"command": "touch {mark}"}}]}}',
    }
    for name, text in contents.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in contents}


CONFIGS = ('apply.yaml', 'new.yaml', 'name.yml', 'module.yml', 'imports.yaml',
           'base.yaml', 'bases.yaml', 'scope.yaml', 'hook.yaml',
           'hook_scope.yaml', 'load.yaml', 'bare.yaml', 'imports.json',
           'base.json', 'hook.json')
