# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers by short names, ready to look at and to measure with any model."""
import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from sbam_mm import masking
from sbam_mm.errors import UserError
from sbam_mm.masking import (
    AttentionSalience,
    Masker,
    StoredSalience,
    check_needs,
)
from sbam_mm.models.providers import REMEDIES, STORED_MAPS
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
    'Block': dict(type='sbam_mm.BlockMasker', ratio=0.75),
    'Random-ratio': dict(type='sbam_mm.RandomRatioMasker'),
}
# AMT leaves this share of the tokens visible.
AMT_VISIBLE = 0.15


def _key(name: str) -> str:
    """What a name is looked up by."""
    for mark in '-_ ':
        name = name.replace(mark, '')
    return name.lower().removesuffix('masker')


def masker_names() -> dict[str, dict]:
    """All short names, in lower case, and their configs.

    Every preset of :mod:`sbam_mm.masking` has its type's name without
    "Masker"; modes of presets are in ``NAMED``.

    Returns:
        dict[str, dict]: E.g. "random" to ``dict(type='sbam_mm.
        RandomMasker')``, "attmask-high" to AttMask in that mode.

    Example:
        >>> masker_names()['amt-throw-last']
        {'type': 'sbam_mm.AMT', 'throw_last': True}
    """
    names = {name.lower(): config for name, config in NAMED.items()}
    known = {_key(name) for name in names}
    for name in sorted(masking.__all__):
        kind = getattr(masking, name)
        if (inspect.isclass(kind) and issubclass(kind, Masker)
                and kind is not Masker and _key(name) not in known):
            names[_key(name)] = dict(type=f'sbam_mm.{name}')
    # Its default mode; the type's own defaults leave half the images whole.
    names['attmask'] = names['attmask-high']
    return {name: copy.deepcopy(names[name]) for name in sorted(names)}


def masker_name(name: str) -> str:
    """A masker's short name, as all tables have it.

    Args:
        name (str): In any case, with or without "Masker", hyphens and
            underscores.

    Returns:
        str: A key of :func:`masker_names`.

    Raises:
        UserError: If there is none of this name.

    Example:
        >>> masker_name('SBAM'), masker_name('RandomMasker')
        ('sbam', 'random')
    """
    names = masker_names()
    for known in names:
        if _key(known) == _key(name):
            return known
    raise UserError(f'there is no masker {name.strip()!r}; choose one of '
                    f'{", ".join(names)}.')


def masker_config(name: str) -> dict:
    """Config of a masker by its short name.

    Args:
        name (str): In any case, with or without "Masker", hyphens and
            underscores, e.g. "sbam", "attmask-hint", "amt-throw-last".

    Returns:
        dict: ``dict(type='sbam_mm.X', ...)``.

    Raises:
        UserError: If there is none of this name.

    Example:
        >>> masker_config('SBAM'), masker_config('random')
        ({'type': 'sbam_mm.SBAM'}, {'type': 'sbam_mm.RandomMasker'})
    """
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

    Args:
        names (Sequence[str]): Short names. If there are none: the config's
            masker, or SBAM.
        configured (Mapping, optional): The config's masker. A name that
            means it (type and mode; ratios are the config's to choose) gets
            its options. Defaults to None.

    Returns:
        list[dict]: One per name.

    Raises:
        UserError: If a name is unknown.

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
        config (Mapping): Of a registered masker.
        ratio (float): Base ratio in [0, 1).
        rounding (str, optional): Of the visible tokens, "floor" or "ceil",
            the same for all maskers that are compared. Ratios that vary from
            image to image (SBAM) have no common number and keep their own.
            Defaults to None: the masker's own.

    Returns:
        dict: A config of its own.

    Raises:
        UserError: If the ratio is outside [0, 1).

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
        own = _default(kind, 'rounding')
        if own is not None and part.get('rounding', own) != rounding:
            part['rounding'] = rounding
    # How far an option may go at this ratio, a hundredth below 1 for the
    # upper end of delta_r, which is not in the range.
    room = dict(
        delta_r=min(ratio, 0.99 - ratio), throw=1 - AMT_VISIBLE - ratio)
    for name in room.keys() & accepted.keys():
        wanted = part.get(name, accepted[name].default)
        part[name] = min(wanted, round(max(0., room[name]), 6))
    if _default(kind, 'warm_up_ratio') is not None:
        part['warm_up_ratio'] = round(ratio / (1 - part.get('throw', 0.)), 6)
    return options


def _default(kind: type, option: str) -> Any:
    """Of an option, also where a type hands it to its parent; or None."""
    for one in kind.__mro__:
        known = inspect.signature(one).parameters
        if option in known:
            return known[option].default
    return None


def build_masker(config: Mapping, ratio: float | None = None) -> nn.Module:
    """Build a masker to look at, if wanted at another base ratio.

    The warm-up with random masks (``start_epoch``) is left out: a figure is
    to show the method.

    Args:
        config (Mapping): Of a registered masker.
        ratio (float, optional): Base ratio, see :func:`at_ratio`. Defaults to
            None: as configured.

    Returns:
        nn.Module: The masker.

    Raises:
        UserError: If the ratio is outside [0, 1).

    Example:
        >>> build_masker(masker_config('amt'), 0.75).selection.throw
        0.1
    """
    options = copy.deepcopy(dict(config))
    options.pop('start_epoch', None)
    return MODELS.build(
        options if ratio is None else at_ratio(options, ratio))


def labelled_maskers(
        configs: Sequence[Mapping],
        ratios: Sequence[float] | Sequence[None] = (None, ),
) -> dict[str, nn.Module]:
    """Every masker at every ratio, by a label that says both.

    Args:
        configs (Sequence[Mapping]): Of maskers.
        ratios (Sequence[float]): Base ratios; None is the configured one.

    Returns:
        dict[str, nn.Module]: In the order of the arguments.

    Example:
        >>> list(labelled_maskers([masker_config('amt')]))
        ['AMT, r = 0.45, 0.4 thrown']
    """
    maskers = {}
    for config in configs:
        for ratio in ratios:
            masker = build_masker(config, ratio)
            share = masker.ratio
            label = f'{masker_label(config)}, r = {share.ratio:g}'
            reach = getattr(share, 'delta_r', 0.)
            if hasattr(share, 'high'):
                reach = (share.high - share.low) / 2
            if reach:
                label += f' ± {round(reach, 6):g}'
            thrown = getattr(masker.selection, 'throw', 0.)
            if thrown:
                label += f', {thrown:g} thrown'
            maskers[label] = masker
    return maskers


def fit_to_model(masker: nn.Module, model) -> list[str]:
    """Let a masker make do with what a model has.

    Where there is no teacher the encoder's own attention takes its place;
    where maps would come with the images (AM, AMT), the class token's
    attention of the picture itself; a block or head beyond the model's
    becomes its last.

    Args:
        masker (nn.Module): With ``salience``; changed in place.
        model (MaskedImageModel): With ``provides``.

    Returns:
        list[str]: What was changed, in half sentences, e.g. "own attention
        in place of a teacher's".

    Raises:
        UserError: If the masker needs something that has no stand-in, e.g.
            a predicted loss.

    Example::

        masker = build_masker(masker_config('gpa'))
        print(fit_to_model(masker, model))
    """
    notes = []
    if isinstance(masker.salience, StoredSalience) and (
            masker.salience.key == 'attention_map'):
        masker.salience = AttentionSalience()
        masker.warm_up = None
        notes.append("the picture's own attention in place of a stored map")
    salience = masker.salience
    if isinstance(salience, AttentionSalience):
        if (salience.source == 'teacher'
                and 'teacher_attention' not in model.provides):
            salience.source = 'self'
            notes.append("own attention in place of a teacher's")
        notes += _clip(salience, model)
    maps = sorted(masker.needs & STORED_MAPS.keys())
    if maps:
        raise UserError(
            f'{type(masker).__name__} needs {maps[0]!r}, a map that a '
            'training pipeline brings with every image and a picture lacks; '
            'choose another masker.')
    check_needs(masker, model.provides, type(model).__name__, REMEDIES)
    return notes


def _clip(salience: AttentionSalience, model) -> list[str]:
    """Bring block and head into the range of the encoder that is asked."""
    encoder = model.backbone
    if salience.source == 'teacher' and getattr(model, 'teacher', None):
        encoder = model.teacher.vit
    layers = getattr(encoder, 'layers', None)
    if not layers:
        return []
    notes = []
    if salience.block >= len(layers):
        notes.append(f'block {len(layers) - 1} in place of {salience.block}')
        salience.block = len(layers) - 1
    if isinstance(salience.head, str):
        return notes
    heads = layers[salience.block].attn.num_heads
    if salience.head >= heads:
        notes.append(f'head {heads - 1} in place of {salience.head}')
        salience.head = heads - 1
    return notes


def fit_all(maskers: Mapping[str, nn.Module], model) -> str:
    """Fit several maskers, and say for a caption what was changed.

    Args:
        maskers (Mapping[str, nn.Module]): By label; changed in place.
        model (MaskedImageModel): As for :func:`fit_to_model`.

    Returns:
        str: E.g. "GPA: own attention in place of a teacher's.", or "".

    Raises:
        UserError: With the label of the masker that asks for too much.
    """
    changes: dict[str, list[str]] = {}
    for label, masker in maskers.items():
        name = label.partition(', ')[0]
        try:
            notes = fit_to_model(masker, model)
        except ValueError as error:
            raise UserError(f'{name} cannot be drawn: {error}') from error
        if notes:
            names = changes.setdefault('; '.join(notes), [])
            if name not in names:
                names.append(name)
    return ' '.join(f'{", ".join(names)}: {note}.'
                    for note, names in changes.items())


def changes_over_training(masker: nn.Module) -> bool:
    """Whether a masker does not mask the same way at all progress.

    Example:
        >>> changes_over_training(build_masker(masker_config('gpa')))
        True
    """
    return isinstance(masker.selection,
                      (masking.SoftToHard, masking.EasyToHard)) or isinstance(
                          masker.ratio, masking.ScheduledRatio)
