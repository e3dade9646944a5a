# Copyright (c) OpenMMLab. All rights reserved.
"""What one takes away from the page: lines of a config, a figure."""
from collections.abc import Container, Mapping, Sequence
from typing import Any

from sbam_mm.visualization import mask_gallery
from sbam_mm.visualization.fitted_maskers import fit_all, labelled_maskers
from sbam_mm.visualization.output import figure_bytes

from .session import Session

KINDS = ('PNG', 'PDF', 'SVG')
# Dots per inch that journals ask for.
PRINT = 300


def config_lines(config: Mapping) -> str:
    """The lines of an OpenMMLab config that choose a masker.

    Example:
        >>> print(config_lines(dict(type='sbam_mm.SBAM', ratio=0.6)))
        model = dict(
            masker=dict(type='sbam_mm.SBAM', ratio=0.6))
    """
    return f'model = dict(\n{_line("masker", config, 4)})'


def _line(key: str, value: Any, indent: int) -> str:
    """``key=value``, in several lines where one is too short."""
    line = f'{" " * indent}{key}={_flat(value)}'
    if len(line) < 79 or not isinstance(value, Mapping):
        return line
    inner = ',\n'.join(_line(k, v, indent + 4) for k, v in value.items())
    return f'{" " * indent}{key}=dict(\n{inner})'


def _flat(value: Any) -> str:
    if not isinstance(value, Mapping):
        return repr(value)
    return f'dict({", ".join(f"{k}={_flat(v)}" for k, v in value.items())})'


def figure_file(session: Session, configs: Sequence[Mapping],
                keys: Sequence[str], kind: str, seed: int = 0,
                progress: float = 1., title: str | None = None) -> bytes:
    """The masks on the page as a figure for a paper, at print quality.

    Args:
        configs (Sequence[Mapping]): Of the maskers, one column each.
        kind (str): One of :data:`KINDS`.
    """
    maskers: dict[str, Any] = {}
    for config in configs:
        (label, masker), = labelled_maskers([config]).items()
        maskers[_unlike(label, maskers)] = masker
    images: dict[str, Any] = {}
    for picture in session.pictures(keys):
        images[_unlike(picture.name, images)] = picture.shown
    with session.lock:
        note = fit_all(maskers, session.model)
        figure = mask_gallery(
            session.model, maskers, images, seed=seed, title=title,
            note=note or None, input_size=session.size, progress=progress)
    return figure_bytes(figure, kind.lower(), PRINT)


def _unlike(name: str, taken: Container[str]) -> str:
    """A name that is not taken yet."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f'{name} ({number})'
    return found
