# Copyright (c) OpenMMLab. All rights reserved.
"""Curves of trainings."""
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    MaxNLocator,
    PercentFormatter,
    StrMethodFormatter,
)

from sbam_mm.engine.run_log import Records, read_scalars, series

from .output import FAINT, INK, colours_of, style_axes

# A longer curve is no sharper on a page, and only heavier.
MOST = 500


def thinned(values: list[float],
            of_group: Callable[[list[float]], float] = fmean) -> list[float]:
    """At most ``MOST`` values: of neighbours their mean, or another.

    Example:
        >>> thinned([1., 2.]), len(thinned([0.] * 3000))
        ([1.0, 2.0], 500)
    """
    size = -(-len(values) // MOST)
    return values if size <= 1 else [
        of_group(values[i:i + size]) for i in range(0, len(values), size)]


def plot_curves(axes: Axes,
                runs: Mapping[str, Records],
                key: str,
                x: str = 'step',
                floors: Mapping[str, float] | None = None) -> bool:
    """Draw a quantity ``key`` of several runs; False if none has logged it.

    Where ``key``_min and ``key``_max are logged, their range is shaded.

    Args:
        floors (Mapping[str, float], optional): Levels to draw as dashed lines,
            by label.
    """
    drawn = False
    for label, colour in colours_of(runs).items():
        xs, ys = series(runs[label], key, x)
        if not xs:
            continue
        drawn = True
        xs, ys = thinned(xs), thinned(ys)
        # Few points are evaluations, and each of them matters.
        marker = 'o' if len(xs) <= 30 else None
        axes.plot(xs, ys, color=colour, label=label, marker=marker,
                  markersize=4, linewidth=1.6)
        (at, low), (also, high) = (
            series(runs[label], f'{key}_{end}', x) for end in ('min', 'max'))
        if at == also and thinned(at) == xs:
            axes.fill_between(xs, thinned(low, min), thinned(high, max),
                              color=colour, alpha=.15, linewidth=0)
    styles = ('--', ':', '-.')
    for i, (label, level) in enumerate((floors or {}).items()):
        axes.axhline(level, color=FAINT, linestyle=styles[i % 3],
                     linewidth=1.1, label=label)
    return drawn


@dataclass(frozen=True)
class Panel:
    """What a diagram of trainings shows.

    Args:
        key (str): The name in the log.
        title (str): With the unit.
        short (str): Beside an axis, or above a column of a table.
        x (str): "step" or "epoch".
    """
    key: str
    title: str
    short: str
    x: str = 'step'

    @property
    def is_share(self) -> bool:
        return self.key == 'mask_ratio'


PANELS = (
    Panel('loss', 'Loss on hidden patches', 'loss'),
    Panel('knn_top1', 'kNN top-1 [%]', 'kNN top-1 [%]', 'epoch'),
    Panel('mask_ratio', 'Masking ratio: mean, lowest, highest',
          'masking ratio'),
    Panel('visible_tokens', 'Visible patches per image', 'visible patches'),
    Panel('lr', 'Learning rate', 'learning rate'),
    Panel('images_per_second', 'Speed [images/s]', 'images/s'),
)


def draw_panel(axes: Axes, panel: Panel, runs: Mapping[str, Records],
               floors: Mapping[str, float] | None = None) -> None:
    """One quantity of several runs; ``floors`` are levels of its axis."""
    plot_curves(axes, runs, panel.key, panel.x, floors)
    style_axes(axes, 'epoch' if panel.x == 'epoch' else 'iteration',
               panel.short)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if panel.x == 'step':
        axes.xaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))
    if panel.is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1., 0))
        axes.set_ylim(0, 1)
    elif panel.key in ('images_per_second', 'visible_tokens', 'lr'):
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))


def logged_panels(runs: Mapping[str, Records],
                  panels: Sequence[Panel] = PANELS) -> list[Panel]:
    """The panels for which a run has logged something."""
    logged = {key for records in runs.values() for r in records for key in r}
    return [panel for panel in panels if panel.key in logged]


def training_figure(work_dirs: Mapping[str, str | Path],
                    floors: Mapping[str, float] | None = None,
                    knn: str = 'knn_top1') -> Figure:
    """Loss, kNN accuracy and mask ratio of several runs, side by side.

    A quantity that no run has logged is left out.

    Args:
        floors (Mapping[str, float], optional): kNN accuracies to compare with,
            in per cent, by label.

    Returns:
        Figure: One diagram per quantity. Mask ratios are the batch's mean
        and, shaded, its range over images.

    Example::

        figure = training_figure({'random': 'work_dirs/mae_small',
                                  'SBAM': 'work_dirs/sbam_small'})
    """
    runs = {label: read_scalars(path) for label, path in work_dirs.items()}
    loss, accuracy, ratio = PANELS[:3]
    panels = logged_panels(runs, (loss, replace(accuracy, key=knn), ratio))
    figure = Figure(figsize=(3.5 * max(len(panels), 1), 3.2),
                    layout='constrained')
    if not panels:
        return figure
    for axes, panel in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels):
        draw_panel(axes, panel, runs, floors if panel.key == knn else None)
        # Below the diagram, where it hides no curve.
        axes.legend(frameon=False, fontsize=8.5, loc='upper left',
                    bbox_to_anchor=(0., -.25), borderaxespad=0.)
    return figure


def training_diagrams(runs: Mapping[str, Records],
                      floors: Mapping[str, float] | None = None
                      ) -> list[Figure]:
    """One small figure per quantity of :data:`PANELS`, for a page.

    They have no legend but for the ``floors``: the page names the colours.
    """
    figures = []
    for panel in logged_panels(runs):
        figure = Figure(figsize=(4.4, 2.9), layout='constrained')
        axes = figure.subplots()
        levels = floors if panel.key == 'knn_top1' else None
        draw_panel(axes, panel, runs, levels)
        # Above, where it is read without turning the head.
        axes.set_ylabel('')
        axes.set_title(panel.title, loc='left', fontsize=11, color=INK)
        if levels:
            axes.legend(*zip(*(
                (line, line.get_label()) for line in axes.get_lines()
                if line.get_label() in levels)), fontsize=9, frameon=False,
                loc='upper left', bbox_to_anchor=(0., -.22), ncols=2,
                borderaxespad=0., labelcolor=FAINT)
        figures.append(figure)
    return figures


def ratio_histogram(ratios: Mapping[str, Sequence[float]],
                    bins: int = 30) -> Figure:
    """How the mask ratios of single images, in [0, 1], are spread."""
    figure = Figure(figsize=(6.4, 3.2), layout='constrained')
    axes = figure.subplots()
    values = {label: np.asarray(r, dtype=float) for label, r in ratios.items()}
    everything = np.concatenate(list(values.values()))
    low, high = everything.min() - .02, everything.max() + .02
    edges = np.linspace(max(0., low), min(1., high), bins + 1)
    for label, colour in colours_of(values).items():
        share = np.full(len(values[label]), 1 / len(values[label]))
        mean, std = values[label].mean(), values[label].std()
        axes.hist(values[label], bins=edges.tolist(), weights=share,
                  color=colour, alpha=.65, label=f'{label}: mean {mean:.1%}, '
                  f'standard deviation {std:.1%}')
    axes.xaxis.set_major_formatter(PercentFormatter(1., 0))
    axes.yaxis.set_major_formatter(PercentFormatter(1., 0))
    style_axes(axes, 'mask ratio of an image', 'share of images')
    axes.legend(frameon=False, fontsize=9, loc='upper left',
                bbox_to_anchor=(0., -.26), borderaxespad=0.)
    return figure
