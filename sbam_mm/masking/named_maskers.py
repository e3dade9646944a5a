# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers by short names, at any ratio."""
import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from sbam_mm import masking
from sbam_mm.errors import UserError
from sbam_mm.masking import Masker
from sbam_mm.registry import MODELS

# Names beside those of the presets' types, and what they are called in a
# figure. AttMask's and BEiT's own ratios belong to methods that also learn
# from whole images; next to MAE's maskers they hide what MAE hides.
NAMED: dict[str, dict[str, Any]] = {
    'SBAM-batch': dict(type='sbam_mm.SBAM', scope='batch'),
    'AttMask-high': dict(
        type='sbam_mm.AttMask', mode='high', ratio=0.75, probability=1.),
    'AttMask-hint': dict(
        type='sbam_mm.AttMask', mode='hint', ratio=0.75, probability=1.),
    'AttMask-low': dict(
        type='sbam_mm.AttMask', mode='low', ratio=0.75, probability=1.),
    'AMT-throw-last': dict(type='sbam_mm.AMT', throw_last=True),
    # AutoMAE learns its scores; SBAM's stand in for them.
    'AutoMAE': dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio'),
        selection=dict(type='sbam_mm.Bump')),
    # Of what is in the middle of the picture; the baseline of salience.
    'Centre': dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.CentreSalience'),
        ratio=dict(type='sbam_mm.FixedRatio'),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)),
    'Block': dict(type='sbam_mm.BlockMasker', ratio=0.75),
    'Random-ratio': dict(type='sbam_mm.RandomRatioMasker'),
    'I-JEPA': dict(type='sbam_mm.IJEPAMasker'),
    # data2vec 2.0's squares, CAPI's rectangle.
    'Inverse-block': dict(type='sbam_mm.InverseBlockMasker', ratio=0.75),
    'CAPI': dict(type='sbam_mm.InverseBlockMasker', size=None, ratio=0.75),
    **{f'ColorMAE-{color}': dict(type='sbam_mm.ColorMAEMasker', color=color)
       for color in ('green', 'blue', 'purple', 'red')},
    'Self-guided': dict(type='sbam_mm.SelfGuidedMasker'),
}
# Shapes that have no ratio to choose.
OWN_RATIO = ('UniformMasker', 'GridMasker', 'IJEPAMasker')
# AMT leaves this share of the tokens visible.
AMT_VISIBLE = 0.15


def _key(name: str) -> str:
    for mark in '-_ ':
        name = name.replace(mark, '')
    return name.lower().removesuffix('masker')


def masker_names() -> dict[str, dict]:
    """All short names, in lower case, and their configs.

    Every preset of :mod:`sbam_mm.masking`, and every :class:`Masker` that a
    user has registered, has its type's name without "Masker"; modes of
    presets are in ``NAMED``.

    Example:
        >>> masker_names()['amt-throw-last']
        {'type': 'sbam_mm.AMT', 'throw_last': True}
    """
    names = {name.lower(): config for name, config in NAMED.items()}
    known = {_key(name) for name in names}
    kinds = {**MODELS.module_dict, **vars(masking)}
    for name in sorted({*masking.__all__, *MODELS.module_dict}):
        kind = kinds[name]
        if (inspect.isclass(kind) and issubclass(kind, Masker)
                and kind is not Masker and _key(name) not in known):
            names[_key(name)] = dict(type=f'sbam_mm.{name}')
    # Default modes; AttMask's own defaults leave half the images whole.
    names['attmask'] = names['attmask-high']
    names['colormae'] = names['colormae-green']
    return {name: copy.deepcopy(names[name]) for name in sorted(names)}


def masker_name(name: str) -> str:
    """The key of :func:`masker_names` in any case, with or without "Masker".

    Example:
        >>> masker_name('SBAM'), masker_name('Random_Masker')
        ('sbam', 'random')
    """
    names = masker_names()
    for known in names:
        if _key(known) == _key(name):
            return known
    raise UserError(f'there is no masker {name.strip()!r}; choose one of '
                    f'{", ".join(names)}.')


def masker_config(name: str) -> dict:
    """Config of a masker by its short name, see :func:`masker_name`."""
    return masker_names()[masker_name(name)]


def masker_label(config: Mapping) -> str:
    """What to call a masker in a figure: its short name or its type's.

    Example:
        >>> masker_label(dict(type='sbam_mm.RandomMasker'))
        'Random'
        >>> masker_label(masker_config('amt-throw-last'))
        'AMT-throw-last'
    """
    for label, named in NAMED.items():
        if dict(config) == named:
            return label
    name = config['type'].rpartition('.')[2]
    return name.removesuffix('Masker') or name


def choose_maskers(names: Sequence[str],
                   configured: Mapping | None = None) -> list[dict]:
    """Configs of maskers asked for by name, beside one of a config file.

    Without names: the config's masker, or SBAM. A name that means the
    configured one (type and mode; ratios are the config's to choose) gets its
    options.

    Example:
        >>> own = dict(type='sbam_mm.SBAM', noise=0.25)
        >>> choose_maskers(['random', 'sbam'], own)[1]['noise']
        0.25
    """
    own = None if configured is None else dict(configured)
    if not names:
        return [own or masker_config('sbam')]

    def is_own(named: dict) -> bool:
        return own is not None and all(
            own.get(key) == value for key, value in named.items()
            if key not in ('ratio', 'probability'))

    return [own if own and is_own(config) else config
            for config in map(masker_config, names)]


def at_ratio(config: Mapping,
             ratio: float,
             rounding: str | None = None) -> dict:
    """Config of a masker at another base ratio.

    Where ``ratio +- delta_r`` would leave [0, 1), ``delta_r`` shrinks until
    it fits; where a masker throws tokens, it throws fewer until the 0.15 of
    AMT's recipe stay visible, and what masks before it has maps keeps the
    same proportion of masked to visible tokens.

    Args:
        rounding (str, optional): Of the visible tokens, "floor" or "ceil",
            the same for all maskers that are compared. Ratios that vary from
            image to image (SBAM) have no common number and keep their own.
            Defaults to None: the masker's own.

    Example:
        >>> at_ratio(masker_config('sbam'), 0.9)
        {'type': 'sbam_mm.SBAM', 'ratio': 0.9, 'delta_r': 0.09}
    """
    if not 0 <= ratio < 1:
        raise UserError(f'a masking ratio is a share in [0, 1), got '
                        f'{ratio:g}; MAE uses 0.75.')
    # A plain dict: mmengine's turns missing keys into errors of its own.
    options = copy.deepcopy(dict(config))
    # Composed maskers have the ratio as a part with options of its own.
    part = options
    if isinstance(options.get('ratio'), Mapping):
        part = options['ratio'] = dict(options['ratio'])
    part['ratio'] = ratio
    kind = MODELS.get(part['type'])
    accepted = inspect.signature(kind).parameters
    if rounding is not None and 'delta_r' not in accepted:
        own = default_of(kind, 'rounding')
        if own is not None and part.get('rounding', own) != rounding:
            part['rounding'] = rounding
    # How far an option may go at this ratio, a hundredth below 1 for the
    # upper end of delta_r, which is not in the range.
    room = dict(
        delta_r=min(ratio, 0.99 - ratio), throw=1 - AMT_VISIBLE - ratio)
    for name in room.keys() & accepted.keys():
        wanted = part.get(name, accepted[name].default)
        part[name] = min(wanted, round(max(0., room[name]), 6))
    if default_of(kind, 'warm_up_ratio') is not None:
        part['warm_up_ratio'] = round(ratio / (1 - part.get('throw', 0.)), 6)
    return options


def default_of(kind: type, option: str) -> Any:
    """Of an option, also where a type hands it to its parent, or None."""
    for one in kind.__mro__:
        known = inspect.signature(one).parameters
        if option in known:
            return known[option].default
    return None
