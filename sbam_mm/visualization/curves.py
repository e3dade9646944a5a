# Copyright (c) OpenMMLab. All rights reserved.
"""Curves of trainings."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sbam_mm.engine.run_log import Records, read_scalars, series

from .output import FAINT, colours_of, style_axes


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
        # Few points are evaluations, and each of them matters.
        marker = 'o' if len(xs) <= 30 else None
        axes.plot(xs, ys, color=colour, label=label, marker=marker,
                  markersize=4, linewidth=1.6)
        low = series(runs[label], f'{key}_min', x)
        high = series(runs[label], f'{key}_max', x)
        if low[0] == xs and high[0] == xs:
            axes.fill_between(xs, low[1], high[1], color=colour, alpha=.15,
                              linewidth=0)
    styles = ('--', ':', '-.')
    for i, (label, level) in enumerate((floors or {}).items()):
        axes.axhline(level, color=FAINT, linestyle=styles[i % 3],
                     linewidth=1.1, label=label)
    return drawn


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
    logged = {key for records in runs.values() for r in records for key in r}
    panels = [
        panel for panel in (
            ('loss', 'step', 'iteration', 'loss on hidden patches', None),
            (knn, 'epoch', 'epoch', 'kNN top-1 [%]', floors),
            ('mask_ratio', 'step', 'iteration', 'mask ratio', None))
        if panel[0] in logged
    ]
    figure = Figure(figsize=(3.5 * max(len(panels), 1), 3.2),
                    layout='constrained')
    if not panels:
        return figure
    for axes, (key, x, xlabel, ylabel, levels) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels):
        plot_curves(axes, runs, key, x, levels)
        style_axes(axes, xlabel, ylabel)
        if x == 'epoch':
            axes.xaxis.get_major_locator().set_params(integer=True)
        if key == 'mask_ratio':
            axes.yaxis.set_major_formatter(PercentFormatter(1., 0))
            axes.set_ylim(0, 1)
        # Below the diagram, where it hides no curve.
        axes.legend(frameon=False, fontsize=8.5, loc='upper left',
                    bbox_to_anchor=(0., -.25), borderaxespad=0.)
    return figure


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
