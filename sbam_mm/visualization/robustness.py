# Copyright (c) OpenMMLab. All rights reserved.
"""Performance and PIMR over the masking ratio, as in SBAM's Fig. 3."""
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from sbam_mm.evaluation.pimr import Curve

from .output import colours_of, style_axes


def robustness_figure(curves: Mapping[str, Curve],
                      ylabel: str = 'kNN top-1 [%]') -> Figure:
    """Three diagrams over the masking ratio: performance, PIMR, Global PIMR.

    Example::

        runs, notes = read_runs(['work_dirs/pimr_small/runs.csv'])
        save_figure(robustness_figure(curves(runs)), 'pimr.png')
    """
    figure = Figure(figsize=(10.5, 3.6), layout='constrained')
    panels = figure.subplots(1, 3)
    for label, colour in colours_of(curves).items():
        points = curves[label].points
        ratios = [point.ratio for point in points]
        for axes, name in zip(panels, ('mean', 'pimr', 'global_pimr')):
            axes.plot(ratios, [getattr(point, name) for point in points],
                      color=colour, label=label, marker='_', linewidth=1.6)
        seeds = [(point.ratio, value) for point in points
                 for value in point.values.values()]
        panels[0].scatter(*np.transpose(seeds), color=colour, s=14, alpha=.7,
                          linewidths=0)
    ratios = sorted({p.ratio for c in curves.values() for p in c.points})
    for axes, name in zip(panels, (ylabel, 'PIMR (Eq. 5)',
                                   'Global PIMR (Eq. 6)')):
        style_axes(axes, 'masking ratio', name)
        axes.set_xticks(ratios, [f'{ratio:g}' for ratio in ratios])
    for axes in panels[1:]:
        axes.set_ylim(-.05, 1.05)
    # Below the diagrams, where it hides no curve.
    panels[0].legend(frameon=False, fontsize=8.5, loc='upper left',
                     bbox_to_anchor=(0., -.2), borderaxespad=0.,
                     ncols=len(curves))
    return figure
