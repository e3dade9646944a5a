# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of attention heads: how well each finds objects, and the best."""
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .output import FAINT, INK
from .pixels import heat_map, hide_patches


def heads_figure(recall: np.ndarray,
                 chance: float,
                 best: Sequence[int],
                 images: Mapping[str, np.ndarray],
                 annotated: np.ndarray,
                 scores: np.ndarray,
                 title: str = '',
                 shown: int = 6) -> Figure:
    """Recall of every head as a heat map, and the best one's own maps.

    Args:
        recall (np.ndarray): (blocks, heads + 1) in [0, 1], the sum over
            heads last.
        best (Sequence[int]): Block and column of the head that is marked.
        images (Mapping[str, np.ndarray]): RGB, uint8, (H, W, 3), equal sizes.
        annotated (np.ndarray): Boolean (B, h, w).
        scores (np.ndarray): Of the best head, (B, h, w) in [0, 1].

    Returns:
        Figure: Block by head above; below, each image with all but its
        annotated patches hidden, and the best head's scores.
    """
    blocks, columns = recall.shape
    number = min(shown, len(images))
    width = max(0.62 * columns + 1.8, 1.55 * number)
    upper = 0.34 * blocks + 1.1
    figure = Figure(figsize=(width, upper + 3.5), layout='constrained')
    above, below = figure.subfigures(
        2, 1, squeeze=False, height_ratios=(upper, 3.5))[:, 0]
    figure.suptitle(title, fontsize=11, color=INK, weight='bold', x=.01,
                    ha='left')
    axes = above.subplots()
    drawn = axes.imshow(recall, cmap='cividis', aspect='auto',
                        vmin=min(chance, recall.min()), vmax=recall.max())
    dark = (drawn.norm.vmin + drawn.norm.vmax) / 2
    for (block, head), value in np.ndenumerate(recall):
        axes.text(head, block, f'{value:.2f}'[1:] if value < 1 else '1',
                  ha='center', va='center', fontsize=7.5,
                  color='white' if value < dark else 'black')
    axes.add_patch(
        Rectangle((best[1] - .5, best[0] - .5), 1, 1, fill=False,
                  edgecolor='#EE6677', linewidth=2.2))
    axes.set_xticks(range(columns), [*map(str, range(columns - 1)), 'sum'])
    axes.set_yticks(range(blocks))
    axes.tick_params(colors=FAINT, labelsize=8, length=0)
    axes.set_xlabel('head', color=INK)
    axes.set_ylabel('block', color=INK)
    bar = above.colorbar(drawn, ax=axes, pad=.01, aspect=30)
    bar.set_label(f'recall of annotated patches (chance {chance:.2f})',
                  color=INK, fontsize=8.5)
    bar.ax.tick_params(colors=FAINT, labelsize=8)
    grid = below.subplots(2, number, squeeze=False)
    for i, (name, image) in enumerate(list(images.items())[:number]):
        grid[0, i].imshow(hide_patches(image, ~annotated[i]))
        grid[0, i].set_title(name, fontsize=8, color=FAINT)
        grid[1, i].imshow(heat_map(image, scores[i]))
        for cell in grid[:, i]:
            cell.set_axis_off()
    head = 'sum' if best[1] == columns - 1 else f'head {best[1]}'
    below.supxlabel(
        f'above: annotated patches; below: block {best[0]}, {head}',
        fontsize=8.5, color=FAINT)
    return figure
