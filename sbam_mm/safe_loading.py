# Copyright (c) OpenMMLab. All rights reserved.
"""Checkpoints and configs are data: reading one runs nothing that is in it.

A checkpoint is a pickle, and a pickle can call any function while it is read.
Here only what checkpoints consist of may be made: tensors, containers of
Python, and what mmengine stores beside them. The tools replace mmengine's own
loader with this one, see :func:`use_safe_loading`.
"""
import argparse
import collections
import os
import pickle
import pickletools
import re
import tarfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors.torch
import torch
import yaml
from mmengine.fileio import get_local_path
from mmengine.logging import HistoryBuffer

from sbam_mm.errors import UserError
from sbam_mm.run_switches import TRUST_PICKLE
from sbam_mm.weight_folders import read_folder

# What torch says when a file wants something that is not allowed.
FORBIDDEN = re.compile(
    r'Unsupported (global|class)|unsupported GLOBAL|Trying to call reduce|'
    r'TorchScript|Can only (build|create)')


def _history_method(owner: type, name: str) -> Any:
    """``getattr`` for a method of mmengine's log history and nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'Unsupported global: {owner}.{name}')
    return getattr(owner, name)


# Under the name that files ask for; torch takes a name of its own since 2.6.
_history_method.__module__ = 'builtins'
_history_method.__name__ = _history_method.__qualname__ = 'getattr'


def allowed_types() -> list[Any]:
    """What a checkpoint may hold beside what torch allows anyway.

    mmengine saves the log history along with the weights. Its own list has
    the real ``getattr``, with which a file reaches any function.
    """
    core = np._core if hasattr(np, '_core') else np.core
    dtypes = {type(np.dtype(code)) for code in '?bBhHiIlLqQefdFDSUM'}
    return [
        # Holds attributes and does nothing with them.
        argparse.Namespace,
        collections.OrderedDict, collections.defaultdict, collections.deque,
        HistoryBuffer, _history_method,
        core.multiarray._reconstruct, core.multiarray.scalar, np.ndarray,
        np.dtype, *dtypes
    ]


def read_checkpoint(path: str,
                    trust_pickle: bool | None = None,
                    map_location: Any = 'cpu') -> Any:
    """Read a checkpoint file without running code that is hidden in it.

    Args:
        path (str): A file, or a URL that mmengine can fetch; ".safetensors"
            or what torch saves. Or a folder of such files, or their index,
            see :mod:`sbam_mm.weight_folders`.
        trust_pickle (bool, optional): Read any Python object, which runs
            whatever code the file holds. Defaults to None: as
            ``TRUST_PICKLE`` says.

    Raises:
        UserError: If the file is missing, is damaged, or holds other Python
            objects than those of :func:`allowed_types`.
    """
    path = str(path)
    if os.path.isdir(path) or path.endswith('.index.json'):
        return read_folder(path, lambda file: read_checkpoint(
            file, trust_pickle, map_location))
    try:
        with get_local_path(path) as local:
            if path.endswith('.safetensors'):
                return safetensors.torch.load_file(local)
            return load_pickled(local, trust_pickle, map_location)
    except FileNotFoundError as error:
        raise UserError(f'the checkpoint {path} does not exist; check the '
                        'path.') from error
    except HoldsObjects as error:
        raise HoldsObjects(
            f'the checkpoint {path} holds Python objects beside weights that '
            f'could run code ({error}), so it is not read; if you trust who '
            'made it, add --trust-pickle, or write its weights alone with '
            '`tools/convert_checkpoint.py SRC DST --trust-pickle`.'
        ) from error
    except Exception as error:  # unpickling noise raises whatever it likes
        reason = (str(error).splitlines() or [''])[0].split('. ')[0]
        raise UserError(
            f'{path} cannot be read as a checkpoint '
            f'({type(error).__name__}: {reason[:120]}); it is damaged or '
            'something else, so copy or download it again.') from error


class HoldsObjects(UserError):
    """The file wants to make objects that could run code."""


def load_pickled(file: str | Path | IO[bytes],
                 trust: bool | None = None,
                 map_location: Any = None,
                 mmap: bool | None = None) -> Any:
    """``torch.load`` of weights and of what mmengine stores with them.

    The text of a config that a checkpoint may hold is dropped from
    ``meta.config``, because mmengine's ``resume`` would execute it.

    Args:
        trust (bool, optional): Defaults to None: as ``TRUST_PICKLE`` says.

    Raises:
        HoldsObjects: If it holds more; says what.
    """
    trust = TRUST_PICKLE.is_on() if trust is None else trust
    if not trust and _is_archive(file):
        raise HoldsObjects("torch's former .tar format")
    try:
        with torch.serialization.safe_globals(allowed_types()):
            content = torch.load(
                file,
                map_location=map_location,
                weights_only=not trust,
                mmap=mmap)
    # torch raises one for a TorchScript archive, the other for the rest.
    except (pickle.UnpicklingError, RuntimeError) as error:
        if not FORBIDDEN.search(str(error)) and not (
                'Unsupported operand' in str(error) and _makes_objects(file)):
            raise
        raise HoldsObjects(_wanted(str(error))) from error
    # Before 2.6 torch does not refuse it.
    if not trust and isinstance(content, torch.jit.ScriptModule):
        raise HoldsObjects('a TorchScript program')
    if isinstance(content, dict) and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def _is_archive(file: Any) -> bool:
    """Whether a file has the format that torch itself refuses since 2.6.

    Before, one could run code in spite of all care (CVE-2025-32434).
    """
    if not tarfile.is_tarfile(file):
        return False
    where = 'name' if isinstance(file, (str, os.PathLike)) else 'fileobj'
    with tarfile.open(**{where: file}) as archive:
        return archive.next() is not None  # a file of zeros is no archive


def _makes_objects(file: Any) -> bool:
    """Whether a file is a pickle of another kind than torch writes."""
    try:
        content = Path(file).read_bytes()
        steps = [step.name for step, _, _ in pickletools.genops(content)]
    # Text and noise are no pickle, and fail in any way.
    except Exception:
        return False
    return any(step in ('REDUCE', 'INST', 'OBJ', 'NEWOBJ', 'NEWOBJ_EX')
               for step in steps)


def _wanted(message: str) -> str:
    """What the file wanted, from torch's page of advice."""
    if 'TorchScript' in message:
        return 'a TorchScript program'
    for pattern in (r'GLOBAL ([\w.]+)', r'Unsupported class ([\w.]+)',
                    r"but got <class '([\w.]+)'>"):
        found = re.search(pattern, message)
        if found:
            return found[1][:80]
    return 'objects of unknown types'


def use_safe_loading() -> None:
    """Make mmengine read checkpoints and YAML files as data, in this process.

    mmengine unpickles whatever a checkpoint holds once reading weights alone
    has failed; this serves ``load_from``, ``--resume``, ``init_cfg`` and the
    checkpoints that models name, files and URLs alike. Its YAML reader makes
    any Python object that a file names. Both are replaced at their source.
    """
    from mmengine.fileio.handlers import yaml_handler
    from mmengine.runner import checkpoint

    checkpoint._safe_torch_load = _mmengine_load
    checkpoint.load_from_http = load_from_http
    loader = checkpoint.CheckpointLoader
    loader.register_scheme('', load_from_local, force=True)
    loader.register_scheme(
        ('http://', 'https://'), load_from_http, force=True)
    yaml_handler.Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def _mmengine_load(file: Any,
                   map_location: Any = None,
                   weights_only: bool | None = None) -> Any:
    """In place of mmengine's ``_safe_torch_load``."""
    if isinstance(file, (str, os.PathLike)):
        return read_checkpoint(str(file), map_location=map_location)
    return load_pickled(file, map_location=map_location)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """In place of mmengine's loader of that name."""
    return read_checkpoint(os.path.expanduser(filename), None, map_location)


def load_from_http(filename: str,
                   map_location: Any = None,
                   model_dir: str | None = None,
                   progress: bool = False) -> Any:
    """In place of mmengine's loader of that name; keeps torch's cache."""
    from mmengine.dist import barrier, is_main_process
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    path = folder / filename.rsplit('/', 1)[-1].split('?')[0]
    if is_main_process() and not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # "name-0123abcd.pth" names the beginning of the file's SHA-256.
        digest = torch.hub.HASH_REGEX.search(path.name)
        try:
            torch.hub.download_url_to_file(
                filename, str(path), digest[1] if digest else None, progress)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f'the checkpoint {filename} cannot be downloaded ({error}); '
                'check the address, or give a file.') from error
    barrier()
    return read_checkpoint(str(path), None, map_location)
