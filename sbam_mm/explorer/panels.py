# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures as HTML: the image once, and light layers over it.

An image is sent to the browser once, as a rule of a style sheet. What a
masker adds is a path of an SVG and a PNG with a pixel per patch, so that
sixteen images and four maskers are a few kilobytes.
"""
import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, sqrt

import numpy as np
from PIL import Image

from sbam_mm.visualization import as_picture
from sbam_mm.visualization.pixels import (
    DARK,
    GREY,
    HATCH,
    repeat_cells,
    score_colours,
)

from .session import Masked, Picture

# What the page can show of each masker, below one another.
LAYERS = ('Mask', 'Salience', 'Reconstruction')


def _rgb(colour: Sequence[int]) -> str:
    return f'rgb{tuple(colour)}'


# Once on the page: what the layers share.
SHARED = f"""<svg class="shared" aria-hidden="true"><defs><pattern
id="thrown" width="1" height="1" patternUnits="userSpaceOnUse"><path
fill="{_rgb(DARK)}" d="M0 0h1v1h-1z"/><path stroke="{_rgb(HATCH)}"
stroke-width=".12" d="M-.1 .6L.6 -.1M.4 1.1L1.1 .4M-.1 1.1L1.1 -.1"/>
</pattern></defs></svg>"""


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address, e.g. of the kind "image/png"."""
    return f'data:{kind};base64,{base64.b64encode(content).decode("ascii")}'


def encoded(image: np.ndarray, kind: str = 'JPEG') -> str:
    """A picture as an address."""
    buffer = io.BytesIO()
    options = dict(quality=90) if kind == 'JPEG' else {}
    Image.fromarray(image).save(buffer, kind, **options)
    return data_uri(buffer.getvalue(), f'image/{kind.lower()}')


def style_sheet(pictures: Iterable[Picture]) -> str:
    """Rules that make the class ``photo-KEY`` of each a background."""
    rules = ''.join(
        f'.photo-{one.key}{{background-image:url('
        f'{encoded(as_picture(one.shown))})}}' for one in pictures)
    return f'<style>{rules}</style>{SHARED}'


def strip(pictures: Iterable[Picture], chosen: Sequence[str]) -> str:
    """Small pictures, each a button that is pressed or not."""
    return '<div class="strip">' + ''.join(
        f'<button type="button" data-key="{one.key}" title="'
        f'{escape(one.name, quote=True)}" aria-pressed="'
        f'{"true" if one.key in chosen else "false"}"><span class="photo '
        f'photo-{one.key}"></span><span class="name">{escape(one.name)}'
        '</span></button>' for one in pictures) + '</div>'


def cells(where: np.ndarray) -> str:
    """The path of an SVG that covers the cells of a boolean grid (h, w).

    Example:
        >>> cells(np.array([[True, True, False], [False, False, True]]))
        'M0 0h2v1h-2zM2 1h1v1h-1z'
    """
    rows, edges = np.nonzero(np.diff(
        np.pad(where, ((0, 0), (1, 1))).astype(np.int8)))
    return ''.join(
        f'M{start} {row}h{end - start}v1h-{end - start}z'
        for row, start, end in zip(rows[::2], edges[::2], edges[1::2]))


def mask_layer(hidden: np.ndarray, thrown: np.ndarray) -> str:
    """Hidden patches in grey, thrown ones dark and hatched."""
    height, width = hidden.shape
    return (f'<svg class="layer" viewBox="0 0 {width} {height}" '
            'preserveAspectRatio="none" shape-rendering="crispEdges">'
            f'<path fill="{_rgb(GREY)}" d="{cells(hidden & ~thrown)}"/>'
            f'<path fill="url(#thrown)" d="{cells(thrown)}"/></svg>')


def score_layers(scores: np.ndarray) -> list[str]:
    """Scores (B, h, w) in colours, a pixel per patch."""
    pixels = np.round(255 * score_colours(scores)).astype(np.uint8)
    return [f'<img class="layer map" alt="" src="{encoded(one, "PNG")}">'
            for one in pixels]


def photo(key: str, layer: str, kind: str = '') -> str:
    """The image of a key below a layer."""
    return (f'<div class="frame {kind}"><div class="photo photo-{key}">'
            f'</div>{layer}</div>')


def mosaic(frames: Sequence[str], captions: Sequence[str]) -> str:
    """Pictures in a square, each with a line below it."""
    side = ceil(sqrt(len(frames)))
    return (f'<div class="mosaic" style="--side:{side}">' + ''.join(
        f'<figure>{frame}<figcaption>{escape(caption)}</figcaption></figure>'
        for frame, caption in zip(frames, captions, strict=True)) + '</div>')


def _mean(facts: Sequence[dict[str, float]], name: str) -> str:
    """Mean and range of a share, where it is known of any."""
    values = [one[name] for one in facts if name in one]
    if not values:
        return ''
    low, high = min(values), max(values)
    spread = f' ({low:.0%} to {high:.0%})' if high - low >= .005 else ''
    return f'{np.mean(values):.0%}{spread}'.replace('%', ' %')


def numbers(masked: Masked) -> str:
    """Lines with what a masker hides, over all pictures."""
    facts = masked.facts
    visible = [one['visible'] for one in facts]
    mean = f'{np.mean(visible):.1f}'.removesuffix('.0')
    if min(visible) < max(visible):
        mean += f' ({min(visible):.0f} to {max(visible):.0f})'
    rows = {
        'Hidden': _mean(facts, 'hidden'),
        'Thrown, included': _mean(facts, 'thrown'),
        'Visible tokens': f'{mean} of {facts[0]["tokens"]:.0f}',
        'Ratio asked for': _mean(facts, 'ratio'),
        'Salient tokens': _mean(facts, 'salient'),
        'Of objects hidden': _mean(facts, 'object_hidden'),
        'Of background hidden': _mean(facts, 'background_hidden'),
    }
    return '<div class="numbers">' + ''.join(
        f'<div><span>{name}</span><span>{text}</span></div>'
        for name, text in rows.items() if text) + '</div>'


def sentence(text: str) -> str:
    """What is wrong, in the place of pictures."""
    return f'<p class="sentence" role="alert">{escape(text)}</p>'


def panel(masked: Masked, pictures: Sequence[Picture],
          layers: Sequence[str],
          predictions: Sequence[np.ndarray] | None = None) -> str:
    """All that is shown of one masker.

    Args:
        predictions (Sequence[np.ndarray], optional): Of the reconstruction.
    """
    several = len(pictures) > 1
    parts = []
    if 'Mask' in layers:
        parts.append(mosaic(
            [photo(one.key, mask_layer(hidden, thrown)) for one, hidden,
             thrown in zip(pictures, masked.hidden, masked.thrown)],
            [f'{one["hidden"]:.0%}'.replace('%', ' %') if several else ''
             for one in masked.facts]))
    if 'Salience' in layers:
        if masked.scores is None:
            parts.append('<p class="none">no salience: this masker does not '
                         'look at the image</p>')
        else:
            parts.append(mosaic(
                [photo(one.key, layer, 'grey') for one, layer in zip(
                    pictures, score_layers(masked.scores))],
                [''] * len(pictures)))
    if predictions is not None:
        masks = masked.token_mask.masked.cpu().numpy().reshape(
            masked.hidden.shape)
        parts.append(mosaic(
            [photo(one.key, _clipped(image, mask) + mask_layer(
                thrown, thrown)) for one, image, mask, thrown
             in zip(pictures, predictions, masks, masked.thrown)],
            [''] * len(pictures)))
    note = f'<p class="note">{escape(masked.note)}</p>' if masked.note else ''
    return ''.join(parts) + numbers(masked) + note


def _clipped(image: np.ndarray, where: np.ndarray) -> str:
    """Predicted pixels of the hidden patches; elsewhere nothing."""
    alpha = 255 * repeat_cells(where, image.shape).astype(np.uint8)
    return (f'<img class="layer" alt="" src="'
            f'{encoded(np.dstack([image, alpha]), "PNG")}">')
