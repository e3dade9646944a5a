# Copyright (c) OpenMMLab. All rights reserved.
"""What a study draws, by kind.

A figure of a study file is a dict with a ``kind``, the ``metric`` (or several)
as the table has it, "protocol/metric", and options of the kind:

==========  ===============================================================
lines       ``x``: an axis, or "epoch"; ``by``: an axis with a colour each
points      ``x``: an axis; ``by``: another one, side by side
bars        the same as bars from 0, for what has a meaning there
heat        ``x``, ``y``: axes
pimr        ``x``: the axis of the ratio, ``by``: that of the masker
==========  ===============================================================

``where`` keeps some labels ({axis: label or list of them}), ``at`` is the
epoch ("last"), ``label`` what stands at the vertical axis. Several metrics are
several diagrams side by side, with a list of labels, or with ``by='metric'``
colours of one. A list of axes as ``x`` makes a diagram of each, with one
vertical axis.
"""
from collections.abc import Mapping
from typing import Any

from sbam_mm.errors import UserError

# What each kind needs, and what it may have beside OPTIONS.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    'lines': (('x', ), ('by', )),
    'points': (('x', ), ('by', )),
    'bars': (('x', ), ('by', )),
    'heat': (('x', 'y'), ()),
    'pimr': (('x', 'by'), ()),
}
OPTIONS = ('kind', 'metric', 'where', 'at', 'label', 'title')


def check_figure(name: str, content: Mapping[str, Any],
                 axes: Mapping[str, Mapping]) -> None:
    """Stop at a figure that could not be drawn.

    Raises:
        UserError: With what is wrong.
    """
    kind = content.get('kind')
    if kind not in KINDS:
        raise UserError(f'the figure {name!r} has kind={kind!r}; choose one '
                        f'of {", ".join(KINDS)}.')
    needs, more = KINDS[kind]
    lacking = [key for key in ('metric', *needs) if key not in content]
    unknown = [key for key in content if key not in (*OPTIONS, *needs, *more)]
    if lacking or unknown:
        raise UserError(
            f'the figure {name!r} of kind {kind} ' + ' and '.join(
                [f'lacks {key}' for key in lacking]
                + [f'has no option {key!r}' for key in unknown])
            + '; correct it.')
    metrics, labels = metrics_of(content), content.get('label')
    if isinstance(labels, (list, tuple)) and (
            len(labels) != len(metrics) or content.get('by') == 'metric'):
        raise UserError(f'the figure {name!r} has {len(labels)} labels for '
                        f'{len(metrics)} metrics; give one label for each '
                        'diagram.')
    several = isinstance(content['x'], (list, tuple))
    if (several or kind == 'pimr') and len(metrics) != 1:
        raise UserError(f'the figure {name!r} has {len(metrics)} metrics; one '
                        'of kind pimr, or with several x, has one.')
    extra = dict(x=('epoch', ), by=('metric', )) if kind == 'lines' else {}
    for key in (*needs, *more):
        many = several and key == 'x' and kind in ('lines', 'points', 'bars')
        named = content[key] if many else [content.get(key)]
        for axis in named or [named]:
            if key in content and axis not in (*axes, *extra.get(key, ())):
                raise UserError(
                    f'the figure {name!r} has {key}={axis!r}, which is no '
                    f'axis; those are {", ".join(axes)}.')
    for ratio in axes[content['x']] if kind == 'pimr' else ():
        try:
            float(ratio)
        except ValueError:
            raise UserError(f'the figure {name!r} of kind pimr has ratios '
                            f'along x, and {ratio!r} is no number; choose '
                            'another axis.') from None


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]


def last_word(axis: str) -> str:
    """The name of an option, without where it is."""
    return axis.rpartition('.')[2]


def metrics_of(content: Mapping[str, Any]) -> list[str]:
    return _listed(content['metric'])


def diagrams(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The diagrams of a figure, from left to right.

    Each has one ``x``, one ``label`` and a list of metrics, which is of one
    unless they are the colours.

    Example:
        >>> two = dict(kind='bars', x='arm', metric=['knn/avg', 'linear/avg'])
        >>> [(one['metric'], one['label']) for one in diagrams(two)]
        [(['knn/avg'], ''), (['linear/avg'], '')]
    """
    metrics = metrics_of(content)
    parts = [metrics] if content.get('by') == 'metric' else [
        [metric] for metric in metrics]
    label = content.get('label', metrics[0] if len(metrics) == 1 else '')
    labels = label if isinstance(label, list) else [label] * len(parts)
    return [dict(content, x=x, metric=part, label=said)
            for x in _listed(content['x'])
            for part, said in zip(parts, labels)]
