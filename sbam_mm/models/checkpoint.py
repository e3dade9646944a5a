# Copyright (c) OpenMMLab. All rights reserved.
"""Loading weights that are known to fit.

mmengine loads with ``strict=False`` and says nothing when no key matches: a
wrong file then trains or draws from random weights. Here it is an error.
"""
import pickle
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping

import numpy as np
import torch
from mmengine.fileio import get_local_path
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

SHOWN = 5


@dataclass
class LoadReport:
    """How a checkpoint fits a model.

    Args:
        matched (list[str]): Keys of both, with equal shapes.
        missing (list[str]): Keys of the model that the file lacks.
        unexpected (list[str]): Keys of the file that the model lacks.
        misshapen (list[str]): Keys of both with different shapes, each with
            the two shapes.

    Example:
        >>> str(LoadReport(['a'], ['b'], [], []))
        '1 of 2 keys of the model loaded, 0 of the file not used'
    """
    matched: List[str] = field(default_factory=list)
    missing: List[str] = field(default_factory=list)
    unexpected: List[str] = field(default_factory=list)
    misshapen: List[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share of the model's keys that match, in [0, 1]."""
        wanted = len(self.matched) + len(self.missing) + len(self.misshapen)
        return len(self.matched) / wanted if wanted else 0.

    def __str__(self) -> str:
        wanted = len(self.matched) + len(self.missing) + len(self.misshapen)
        return (f'{len(self.matched)} of {wanted} keys of the model loaded, '
                f'{len(self.unexpected)} of the file not used')


def _listing(keys: List[str]) -> str:
    more = len(keys) - SHOWN
    return ', '.join(keys[:SHOWN]) + (f', and {more} more' if more > 0 else '')


def state_dict_of(checkpoint: Mapping[str, Any],
                  name: str = 'the checkpoint') -> Dict[str, Tensor]:
    """The weights in a checkpoint, under the names mmengine gives them.

    Args:
        checkpoint (Mapping): Weights, or a dict with weights under
            "state_dict".
        name (str): What to call it in a message.

    Returns:
        dict[str, Tensor]: Without the prefix "module." of a model wrapper.

    Raises:
        ValueError: If there are no weights.
    """
    state = checkpoint
    if isinstance(checkpoint, Mapping):
        state = checkpoint.get('state_dict', checkpoint)
    weights = {
        re.sub(r'^module\.', '', key): value
        for key, value in state.items() if isinstance(value, Tensor)
    } if isinstance(state, Mapping) else {}
    if not weights:
        found = (
            f'only the keys {_listing([str(key) for key in state])}'
            if isinstance(state, Mapping) and state else
            f'an object of type {type(state).__name__}')
        raise ValueError(
            f'{name} holds no weights but {found}; give a file that is a '
            'state dict or has one under "state_dict".')
    return weights


def compare_keys(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Compare weights with a model; nothing is loaded.

    Position embeddings that the model resizes while loading
    (mmpretrain's backbones) match whatever their number of tokens.

    Args:
        model (nn.Module): Where the weights would go.
        state (Mapping[str, Tensor]): From :func:`state_dict_of`.

    Returns:
        LoadReport: The keys in four lists.

    Example:
        >>> report = compare_keys(nn.Linear(2, 3), nn.Linear(2, 3, False)
        ...                       .state_dict())
        >>> report.matched, report.missing
        (['weight'], ['bias'])
    """
    resized = {
        f'{name}.pos_embed'.lstrip('.')
        for name, module in model.named_modules()
        if hasattr(module, '_prepare_pos_embed')
    }
    report = LoadReport()
    own = model.state_dict()
    for key, value in own.items():
        if key not in state:
            report.missing.append(key)
        elif state[key].shape == value.shape or (
                key in resized and state[key].dim() == value.dim()
                and state[key].shape[-1] == value.shape[-1]):
            report.matched.append(key)
        else:
            report.misshapen.append(
                f'{key} ({tuple(state[key].shape)} in the file, '
                f'{tuple(value.shape)} in the model)')
    report.unexpected = [key for key in state if key not in own]
    return report


def check_keys(model: nn.Module,
               state: Mapping[str, Tensor],
               min_share: float = 0.5,
               name: str = 'the checkpoint') -> LoadReport:
    """Refuse weights that do not fit the model.

    Args:
        model (nn.Module): Where the weights would go.
        state (Mapping[str, Tensor]): From :func:`state_dict_of`.
        min_share (float): Share of the model's keys that must match.
            Defaults to 0.5, so that an encoder without its decoder passes;
            at least one key must match in any case.
        name (str): What to call the weights in a message.

    Returns:
        LoadReport: The keys in four lists.

    Raises:
        ValueError: If too few keys match or shapes differ, with both lists
            of keys.
    """
    report = compare_keys(model, state)
    if report.misshapen:
        raise ValueError(
            f'{name} was made by a model of other sizes: '
            f'{len(report.misshapen)} shapes differ, '
            f'{_listing(report.misshapen)}; build the model from the config '
            'the checkpoint was trained with.')
    if not report.matched or report.share < min_share:
        total = len(report.matched) + len(report.missing)
        raise ValueError(
            f'{name} has {len(report.matched)} of the {total} keys of '
            f'{type(model).__name__}, fewer than the '
            f'{max(1, round(min_share * total))} wanted '
            f'(the model wants {total} keys and lacks {len(report.missing)}: '
            f'{_listing(report.missing)}; the file has {len(state)} keys and '
            f'{len(report.unexpected)} are unknown to the model: '
            f'{_listing(report.unexpected) or "none"}); give a checkpoint of '
            'this model or convert its keys first.')
    return report


def _history_method(owner: type, name: str) -> Any:
    """``getattr`` for a method of mmengine's log history and nothing else."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'Unsupported global: {owner}.{name}')
    return getattr(owner, name)


def read_checkpoint(path: str) -> Any:
    """Read a checkpoint file without running code that is hidden in it.

    Args:
        path (str): A file, or a URL that mmengine can fetch.

    Returns:
        What was saved: with mmengine's Runner a dict with "state_dict".

    Raises:
        ValueError: If the file is missing, is not a checkpoint, or holds
            Python objects other than mmengine's own.
    """
    # mmengine saves the log history along with the weights; these are what
    # it consists of. mmengine's own list has the real `getattr`.
    core = np._core if hasattr(np, '_core') else np.core
    trusted = [
        HistoryBuffer, (_history_method, 'builtins.getattr'),
        core.multiarray._reconstruct, core.multiarray.scalar, np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in ('f8', 'f4', 'i8', 'u4', 'i4'))
    ]
    try:
        with get_local_path(path) as local, \
                torch.serialization.safe_globals(trusted):
            return torch.load(local, map_location='cpu', weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f'the checkpoint {path} does not exist; check the '
                         'path.') from error
    except Exception as error:  # unpickling noise raises whatever it likes
        if 'Unsupported global' in str(error):
            raise ValueError(
                f'the checkpoint {path} holds Python objects beside weights, '
                'which could run code; save its state dict alone with '
                'torch.save first.') from error
        reason = (str(error).splitlines() or [''])[0].split('. ')[0]
        raise ValueError(
            f'{path} cannot be read as a checkpoint '
            f'({type(error).__name__}: {reason[:120]}); it is damaged or '
            'something else, so copy or download it again.') from error


def load_weights(model: nn.Module,
                 path: str,
                 min_share: float = 0.5) -> LoadReport:
    """Load a checkpoint into a model, or say why it does not fit.

    Args:
        model (nn.Module): Changed in place, only if the checkpoint fits.
        path (str): A checkpoint file (weights, or a dict with weights under
            "state_dict"), or a URL.
        min_share (float): Share of the model's keys that must match.
            Defaults to 0.5.

    Returns:
        LoadReport: What was loaded and what was not.

    Raises:
        ValueError: If the file is missing or unreadable, or its keys or
            shapes do not fit; one sentence with both lists of keys.

    Example::

        model = MODELS.build(cfg.model)
        print(load_weights(model, 'work_dirs/sbam/epoch_400.pth'))
    """
    path = str(path)
    state = state_dict_of(read_checkpoint(path), path)
    report = check_keys(model, state, min_share, path)
    model.load_state_dict(state, strict=False)
    return report
