# Copyright (c) OpenMMLab. All rights reserved.
"""Figures and files: one look, and never half a file."""
import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from sbam_mm.files import write_atomically

# Told apart by readers with any colour vision (Paul Tol's "bright").
COLOURS = ('#4477AA', '#EE6677', '#228833', '#CCBB44', '#AA3377', '#66CCEE')
INK, FAINT, LINE = '#1f2933', '#5b6770', '#e4e7eb'

# A picture and the line below it; None leaves a place empty.
Cell = tuple[np.ndarray, str] | None


@dataclass(eq=False)
class Grid:
    """Pictures in rows, under headings; every row has a name."""
    columns: Sequence[str]
    rows: dict[str, Sequence[Cell]]


def figure_png(figure: Figure, dpi: int = 150) -> bytes:
    """A figure as the bytes of a PNG file."""
    return figure_bytes(figure, 'png', dpi)


def figure_bytes(figure: Figure, kind: str, dpi: int = 150) -> bytes:
    """A figure as the bytes of a "png", "pdf" or "svg" file.

    In the last two, letters stay text, which a paper's editor can search.
    """
    _take_names_as_they_are(figure)
    buffer = io.BytesIO()
    with rc_context({'pdf.fonttype': 42, 'svg.fonttype': 'none'}):
        figure.savefig(buffer, format=kind, dpi=dpi, facecolor='white')
    return buffer.getvalue()


def figure_svg(figure: Figure, salt: str = '') -> str:
    """A figure as an SVG element that takes the colours of its page.

    Ink, grid and the colours of curves become the page's variables --ink,
    --dim, --line and --c0 to --c5, so that a dark page has a dark figure.

    Args:
        salt (str): What tells its elements from those of other figures.
    """
    _take_names_as_they_are(figure)
    buffer = io.StringIO()
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': salt}):
        figure.savefig(buffer, format='svg', transparent=True,
                       metadata=dict(Date=None, Creator=None, Format=None,
                                     Type=None))
    svg = buffer.getvalue()
    svg = svg[svg.index('<svg'):]
    svg = re.sub(r"font-family: [^;\"]*(; )?", '', svg)
    names = {INK: 'ink', FAINT: 'dim', '#000000': 'dim', LINE: 'line',
             **{colour: f'c{i}' for i, colour in enumerate(COLOURS)}}
    for colour, name in names.items():
        svg = svg.replace(f': {colour.lower()}', f': var(--{name})')
    # As wide as its place.
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1', svg,
                  count=1)


def _take_names_as_they_are(figure: Figure) -> None:
    """A dollar in the name of a file or class begins no formula."""
    powers = {
        label
        for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
        if axis.get_scale() == 'log'
        for label in axis.get_ticklabels(which='both')
    }
    for text in figure.findobj(Text):
        if text not in powers:
            text.set_parse_math(False)


def save_figure(figure: Figure,
                path: str | Path,
                dpi: int = 150) -> None:
    """Write a figure: .pdf, .svg, or else a PNG; missing folders are made."""
    kind = Path(path).suffix.lower().removeprefix('.')
    write_atomically(path, figure_bytes(
        figure, kind if kind in ('pdf', 'svg') else 'png', dpi))


def picture_grid(rows: Iterable[Sequence[Cell]],
                 columns: Sequence[str],
                 title: str | None = None,
                 note: str | None = None,
                 side: float = 1.75) -> Figure:
    """Pictures in rows and columns, each with a line below it.

    Args:
        note (str, optional): Small, below all, in lines as wide as the figure.
        side (float): Inches of a picture.
    """
    rows = list(rows)
    lines = max(column.count('\n') + 1 for column in columns)
    gap, text, left = 0.10, 0.24, 0.12
    top = 0.10 + 0.19 * lines + (0.30 if title else 0.)
    width = 2 * left + len(columns) * side + (len(columns) - 1) * gap
    # A letter of 8 points is below 4.4 points wide, of 72 to the inch.
    wrapped = textwrap.wrap(note or '', int((width - 2 * left) * 72 / 4.4))
    bottom = 0.06 + 0.14 * len(wrapped) + (0.10 if wrapped else 0.)
    height = top + len(rows) * (side + text) + bottom
    figure = Figure(figsize=(width, height))
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            x = left + j * (side + gap)
            y = height - top - i * (side + text) - side
            centre = (x + side / 2) / width
            if i == 0:
                figure.text(
                    centre, (y + side + 0.05) / height, columns[j],
                    fontsize=9.5, color=INK, ha='center', va='bottom')
            if cell is None:
                continue
            picture, below = cell
            axes = figure.add_axes(
                (x / width, y / height, side / width, side / height))
            axes.imshow(picture, interpolation='nearest')
            axes.set_axis_off()
            figure.text(
                centre, (y - 0.04) / height, below, fontsize=8.5,
                color=FAINT, ha='center', va='top')
    if title:
        figure.text(
            left / width, 1 - 0.08 / height, title, fontsize=11.5,
            color=INK, weight='bold', ha='left', va='top')
    if wrapped:
        figure.text(
            left / width, 0.08 / height, '\n'.join(wrapped), fontsize=8,
            color=FAINT, ha='left', va='bottom')
    return figure


def style_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Give a diagram the look that all diagrams share."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', color=LINE, linewidth=.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.tick_params(colors=FAINT, labelsize=9)


def colours_of(labels: Iterable[str]) -> dict[str, str]:
    """One colour per label, the same in every figure with equal labels."""
    return {
        label: COLOURS[i % len(COLOURS)]
        for i, label in enumerate(labels)
    }
