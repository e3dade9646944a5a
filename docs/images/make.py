#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Draw the figures of docs/concepts.md: parts.svg and packed.svg.

They stand on a light ground of their own, so that they can be read on a dark
page, too.
"""
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch.nn.functional import adaptive_avg_pool2d, unfold

from sbam_mm.masking import SBAM
from sbam_mm.packed import PackedLayout
from sbam_mm.visualization import center_crop, photographs
from sbam_mm.visualization.pixels import heat_map, hide_patches

FOLDER = Path(__file__).resolve().parent
GRID, PIXELS = 14, 140
INK, DIM, GROUND = '#1f2933', '#5b6770', '#f7f8fa'
COLOURS = ('#4477aa', '#cc6677', '#ddaa33')
STYLE = {'svg.fonttype': 'none', 'svg.hashsalt': 'sbam_mm', 'font.size': 11,
         'font.family': 'sans-serif', 'text.color': INK}


def new_figure(width, height):
    """A sheet whose units are inches, and its axes."""
    figure = Figure((width, height), facecolor=GROUND)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis('off')
    return figure, axes


def pixel_tokens(pictures):
    """Averages of 4 x 4 places in each patch, (B, L, 48)."""
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    images = adaptive_avg_pool2d((images / 255 - 0.45) / 0.25, 4 * GRID)
    return 0.3 * unfold(images, 4, stride=4).transpose(1, 2)


def parts():
    """Salience x ratio x selection = mask, for two photographs."""
    pictures = [center_crop(picture, PIXELS) for picture in photographs(
        ('astronaut', 'coffee')).values()]
    torch.manual_seed(0)
    masker = SBAM()
    noise = torch.rand(2, GRID * GRID)
    mask = masker(pixel_tokens(pictures), (GRID, GRID), noise=noise)
    figure, axes = new_figure(9.6, 4.75)
    side, top = 1.45, 2.35
    lefts = (0.25, 2.15, 4.05, 6.05, 7.95)
    heads = ('image', 'salience', 'ratio', 'selection', 'mask')
    below = ('patch tokens x', 'a score S per patch', 'how many to hide',
             'which ones', 'hidden = grey')
    for left, head, text in zip(lefts, heads, below):
        axes.text(left + side / 2, 4.4, head, ha='center', weight='bold',
                  size=13)
        axes.text(left + side / 2, 4.13, text, ha='center', color=DIM,
                  size=10)
    for left, sign in zip(lefts, ('→', '×', '×', '=')):
        for bottom in (top, top - 1.95):
            axes.text(left + side + 0.225, bottom + side / 2, sign, size=17,
                      ha='center', va='center', color=DIM)
    for i, picture in enumerate(pictures):
        bottom = top - 1.95 * i
        scores = mask.scores[i].reshape(GRID, GRID).numpy()
        hidden = mask.masked[i].reshape(GRID, GRID).numpy()
        for left, drawn in ((lefts[0], picture),
                            (lefts[1], heat_map(picture, scores)),
                            (lefts[4], hide_patches(picture, hidden))):
            axes.imshow(drawn, extent=(left, left + side, bottom,
                                       bottom + side), zorder=2)
        draw_ratio(axes, lefts[2], bottom, side, float(mask.salient[i]),
                   float(mask.ratio[i]))
        draw_selection(axes, lefts[3], bottom, side, mask, noise, i)
    axes.set(xlim=(0, 9.6), ylim=(0, 4.75), aspect='equal')
    axes.text(lefts[1] + side / 2, 0.13, 'AffinitySalience', ha='center',
              size=9.5, family='monospace')
    axes.text(lefts[2] + side / 2, 0.13, 'AdaptiveRatio', ha='center',
              size=9.5, family='monospace')
    axes.text(lefts[3] + side / 2, 0.13, 'NoisyTopK', ha='center', size=9.5,
              family='monospace')
    return figure


def draw_ratio(axes, left, bottom, side, salient, ratio):
    """The range r ± Δr, and where this image is in it."""
    low, high, middle = 0.6, 0.9, bottom + side / 2 - 0.1

    def at(value):
        return left + 0.1 + (side - 0.2) * (value - low) / (high - low)

    axes.plot([at(low), at(high)], [middle] * 2, color=DIM, lw=5,
              solid_capstyle='round', alpha=0.35)
    axes.plot(at(ratio), middle, 'o', color=COLOURS[1], ms=11)
    for value in (low, 0.75, high):
        axes.text(at(value), middle - 0.3, f'{value:g}', ha='center',
                  color=DIM, size=9)
    axes.text(left + side / 2, middle + 0.45, f'S > δ: {100 * salient:.0f} %',
              ha='center', size=10)
    axes.text(left + side / 2, middle + 0.2, f'R = {ratio:.2f}', ha='center',
              size=11, weight='bold', color=COLOURS[1])


def draw_selection(axes, left, bottom, side, mask, noise, i):
    """Noisy scores in order; the hidden ones are grey."""
    noisy = mask.scores[i] + 0.5 * noise[i]
    order = noisy.argsort(descending=True)
    count = int(mask.masked[i].sum())
    # Which tokens are hidden follows the noisy order, and nothing else.
    assert mask.masked[i][order[:count]].all()
    heights = (noisy[order] / noisy.max() * (side - 0.35)).numpy()
    wide = side / len(heights)
    for part, colour in ((slice(0, count), '#a9b1b9'),
                         (slice(count, None), COLOURS[0])):
        places = left + wide * np.arange(len(heights))[part]
        axes.fill_between(places, bottom + 0.05, bottom + 0.05
                          + heights[part], color=colour, lw=0, step='post')
    cut = left + wide * count
    axes.plot([cut] * 2, [bottom + 0.05, bottom + side - 0.25],
              color=COLOURS[1], lw=1.5)
    axes.text(left, bottom + side - 0.15, 'S + noise, sorted', size=9,
              color=DIM)


# Which of 4 x 4 patches are visible, by image; the shortest is packed first.
VISIBLE = ((3, 5, 12), (0, 7, 8, 15), (1, 2, 5, 6, 9, 10, 13))


def packed():
    """Three images of unequal lengths: padded, packed, and back."""
    visible = torch.zeros(3, 16, dtype=torch.bool)
    for row, places in zip(visible, VISIBLE):
        row[list(places)] = True
    keep = torch.cat([torch.ones(3, 1, dtype=torch.bool), visible], dim=1)
    starts = PackedLayout(keep).cu_seqlens.tolist()
    lengths = np.diff(starts).tolist()
    figure, axes = new_figure(9.6, 4.5)
    axes.set_aspect('equal')
    cell = 0.24
    axes.text(0.3, 4.15, 'masks', weight='bold', size=13)
    axes.text(0.3, 3.9, 'every image keeps its own number', color=DIM, size=10)
    for i, row in enumerate(visible):
        for place, seen in enumerate(row.tolist()):
            square(axes, 0.3 + cell * (place % 4),
                   2.7 - 1.2 * i + cell * (3 - place // 4), cell,
                   COLOURS[i] if seen else '#d5dae0')
        axes.text(1.4, 3.1 - 1.2 * i, f'{lengths[i] - 1} visible', size=10,
                  va='center')
    axes.text(3.1, 4.15, 'padded', weight='bold', size=13)
    axes.text(3.1, 3.9, f'{3 * max(lengths)} places, {sum(lengths)} of them '
              'used', color=DIM, size=10)
    for i, length in enumerate(lengths):
        for k in range(max(lengths)):
            x, y = 3.1 + cell * k, 3.5 - 1.15 * cell * i
            if k < length:
                square(axes, x, y, cell, COLOURS[i], 'c' if k == 0 else '')
            else:
                axes.add_patch(Rectangle((x, y), cell, cell, fill=False,
                                         ec='#a9b1b9', hatch='////', lw=0.5))
    axes.text(3.1, 2.35, 'packed', weight='bold', size=13)
    axes.text(3.1, 2.1, f'one sequence of {sum(lengths)}; c is the class '
              'token', color=DIM, size=10)
    at = 0
    for i, length in enumerate(lengths):
        for k in range(length):
            square(axes, 3.1 + 0.205 * at, 1.7, 0.205, COLOURS[i],
                   'c' if k == 0 else '')
            at += 1
    for offset in starts:
        x = 3.1 + 0.205 * offset
        axes.plot([x, x], [1.55, 1.7], color=INK, lw=1)
        axes.text(x, 1.36, str(offset), ha='center', size=9, color=DIM)
    axes.text(3.1, 1.1, 'where each image begins', color=DIM, size=9)
    axes.text(3.1, 0.62, 'Norms and MLPs see single tokens, so packing\n'
              'changes nothing for them; the decoder puts\nthe tokens back '
              'and fills in mask tokens.', size=10, va='center')
    axes.text(7.05, 4.15, 'attention', weight='bold', size=13)
    axes.text(7.05, 3.9, 'within each image only', color=DIM, size=10)
    side, start = 2.2 / sum(lengths), 0
    axes.add_patch(Rectangle((7.05, 1.45), 2.2, 2.2, fc='#eceff2', lw=0))
    for i, length in enumerate(lengths):
        axes.add_patch(Rectangle(
            (7.05 + side * start, 3.65 - side * (start + length)),
            side * length, side * length, fc=COLOURS[i], ec='white'))
        start += length
    axes.text(8.15, 1.25, 'keys', ha='center', color=DIM, size=10)
    axes.text(6.93, 2.55, 'queries', ha='center', va='center', rotation=90,
              color=DIM, size=10)
    axes.text(7.05, 0.62, 'The result is that of a loop\nover single images.',
              size=10, va='center')
    return figure


def square(axes, x, y, size, colour, text=''):
    axes.add_patch(FancyBboxPatch(
        (x + 0.02, y + 0.02), size - 0.04, size - 0.04, fc=colour, lw=0,
        boxstyle='round,pad=0,rounding_size=0.03'))
    if text:
        axes.text(x + size / 2, y + size / 2, text, ha='center', va='center',
                  size=9, color='white')


def draw(folder):
    """Write both figures."""
    with rc_context(STYLE):
        for figure in (parts, packed):
            figure().savefig(folder / f'{figure.__name__}.svg',
                             facecolor=GROUND, metadata={'Date': None})


if __name__ == '__main__':
    draw(FOLDER)
    print(f'wrote {FOLDER}/parts.svg and packed.svg')
