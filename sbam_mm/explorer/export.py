# Copyright (c) OpenMMLab. All rights reserved.
"""What one takes away from the page: lines of a config, a figure."""
from collections.abc import Container, Mapping, Sequence
from typing import Any

from sbam_mm.visualization.masks import MAX_COLUMNS
from sbam_mm.visualization.output import Cell, figure_bytes, picture_grid
from sbam_mm.visualization.pixels import (
    as_picture,
    heat_map,
    hide_patches,
    paste_visible,
    repeat_cells,
)
from sbam_mm.visualization.reconstruction import NORM_PIX_NOTE

from .session import Masked, Picture, Session

KINDS = ('PNG', 'PDF', 'SVG')
# Dots per inch that journals ask for.
PRINT = 300
# From the image to what becomes of it.
ORDER = ('Salience', 'Mask', 'Reconstruction')


def config_lines(config: Mapping) -> str:
    """The lines of an OpenMMLab config that choose a masker.

    Example:
        >>> print(config_lines(dict(type='sbam_mm.SBAM', ratio=0.6)))
        model = dict(
            masker=dict(type='sbam_mm.SBAM', ratio=0.6))
    """
    return f'model = dict(\n{config_line("masker", config, 4)})'


def config_line(key: str, value: Any, indent: int = 0) -> str:
    """``key=value`` as a config writes it, in several lines where it is long.

    Example:
        >>> config_line('masker', dict(ratio=0.6, type='sbam_mm.SBAM'))
        "masker=dict(type='sbam_mm.SBAM', ratio=0.6)"
    """
    line = f'{" " * indent}{key}={_flat(value)}'
    if len(line) < 79 or not isinstance(value, Mapping):
        return line
    inner = ',\n'.join(config_line(name, one, indent + 4)
                       for name, one in _type_first(value))
    return f'{" " * indent}{key}=dict(\n{inner})'


def _flat(value: Any) -> str:
    if not isinstance(value, Mapping):
        return repr(value)
    options = (f'{name}={_flat(one)}' for name, one in _type_first(value))
    return f'dict({", ".join(options)})'


def _type_first(config: Mapping) -> list[tuple[str, Any]]:
    return sorted(config.items(), key=lambda item: item[0] != 'type')


def figure_file(session: Session, configs: Sequence[Mapping],
                keys: Sequence[str], kind: str, seed: int = 0,
                progress: float = 1., about: str = '',
                layers: Sequence[str] = ('Mask', )) -> bytes:
    """What is on the page as a figure for a paper, at print quality.

    Every masker has a column, and every picture a row for each layer; or,
    where that is legible, every picture one row.

    Args:
        configs (Sequence[Mapping]): Of the maskers.
        kind (str): One of :data:`KINDS`.
        about (str): Of model and weights, for the note below the pictures.
        layers (Sequence[str]): Of :data:`ORDER`.
    """
    images = session.pictures(keys)
    columns: dict[str, dict[str, list[Cell]]] = {}
    notes = {about: None} if about else {}
    with session.lock:
        for config in configs:
            masked = session.mask(config, keys, seed, progress)
            label = _unlike(masked.label, columns)
            columns[label] = layers_of(session, masked, images, layers)
            if masked.note:
                notes[f'{label.partition(", ")[0]}: {masked.note}'] = None
    if 'Reconstruction' in layers and getattr(
            session.model.head, 'norm_pix', False):
        notes[NORM_PIX_NOTE] = None
    first = [(as_picture(one.shown), one.name) for one in images]
    shown = [layer for layer in ORDER
             if any(layer in column for column in columns.values())]
    headings = ['Image']
    rows: list[list[Cell]]
    if 1 + len(columns) * len(shown) <= MAX_COLUMNS:
        rows = [[cell] for cell in first]
        for label, column in columns.items():
            for layer, cells in column.items():
                headings.append(_heading(label, layer, shown, columns))
                for row, cell in zip(rows, cells, strict=True):
                    row.append(cell)
    else:
        headings += [label.replace(', ', '\n', 1) for label in columns]
        rows = [[cell if layer == shown[0] else None, *(
            column[layer][i] if layer in column else None
            for column in columns.values())]
            for i, cell in enumerate(first) for layer in shown]
    figure = picture_grid(rows, headings, note=' '.join(notes))
    return figure_bytes(figure, kind.lower(), PRINT)


def _heading(label: str, layer: str, shown: Sequence[str],
             columns: Mapping) -> str:
    if len(shown) == 1:
        return label
    if len(columns) == 1:
        return label if layer == 'Mask' else layer
    return f'{label}\n{layer}'


def layers_of(session: Session, masked: Masked, images: Sequence[Picture],
              layers: Sequence[str]) -> dict[str, list[Cell]]:
    """Cells of what a masker has, by layer."""
    seen = [as_picture(one.shown) for one in images]
    found: dict[str, list[Cell]] = {}
    if 'Salience' in layers and masked.scores is not None:
        found['Salience'] = [
            (heat_map(image, scores), f'{facts["salient"]:.0%} salient'
             if 'salient' in facts else '')
            for image, scores, facts in zip(
                seen, masked.scores, masked.facts)]
    if 'Mask' in layers:
        found['Mask'] = [
            (hide_patches(image, hidden, thrown), _shares(facts))
            for image, hidden, thrown, facts in zip(
                seen, masked.hidden, masked.thrown, masked.facts)]
    if 'Reconstruction' in layers:
        predicted = session.reconstruct(masked, [one.key for one in images])
        masks = masked.token_mask.masked.cpu().numpy().reshape(
            masked.hidden.shape)
        # What is thrown is neither seen nor predicted.
        found['Reconstruction'] = [
            (paste_visible(hide_patches(image, thrown, thrown),
                           repeat_cells(prediction, image.shape), mask), '')
            for image, thrown, prediction, mask in zip(
                seen, masked.thrown, predicted, masks)]
    return found


def _shares(facts: Mapping[str, float]) -> str:
    if 'thrown' not in facts:
        return f'{facts["hidden"]:.0%} hidden'
    return (f'{facts["hidden"] - facts["thrown"]:.0%} masked, '
            f'{facts["thrown"]:.0%} thrown')


def _unlike(name: str, taken: Container[str]) -> str:
    """A name that is not taken yet."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f'{name} ({number})'
    return found
