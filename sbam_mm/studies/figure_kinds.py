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
colours of one.
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
    if kind == 'pimr' and not isinstance(content['metric'], str):
        raise UserError(f'the figure {name!r} of kind pimr has one metric, '
                        f'got {content["metric"]!r}.')
    if kind == 'pimr':
        for ratio in axes.get(content['x'], ()):
            try:
                float(ratio)
            except ValueError:
                raise UserError(f'the figure {name!r} of kind pimr has ratios '
                                f'along x, and {ratio!r} is no number; choose '
                                'another axis.') from None
    extra = dict(x=('epoch', ), by=('metric', )) if kind == 'lines' else {}
    for key in (*needs, *more):
        if key in content and content[key] not in (*axes,
                                                   *extra.get(key, ())):
            raise UserError(f'the figure {name!r} has {key}={content[key]!r}, '
                            f'which is no axis; those are {", ".join(axes)}.')


def metrics_of(content: Mapping[str, Any]) -> list[str]:
    found = content['metric']
    return [found] if isinstance(found, str) else list(found)
