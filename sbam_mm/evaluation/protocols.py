# Copyright (c) OpenMMLab. All rights reserved.
"""What is fixed about an evaluation before it starts: its settings."""
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from sbam_mm.command_line import read_value
from sbam_mm.errors import UserError

from .features import POOLINGS
from .knn import KS

# iBOT and DINOv2 try learning rates of this range, times batch / 256.
RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2,
         5e-2, 1e-1)


def _above_zero(name: str, *values: float) -> None:
    for value in values:
        if not 0 < value < inf:
            raise UserError(f'{name} has no meaning with {value}; give '
                            'a number above 0.')


def _one_of(name: str, known: Collection[str], *values: str) -> None:
    for value in values:
        if value not in known:
            raise UserError(f'{name} {value!r} is unknown; choose from '
                            f'{", ".join(known)}.')


@dataclass(frozen=True)
class KNN:
    """Weighted nearest neighbours, of DINO."""
    k: tuple[int, ...] = KS
    temperature: float = 0.07

    def __post_init__(self) -> None:
        _above_zero('knn.temperature', self.temperature)


@dataclass(frozen=True)
class Linear:
    """MAE's linear probing: LARS, batch norm, class token.

    Args:
        batch (int): Images of a step of all processes; at most a sixteenth of
            all images, so that small sets have steps enough.
        base_lr (float): Times batch / 256.
        warm_up (float): Epochs, of ``epochs``.
        augment (bool): Crops and flips, so that the encoder runs every epoch;
            False trains on stored features.
    """
    epochs: int = 90
    batch: int = 16384
    base_lr: float = 0.1
    warm_up: float = 10
    pooling: str = 'cls'
    augment: bool = True

    def __post_init__(self) -> None:
        _above_zero('linear.base_lr', self.base_lr)
        if not 0 <= self.warm_up < inf:
            raise UserError(f'linear.warm_up={self.warm_up} is no number of '
                            'epochs; give 0 or more.')
        _one_of('linear.pooling', POOLINGS, self.pooling)


@dataclass(frozen=True)
class Sweep:
    """DINO's and iBOT's linear probing, all learning rates in one pass.

    Args:
        batch, augment: As for :class:`Linear`.
        rates (tuple[float, ...]): Times batch / 256.
        poolings (tuple[str, ...]): "cls", "4cls" (of the last four blocks,
            for ViT-S), "cls+avg" (for ViT-B), "avg", "4cls+avg".
    """
    epochs: int = 100
    batch: int = 1024
    rates: tuple[float, ...] = RATES
    poolings: tuple[str, ...] = ('cls', '4cls', 'cls+avg')
    augment: bool = True

    def __post_init__(self) -> None:
        _above_zero('linear-sweep.rates', *self.rates)
        _one_of('linear-sweep.poolings', POOLINGS, *self.poolings)


@dataclass(frozen=True)
class Finetune:
    """All parameters, through a config of ``configs/finetune``.

    Without a ``config`` that of the method that the checkpoint was pre-trained
    with; ``batch`` is of one process, and the learning rate follows.
    """
    config: str | None = None
    epochs: int | None = None
    batch: int | None = None


@dataclass(frozen=True)
class FewShot:
    """Few labels: a classifier on frozen features, or fine-tuning.

    ``lists`` are files made elsewhere, of different names, in place of
    ``shares`` of each class; ``c`` is the inverse strength of the L2 penalty;
    ``finetune`` adds fine-tuning, with the settings of that protocol.
    """
    shares: tuple[float, ...] = (0.01, 0.1)
    lists: tuple[str, ...] = ()
    list_seed: int = 0
    pooling: str = 'cls'
    c: float = 0.1
    finetune: bool = False

    def __post_init__(self) -> None:
        for share in self.shares:
            if not 0 < share <= 1:
                raise UserError(
                    f'fewshot.shares has {share}, which is no share of the '
                    'training images; give numbers in (0, 1], such as 0.01.')
        _above_zero('fewshot.c', self.c)
        # Those of the last block.
        _one_of('fewshot.pooling', POOLINGS[:3], self.pooling)
        names = [Path(path).stem for path in self.lists]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(
                f'fewshot.lists has {names.count(twice[0])} files named '
                f'{twice[0]!r}, by which their results are told apart; '
                'rename one.')


PROTOCOLS: dict[str, Any] = {
    'knn': KNN(),
    'linear': Linear(),
    'linear-sweep': Sweep(),
    'finetune': Finetune(),
    'fewshot': FewShot(),
}


def fine_tunes(settings: Any) -> bool:
    return (isinstance(settings, Finetune)
            or getattr(settings, 'finetune', False))


def stored_settings(settings: Any, tuning: Finetune,
                    amp: bool) -> dict[str, Any]:
    """What a protocol's numbers depend on."""
    found = asdict(settings)
    # Fine-tuning takes its precision from its config.
    if not isinstance(settings, Finetune):
        found['amp'] = amp
        if fine_tunes(settings):
            found['tuning'] = asdict(tuning)
    return found


def settings_of(protocols: Sequence[str],
                changes: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of some protocols, with changes from a command line.

    Those of "finetune" also where they are changed for "fewshot".

    Example:
        >>> settings_of(['knn'], ['knn.k=5'])
        {'knn': KNN(k=(5,), temperature=0.07)}
    """
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown or not protocols:
        raise UserError(f'protocol {", ".join(map(repr, unknown)) or "none"} '
                        f'is unknown; choose from {", ".join(PROTOCOLS)}.')
    chosen = {name: PROTOCOLS[name] for name in protocols}
    for change in changes:
        name, _, text = change.partition('=')
        protocol, _, key = name.partition('.')
        if protocol not in PROTOCOLS:
            raise UserError(f'--set {change} names no protocol; write e.g. '
                            'linear.epochs=2.')
        known = chosen.get(protocol, PROTOCOLS[protocol])
        chosen[protocol] = replace(known, **{
            key: _value(known, key, text, change)})
    used = {*protocols}
    if any(fine_tunes(chosen[name]) for name in protocols):
        used.add('finetune')
    for change in changes:
        protocol = change.partition('.')[0]
        if protocol not in used:
            raise UserError(f'--set {change} changes nothing without '
                            f'{protocol}; add it to --protocol, or leave '
                            'the setting out.')
    return chosen


def _value(settings: Any, key: str, text: str, change: str) -> Any:
    names = [field.name for field in fields(settings)]
    if key not in names:
        raise UserError(f'--set {change} is not possible; '
                        f'{type(settings).__name__} has {", ".join(names)}.')
    value = read_value(text)
    default = getattr(settings, key)
    if isinstance(default, tuple):
        many = value if isinstance(value, (tuple, list)) else (value, )
        kind = type(default[0]) if default else str
        value = tuple(many)
        good = all(_is(item, kind) for item in value) and len(value) > 0
    elif default is None:
        good = _is(value, str if key == 'config' else int)
    else:
        good = _is(value, type(default))
    if good and key in ('epochs', 'batch', 'k'):
        good = min(value if isinstance(value, tuple) else (value, )) >= 1
    if not good:
        raise UserError(f'--set {change} has a value of the wrong kind; '
                        f'the default is {default!r}.')
    return value


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is kind
