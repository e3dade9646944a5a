# Copyright (c) OpenMMLab. All rights reserved.
"""Drawing the figures of a study, see :mod:`sbam_mm.studies.figure_kinds`."""
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sbam_mm.visualization.output import COLOURS, colours_of, style_axes
from sbam_mm.visualization.robustness import robustness_figure

from .figure_kinds import last_word
from .rows import Row
from .statistics import Spread, spread
from .table import choose, pimr_curves

# Where there are more lines than colours.
STYLES = ('-', '--', ':', '-.')


def draw(shown: Sequence[Mapping[str, Any]], rows: Sequence[Row],
         axes: Mapping[str, Mapping]) -> Figure:
    """A figure of a study from its table.

    Args:
        shown: Its :func:`~sbam_mm.studies.figure_kinds.diagrams`.
    """
    first = shown[0]
    if first['kind'] == 'pimr':
        return robustness_figure(pimr_curves(first, rows), first['label'])
    # Several options, and one metric to compare them by.
    several = len({one['x'] for one in shown}) > 1
    figure = Figure(figsize=(1 + (3. if several else 4.2) * len(shown), 3.8),
                    layout='constrained')
    places = figure.subplots(1, len(shown), squeeze=False, sharey=several)[0]
    for number, (place, content) in enumerate(zip(places, shown)):
        at = None if content['x'] == 'epoch' else content.get('at', 'last')
        chosen = [row for metric in content['metric']
                  for row in choose(rows, metric, content.get('where'), at)]
        label = '' if several and number else content['label']
        DRAW[content['kind']](place, content, chosen, axes, label)
        if several and number and (place.get_title('left')
                                   == places[0].get_title('left')):
            place.set_title('', loc='left')
    _legend(figure, first.get('by'))
    if first.get('title'):
        figure.suptitle(first['title'], fontsize=10.5)
    return figure


def _legend(figure: Figure, by: str | None) -> None:
    """One of all diagrams, below them, where it hides no curve."""
    named = {label: handle for place in figure.axes for handle, label in
             zip(*place.get_legend_handles_labels())}
    if not by or len(named) < 2:
        return
    wide = .55 + .062 * max(map(len, named))  # inches
    columns = max(1, int(figure.get_figwidth() // wide))
    rows = math.ceil(len(named) / columns)
    figure.set_figheight(figure.get_figheight() + .22 * rows)
    # Values of an option say nothing without its name.
    figure.legend(list(named.values()), list(named), ncols=columns,
                  loc='outside lower left', frameon=False, fontsize=8.5,
                  title=last_word(by) if '.' in by else None,
                  title_fontsize=8.5, alignment='left')


def _looks(known: Mapping[str, Any] | None, groups: Sequence[str]
           ) -> dict[str, tuple[Any, str]]:
    """Colour and line style of each group, the same in all diagrams."""
    names = list(known or groups)
    return {name: (colour, STYLES[number // len(COLOURS) % len(STYLES)])
            for number, (name, colour) in enumerate(colours_of(names).items())
            if name in groups}


def _key(row: Row, name: str | None) -> str:
    if name is None:
        return ''
    if name == 'metric':
        return row.metric
    return str(row.epoch) if name == 'epoch' else row.labels[name]


def grouped(rows: Sequence[Row], *names: str | None
            ) -> dict[tuple[str, ...], Spread]:
    """Means over all that is not named: seeds, and perhaps other axes."""
    values: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        values.setdefault(tuple(_key(row, name) for name in names),
                          []).append(row.value)
    return {key: spread(each) for key, each in values.items()}


def _seeds(found: Sequence[Spread]) -> str:
    low, high = (f(one.seeds for one in found) for f in (min, max))
    number = str(low) if low == high else f'{low} to {high}'
    if high == 1:
        return '1 run each'
    return f'{number} runs each: mean ± standard deviation'


def _positions(labels: Sequence[str]) -> tuple[list[float], bool]:
    """Where labels stand on an axis: at their numbers, or one by one."""
    try:
        return [float(label) for label in labels], True
    except ValueError:
        return list(map(float, range(len(labels)))), False


def _ordered(known: Mapping[str, Any] | None, found: Sequence[str]
             ) -> list[str]:
    """As the study has them, else as they come."""
    labels = list(dict.fromkeys(found))
    if known is None:
        return labels
    return [label for label in known if label in labels]


def _lines(place: Axes, content: Mapping[str, Any], rows: Sequence[Row],
           axes: Mapping[str, Mapping], label: str) -> None:
    x, by = content['x'], content.get('by')
    found = grouped(rows, by, x)
    labels = _ordered(axes.get(x), [key[1] for key in found])
    where, numbers = _positions(labels)
    position = dict(zip(labels, where))
    groups = _ordered(axes.get(by or ''), [key[0] for key in found])
    looks = _looks(axes.get(by or ''), groups)
    for group, (colour, style) in looks.items():
        points = sorted((position[point], one) for (name, point), one in
                        found.items() if name == group)
        xs = [point[0] for point in points]
        means = np.array([one.mean for _, one in points])
        stds = np.nan_to_num([one.std for _, one in points])
        place.plot(xs, means, color=colour, label=group or None, marker='o',
                   linestyle=style, markersize=3.5,
                   linewidth=1.6)
        place.fill_between(xs, means - stds, means + stds, color=colour,
                           alpha=.15, linewidth=0)
    if not numbers or len(labels) <= 8:
        place.set_xticks(where, labels)
    _finish(place, x, label, list(found.values()))


def _points(place: Axes, content: Mapping[str, Any], rows: Sequence[Row],
            axes: Mapping[str, Mapping], label: str) -> None:
    x, by = content['x'], content.get('by')
    found = grouped(rows, by, x)
    labels = _ordered(axes.get(x), [key[1] for key in found])
    groups = _ordered(axes.get(by or ''), [key[0] for key in found])
    width = .8 / len(groups)
    looks = _looks(axes.get(by or ''), groups)
    for number, (group, (colour, _)) in enumerate(looks.items()):
        there = [i for i, point in enumerate(labels)
                 if (group, point) in found]
        centres = [i + (number - (len(groups) - 1) / 2) * width
                   for i in there]
        spreads = [found[group, labels[i]] for i in there]
        means = [one.mean for one in spreads]
        if content['kind'] == 'bars':
            place.bar(centres, means, width * .92, color=colour, alpha=.35)
        place.errorbar(centres, means,
                       np.nan_to_num([one.std for one in spreads]),
                       color=colour, fmt='o', linewidth=1.4, capsize=3,
                       markersize=5, label=group or None)
        for i, centre in zip(there, centres):
            values = [row.value for row in rows
                      if (_key(row, by), _key(row, x)) == (group, labels[i])]
            place.scatter([centre] * len(values), values, s=10, zorder=3,
                          color='#1f2933', alpha=.5, linewidths=0)
    place.set_xlim(-.6, len(labels) - .4)
    crowded = sum(map(len, labels)) > 24
    place.set_xticks(range(len(labels)), labels, rotation=35 * crowded,
                     ha='right' if crowded else 'center')
    _finish(place, x, label, list(found.values()))


def _heat(place: Axes, content: Mapping[str, Any], rows: Sequence[Row],
          axes: Mapping[str, Mapping], label: str) -> None:
    x, y = content['x'], content['y']
    found = grouped(rows, x, y)
    across = _ordered(axes[x], [key[0] for key in found])
    down = _ordered(axes[y], [key[1] for key in found])
    means = np.array([[found[a, d].mean if (a, d) in found else np.nan
                       for a in across] for d in down])
    picture = place.imshow(means, cmap='viridis', aspect='auto')
    middle = (np.nanmin(means) + np.nanmax(means)) / 2
    for i, d in enumerate(down):
        for j, a in enumerate(across):
            if (a, d) in found:
                place.text(j, i, f'{means[i, j]:.1f}', ha='center',
                           va='center', fontsize=9,
                           color='white' if means[i, j] < middle else 'black')
    place.set_xticks(range(len(across)), across)
    place.set_yticks(range(len(down)), down)
    place.figure.colorbar(picture, ax=place, label=label)  # type: ignore
    style_axes(place, last_word(x), last_word(y))
    place.grid(False)
    place.set_title(_seeds(list(found.values())), fontsize=8)


def _finish(place: Axes, x: str, label: str,
            found: Sequence[Spread]) -> None:
    style_axes(place, last_word(x), label)
    place.set_title(_seeds(found), fontsize=8, loc='left')


DRAW = dict(lines=_lines, points=_points, bars=_points, heat=_heat)
