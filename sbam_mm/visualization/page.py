# Copyright (c) OpenMMLab. All rights reserved.
"""A page of results: one HTML file that needs nothing beside it.

Pictures, curves, style and script are in the file, and its own policy forbids
to fetch anything or to run another script. Light and dark, wide and narrow.
"""
import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from sbam_mm.engine.run_log import Records, by_epoch
from sbam_mm.files import write_atomically

from .curves import PANELS
from .output import Grid, figure_png, figure_svg

FILES = Path(__file__).with_name('page_files')
# Pictures up to this side are stored and drawn pixel by pixel.
SMALL = 96
# Diagrams of more inches than this take the place of two.
WIDE = 5.


@dataclass(eq=False)
class Diagrams:
    """Small figures beside one another, with what their curves are of.

    Args:
        labels (Sequence[str]): Of the curves, in the order of their colours.
        runs (Mapping[str, Records]): Logs whose numbers are written out by
            epoch, by label.
    """
    figures: Sequence[Figure]
    labels: Sequence[str] = ()
    runs: Mapping[str, Records] = field(default_factory=dict)


@dataclass(eq=False)
class Album:
    """Pictures of the same images at several times of a training.

    Args:
        moments (dict[int, Grid]): By epoch (or iteration); 0 is before.
        total (int): Length of the training.
    """
    label: str
    moments: dict[int, Grid]
    total: int


@dataclass(eq=False)
class Albums:
    """Albums that share a slider; ``notes`` say what is missing."""
    albums: Sequence[Album]
    notes: Sequence[str] = ()
    unit: str = 'epoch'


# Heading, caption and what is shown.
Section = tuple[str, str, Figure | Grid | Diagrams | Albums]


def write_page(path: str | Path,
               title: str,
               subtitle: str = '',
               summary: str = '',
               table: dict | None = None,
               figures: Sequence[Section] = (),
               facts: Sequence[tuple[str, str]] = (),
               commands: Sequence[tuple[str, str]] = (),
               configs: Sequence[tuple[str, str]] = (),
               notes: Sequence[str] = (),
               dpi: int = 150) -> None:
    """Write a self-contained HTML page; all parts but the title may be empty.

    Args:
        table (dict, optional): Header, rows, note.
        figures (Sequence): (title, caption, content); a figure is embedded as
            PNG with ``dpi``, diagrams as SVG, pictures in their own size.
        facts (Sequence): (name, value) pairs.
        commands (Sequence): (name, text) pairs in fixed-width type.
        configs (Sequence): (label, text) pairs, collapsed.
        notes (Sequence[str]): What to know before reading on.
    """
    script = (FILES / 'script.js').read_text('utf-8')
    page = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
            (FILES / 'page.html').read_text('utf-8')).render(
                title=title, subtitle=subtitle, table=table,
                # No line begins with a lonely per cent sign.
                summary=summary.replace(' %', '\u00a0%'), notes=notes,
                sections=[
                    dict(title=heading, caption=caption, **_shown(
                        content, f'{number}', dpi))
                    for number, (heading, caption,
                                 content) in enumerate(figures)
                ],
                facts=facts, commands=commands, configs=configs,
                style=(FILES / 'style.css').read_text('utf-8'),
                script=script,
                script_hash=base64.b64encode(
                    hashlib.sha256(script.encode()).digest()).decode())
    write_atomically(path, page.strip().encode('utf-8', 'replace') + b'\n')


def _shown(content: Any, salt: str, dpi: int) -> dict[str, Any]:
    """What the template draws of a section."""
    if isinstance(content, Figure):
        return dict(
            kind='figure', src=_data('png', figure_png(content, dpi)),
            width=round(content.get_size_inches()[0] * 96))
    if isinstance(content, Diagrams):
        return dict(
            kind='diagrams', labels=content.labels,
            svgs=[(figure.axes[0].get_title(loc='left') or 'diagram',
                   figure.get_figwidth() > WIDE,
                   figure_svg(figure, f'{salt}-{i}'))
                  for i, figure in enumerate(content.figures)],
            tables=[(label, *_numbers(records))
                    for label, records in content.runs.items()])
    if isinstance(content, Grid):
        return dict(kind='grid', grid=_rows([content]))
    times = sorted({t for album in content.albums for t in album.moments})
    return dict(
        kind='albums', times=times, unit=content.unit, notes=content.notes,
        names=['untrained' if time == 0 else str(time) for time in times],
        albums=[
            dict(label=album.label, total=album.total,
                 times=list(album.moments),
                 grid=_rows(list(album.moments.values())))
            for album in content.albums
        ])


def _numbers(records: Records) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of epochs."""
    table = by_epoch(records, [panel.key for panel in PANELS])
    panels = [panel for panel in PANELS
              if any(panel.key in row for row in table.values())]
    rows = [[str(epoch), *(_number(panel.key, row.get(panel.key))
                           for panel in panels)]
            for epoch, row in table.items() if row]
    return ['epoch', *(panel.short for panel in panels)], rows


def _number(key: str, value: float | None) -> str:
    if value is None:
        return '–'
    form = dict(loss='.4f', knn_top1='.1f', mask_ratio='.1%',
                visible_tokens='.1f', lr='.2e', images_per_second='.0f')
    return format(value, form[key])


def _rows(grids: Sequence[Grid]) -> dict[str, Any]:
    """Rows of cells; a cell has one picture per stretch of equal moments."""
    # During a warm-up there may be no salience to show.
    headings = max((grid.columns for grid in grids), key=len)
    rows = []
    for name in grids[-1].rows:
        cells = []
        for heading in headings:
            at = [_picture(grid, name, heading) for grid in grids]
            stretches = [
                (picture, [i for i, _ in group])
                for picture, group in groupby(enumerate(at), itemgetter(1))
            ]
            cells.append([
                dict(picture, now=len(grids) - 1 in at_times,
                     at=' '.join(map(str, at_times))
                     if len(at_times) < len(grids) else '')
                for picture, at_times in stretches if picture
            ])
        rows.append(dict(name=name, cells=cells))
    columns = len(headings)
    return dict(rows=rows, columns=min(columns, 8),
                narrow=2 if columns in (2, 4) else min(columns, 3))


def _picture(grid: Grid, name: str, heading: str) -> dict[str, Any] | None:
    cell = (grid.rows[name][grid.columns.index(heading)]
            if heading in grid.columns else None)
    if cell is None:
        return None
    image, text = cell
    height, width = image.shape[:2]
    small = max(height, width) <= SMALL
    grey = (image == image[..., :1]).all()
    # As one channel, so that no rounding of colours tints it.
    stored = Image.fromarray(np.ascontiguousarray(
        image[..., 0] if grey else image))
    buffer = io.BytesIO()
    kind = 'png' if small else 'jpeg'
    stored.save(buffer, kind, quality=90)
    return dict(src=_data(kind, buffer.getvalue()),
                width=width, height=height, small=small, heading=heading,
                text=text)


def _data(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'
