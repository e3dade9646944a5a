# Copyright (c) OpenMMLab. All rights reserved.
"""What docstrings say of a masker's options."""
import inspect
import re
import sys
from functools import cache
from typing import Any

from sbam_mm.registry import MODELS

_ARGS = re.compile(r'^Args:\n((?:[ ]{4}.*\n|\n)+)', re.M)
_SEE = re.compile(r'See :(?:class|func):`~?(?:[\w.]+\.)?(\w+)`')
_INTERVAL = re.compile(r'[\[(](-?[\d.]+), (-?[\d.]+)[\])]')
_QUOTED = re.compile(r'"([\w-]+)"')


@cache
def option_texts(kind: Any) -> dict[str, str]:
    """Texts of the "Args:" of a class, by option.

    Those of its bases, too, as far as it hands options on to them. Where a
    text says "See :class:`X`", it is what X says.

    Example:
        >>> from sbam_mm.masking import SBAM
        >>> option_texts(SBAM)['delta']
        'A token with S > delta is salient.'
        >>> '"batch"' in option_texts(SBAM)['scope']
        True
    """
    found: dict[str, str] = {}
    for base in inspect.getmro(kind) if inspect.isclass(kind) else [kind]:
        for name, text in _own_texts(base).items():
            found.setdefault(name, text)
        if '__init__' in vars(base) and not any(
                one.kind is one.VAR_KEYWORD
                for one in inspect.signature(base).parameters.values()):
            break
    for name, text in found.items():
        other = _SEE.match(text)
        seen = other and (MODELS.get(other[1]) or getattr(
            sys.modules[kind.__module__], other[1], None))
        if other and seen and seen is not kind:
            said = option_texts(seen).get(name, '')
            found[name] = f'{said} {text[other.end():].strip(" .")}'.strip()
    return found


def _own_texts(kind: Any) -> dict[str, str]:
    section = _ARGS.search(f'{inspect.cleandoc(kind.__doc__ or "")}\n')
    found = {}
    for entry in re.split(r'\n(?=[ ]{4}\S)', section[1] if section else ''):
        head, _, text = entry.strip().partition(': ')
        for name in re.sub(r'\(.*\)', '', head).split(','):
            found[name.strip(' *')] = ' '.join(text.split())
    return found


def quoted_words(text: str) -> list[str]:
    """Words that a text names as values of an option.

    Example:
        >>> quoted_words('Of the tokens: "ceil" (the paper) or "floor".')
        ['ceil', 'floor']
    """
    return list(dict.fromkeys(_QUOTED.findall(text)))


def interval(text: str) -> tuple[float, float] | None:
    """The first one that a text names.

    Example:
        >>> interval('A share of the tokens, in [-1, 1].')
        (-1.0, 1.0)
    """
    found = _INTERVAL.search(text)
    return found and (float(found[1]), float(found[2]))


def plain(text: str) -> str:
    """The first sentence, without the marks of reStructuredText.

    Nothing, if that is a symbol and no sentence.

    Example:
        >>> plain('Of :class:`~a.Masker`, ``cell``. More of it.')
        'Of Masker, cell.'
    """
    text = re.sub(r':\w+:`~?(?:\w+\.)*([^`]*)`', r'\1', text)
    text = text.replace('``', '').replace('`', '')
    first = re.split(r'(?<=[.;])\s', text, maxsplit=1)[0].rstrip(';')
    known = ' ' in first.strip() and not first.startswith('See ')
    return first if known and len(first) > 8 else ''
