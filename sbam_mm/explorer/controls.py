# Copyright (c) OpenMMLab. All rights reserved.
"""From a masker's signature to sliders and choices, and back to a config.

Nothing here knows a masker by name: the signature says what there is, the
docstring which words an option takes, and a trial whether a value can be. A
masker that somebody registers has its controls at once.
"""
import copy
import inspect
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torch import nn

from sbam_mm.command_line.explain import options_of
from sbam_mm.masking.named_maskers import at_ratio, default_of
from sbam_mm.registry import MODELS

from .option_texts import interval, option_texts, plain, quoted_words

# Of what masks before the masker does: a picture is to show the masker.
WARM_UP = ('start_epoch', 'start_progress', 'warm_up', 'warm_up_ratio')
# Options that count blocks or heads of the encoder that is asked.
OF_ENCODER = dict(block='depth', layer='depth', head='heads')


@dataclass(frozen=True)
class Control:
    """One option, or one number of a pair, as a person sets it.

    Args:
        path (tuple[str or int, ...]): Where it is in the config.
        kind (str): "slider", "switch", "choice" or "number", which may be
            None.
        value: Of the config, or the signature's default.
        choices (tuple): Of "choice".
        whole (bool): Whether numbers are whole.
        text (str): A sentence of the docstring.
        within (tuple): Items of the part that the option belongs to, where
            the config does not name that part.
    """
    path: tuple[str | int, ...]
    kind: str
    value: Any
    low: float = 0.
    high: float = 1.
    choices: tuple = ()
    whole: bool = False
    text: str = ''
    within: tuple = ()

    @property
    def label(self) -> str:
        """As in a config, "salience.direction" or "hard[0]"."""
        name, *inner = self.path
        return str(name) + ''.join(
            f'[{one}]' if isinstance(one, int) else f'.{one}'
            for one in inner)

    @property
    def step(self) -> float:
        return 1 if self.whole else 0.01


def controls_of(config: Mapping, depth: int = 12,
                heads: int = 12) -> list[Control]:
    """All that can be set of a masker, what moves most first.

    Args:
        config (Mapping): With ``type``; composed maskers have the options of
            their parts.
        depth, heads (int): Of the encoder that is asked for attention.

    Example:
        >>> for control in controls_of(dict(type='sbam_mm.SBAM'))[:3]:
        ...     print(control.label, control.low, control.high, control.value)
        ratio 0.0 0.99 0.75
        delta_r 0.0 0.45 0.15
        delta 0.0 1.0 0.1
    """
    found = list(_controls(dict(config), (), dict(config),
                           dict(depth=depth, heads=heads)))
    order = ('slider', 'number', 'choice', 'switch')
    return sorted(found, key=lambda one: (
        len(one.path) > 1 and isinstance(one.path[1], str), one.whole,
        order.index(one.kind)))


def with_values(config: Mapping, controls: Sequence[Control],
                values: Sequence[Any]) -> dict:
    """The config with what a person has set.

    At another ratio ``delta_r`` and the like shrink until they fit, see
    :func:`sbam_mm.masking.named_maskers.at_ratio`.

    Example:
        >>> config = dict(type='sbam_mm.SBAM')
        >>> controls = controls_of(config)
        >>> values = [one.value for one in controls]
        >>> with_values(config, controls, values)
        {'type': 'sbam_mm.SBAM'}
        >>> with_values(config, controls, [0.9, *values[1:]])
        {'type': 'sbam_mm.SBAM', 'ratio': 0.9, 'delta_r': 0.09}
    """
    made = copy.deepcopy(dict(config))
    for control, value in zip(controls, values, strict=True):
        if value == control.value:
            continue
        if control.kind in ('slider', 'number') and value is not None:
            value = int(value) if control.whole else float(value)
        _put(made, control, controls, value)
    share = made.get('ratio', default_of(MODELS.get(made['type']), 'ratio'))
    if isinstance(share, Mapping):
        share = share.get('ratio')
    if made != config and isinstance(share, (int, float)):
        made = at_ratio(made, share)
    return without_defaults(made)


def without_defaults(config: Mapping) -> dict:
    """The config without options that are the signature's defaults.

    Example:
        >>> without_defaults(dict(type='sbam_mm.SBAM', ratio=.75, noise=0.))
        {'type': 'sbam_mm.SBAM', 'noise': 0.0}
    """
    known = options_of(MODELS.get(config['type']))
    kept = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and 'type' in value:
            value = without_defaults(value)
        default = known[name].default if name in known else inspect._empty
        if isinstance(value, list):
            value = tuple(value)
        if type(value) is not type(default) or value != default:
            kept[name] = value
    return kept


def takes(config: Mapping, path: Sequence[str | int], value: Any) -> bool:
    """Whether a masker can be built with another value of an option.

    At another ratio, ``delta_r`` and the like may shrink.
    """
    made = copy.deepcopy(dict(config))
    place: Any = made
    *above, last = path
    for key in above:
        place = place.setdefault(key, {})
    place[last] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            MODELS.build(at_ratio(made, value) if last == 'ratio' else made)
    except Exception:  # a class of somebody else raises whatever it likes
        return False
    return True


def _controls(config: dict, path: tuple[str | int, ...], part: Mapping,
              encoder: Mapping[str, int]) -> Iterator[Control]:
    """Controls of a part at a path, and of the parts within it."""
    kind = MODELS.get(part['type'])
    built = _build(part)
    texts = dict(option_texts(kind))
    parts: list[Any] = [] if built is None else [*built.children()]
    for one in parts:
        for name, text in option_texts(one.__class__).items():
            texts.setdefault(name, text)
    for name, parameter in options_of(kind).items():
        if name in WARM_UP:
            continue
        where = (*path, name)
        default = part.get(name, parameter.default)
        if default is inspect._empty:
            continue
        inner = getattr(built, name, None)
        if isinstance(default, Mapping) and 'type' in default:
            yield from _controls(config, where, default, encoder)
        elif (isinstance(inner, nn.Module) and dict in get_args(
                _hint(kind, name)) and not isinstance(default, float)):
            # Not said in the config: its type is, where any part may be.
            known = 'type' if _takes_modules(kind, name) else None
            yield from _of_inner(config, where, default, type(inner), known,
                                 encoder)
        else:
            yield from _one(config, where, default, _hint(kind, name),
                            texts.get(name, ''), encoder)


def _of_inner(config: dict, path: tuple[str | int, ...], given: Any,
              kind: type, type_key: str | None,
              encoder: Mapping[str, int]) -> Iterator[Control]:
    """Controls of a part that has a default beyond the config."""
    full = dict(given or {})
    if type_key:
        full[type_key] = f'sbam_mm.{kind.__name__}'
    start = copy.deepcopy(config)
    place: Any = start
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = full
    part = dict(full, type=f'sbam_mm.{kind.__name__}')
    for control in _controls(start, path, part, encoder):
        yield replace(control, within=tuple(full.items()))


def _one(config: dict, path: tuple[str | int, ...], value: Any, hint: Any,
         text: str, encoder: Mapping[str, int]) -> Iterator[Control]:
    """The control of an option, or the two of a pair; none if it is fixed."""
    control = Control(path, 'number', value, text=plain(text))
    kinds = set(get_args(hint)) if get_origin(hint) in (
        Union, types.UnionType) else {hint}
    words: list[Any] = [word for one in kinds if get_origin(one) is Literal
             for word in get_args(one)]
    name = path[-1]
    if isinstance(value, bool):
        yield replace(control, kind='switch')
    elif isinstance(value, str) or words:
        words = words or [*quoted_words(text)]
        if int in kinds and name == 'head':
            words = [*words, *range(encoder['heads'])]
        words = [word for word in words if takes(config, path, word)]
        if len(words) > 1:
            yield replace(control, kind='choice', choices=tuple(
                words if value in words else [value, *words]))
    elif name == 'head' and str in kinds:
        words = [word for word in quoted_words(text)
                 if takes(config, path, word)]
        yield replace(control, kind='choice', choices=(
            *words, *range(max(encoder['heads'], int(value) + 1))))
    elif isinstance(value, (tuple, list)) and len(value) == 2 and all(
            type(one) in (int, float) for one in value):
        whole = all(type(one) is int for one in value)
        low, high = interval(text) or (
            (1, 2 * max(value)) if whole else (0., max(1., *value)))
        for i in (0, 1):
            yield replace(control, path=(*path, i), kind='slider',
                          value=value[i], whole=whole, low=low, high=high)
    elif type(value) in (int, float):
        low, high = _range(config, path, value, encoder, interval(text))
        if low < high:
            yield replace(control, kind='slider', low=low, high=high,
                          whole=type(value) is int)
    elif value is None and kinds & {int, float}:
        tried = (1, 2, 8) if int in kinds else (0.25, 0.5, 0.9)
        if any(takes(config, path, one) for one in tried):
            yield replace(control, whole=int in kinds)


def _range(config: dict, path: tuple[str | int, ...], value: float,
           encoder: Mapping[str, int],
           said: tuple[float, float] | None) -> tuple[float, float]:
    """Bounds of a slider: what makes sense, as far as the masker takes it."""
    # Some options have more room at other ratios.
    bases = [config] if path[-1] == 'ratio' else [
        config, dict(config, ratio=.5)]

    def fits(one: float) -> bool:
        return any(takes(base, path, one) for base in bases)

    if type(value) is float:
        low, high = said or (-1. if value < 0 else 0., max(1., 4 * value))
        near = (0., .01, .05, .1, .25, .5)
        lows = [low + (high - low) * share for share in near]
        highs = [high, *(1 - share for share in (.01, .05, .1, .25, .5, .55))]
        return (next((round(one, 2) for one in lows
                      if one < value and fits(one)), value),
                next((round(one, 2) for one in highs
                      if one > value and fits(one)), value))
    size = encoder.get(OF_ENCODER.get(str(path[-1]), ''))
    if size is not None:
        own = 1 if path[-1] == 'layer' else 0
        low = -size if value < 0 else 0
        return low, max(size - 1 + own, value)
    low = high = int(value)
    while low > 0 and fits(low - 1):
        low -= 1
    while high < max(8, ceil(4 * value)) and fits(high + 1):
        high += 1
    return low, high


def _build(part: Mapping) -> nn.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return MODELS.build(dict(part))
    except Exception:  # its own options say what is wrong, in the page
        return None


def _hint(kind: Any, name: str) -> Any:
    """The annotation of an option, or nothing of it."""
    for base in (*inspect.getmro(kind),
                 getattr(kind, 'takes_options_of', None)):
        init = vars(base).get('__init__') if base else None
        if init is None:
            continue
        try:
            hints = get_type_hints(inspect.unwrap(init))
        except Exception:  # names that are only there for type checkers
            continue
        if name in hints:
            return hints[name]
    return None


def _takes_modules(kind: Any, name: str) -> bool:
    return nn.Module in get_args(_hint(kind, name))


def _put(made: dict, control: Control, controls: Sequence[Control],
         value: Any) -> None:
    """Set an option in a config; a part that is not there yet is made."""
    place: Any = made
    *above, last = control.path
    for depth, key in enumerate(above):
        inside = place.get(key) if isinstance(place, dict) else place[key]
        if isinstance(last, int) and depth == len(above) - 1:
            # Both numbers of a pair are said, or none.
            pair = [one.value for one in controls
                    if one.path[:-1] == control.path[:-1]]
            inside = list(pair if inside is None else inside)
        elif inside is None:
            inside = dict(control.within)
        else:
            inside = copy.copy(inside)
        place[key] = inside
        place = inside
    place[last] = value
