# Copyright (c) OpenMMLab. All rights reserved.
"""Pixel values of any type and number of channels as 256 levels.

TIFF and NumPy files hold what Pillow cannot show: more than 8 bits, floating
point numbers, one, four or thirteen channels. They are read here by one rule:

- 8-bit values are levels as they are;
- unsigned 16-bit values are divided by 257, which maps the type's range to
  that of the levels;
- with a range (low, high) all values of more than 8 bits are mapped linearly,
  ``low`` and below to 0, ``high`` and above to 255;
- other numbers without a range are refused.
"""
import io
import logging
import multiprocessing
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from sbam_mm.errors import UserError

# A pair, or a pair for every channel.
ValueRange = Sequence[Any]

_NUMPY = b'\x93NUMPY'
# So many of 65,535 levels are all that a 12-bit camera has.
_DARK = 4096
# Of all processes that are forked from this one.
_told = multiprocessing.RawValue('b', 0)


def check_decoding(channels: int, value_range: ValueRange | None) -> None:
    """Reject invalid ``channels`` or ``value_range`` up front.

    A range is (low, high), or one such pair for each channel.
    """
    if type(channels) is not int or channels < 1:
        raise UserError(f'channels={channels!r} is no number of channels: '
                        'give 3 for colour images, or 1, 4 ...')
    if value_range is None:
        return
    try:
        pairs = np.asarray(value_range, np.float64)
        good = (pairs.shape in ((2, ), (channels, 2))
                and np.isfinite(pairs).all()
                and (pairs[..., 0] < pairs[..., 1]).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UserError(
            f'value_range={value_range!r} is no range of pixel values: give '
            'two numbers (low, high), the values that become black and white, '
            f'or {channels} such pairs, one for each channel.')


def to_levels(values: np.ndarray,
              value_range: ValueRange | None = None) -> np.ndarray:
    """Pixel values as levels, by the rule on top of this file.

    Args:
        values (np.ndarray): (H, W, C), of any kind of real numbers.
        value_range (Sequence, optional): (low, high), or one for each
            channel. Defaults to None: not known.

    Returns:
        np.ndarray: uint8 (H, W, C), monotonic in ``values``.

    Raises:
        UserError: If values are not finite, are complex, or have no known
            range.

    Example:
        >>> values = np.array([[[-1.], [0.], [.5], [2.]]])
        >>> to_levels(values, (0, 1)).ravel().tolist()
        [0, 0, 128, 255]
    """
    kind = values.dtype
    if kind == np.uint8:
        return values
    if kind == np.bool_:
        return values.astype(np.uint8) * 255
    if kind.kind not in 'uif':
        raise UserError(f'its pixels are {kind}, which have no brightness')
    if kind.kind == 'f' and not np.isfinite(values).all():
        raise UserError('some of its pixels are NaN or infinite')
    if value_range is None:
        if (kind.kind, kind.itemsize) != ('u', 2):
            raise UserError(
                f'its pixels are {kind} from {values.min():g} to '
                f'{values.max():g}, and which of them are black and white is '
                'not known: set value_range=(low, high) of the data set')
        _warn_dark(values)
        return (values // 257).astype(np.uint8)
    pairs = np.asarray(value_range, np.float64)
    low, high = pairs[..., 0], pairs[..., 1]
    shares = (values.astype(np.float64) - low) / (high - low)
    return np.rint(255 * shares.clip(0, 1)).astype(np.uint8)


def _warn_dark(values: np.ndarray) -> None:
    if not _told.value and 0 < values.max() < _DARK:
        _told.value = 1
        print_log(
            f'A 16-bit image has no value above {values.max()}: of 65535 '
            'that is almost black; if it is a camera of fewer bits, set '
            f'value_range=(0, {_DARK - 1}) or so of the data set.',
            logger='current',
            level=logging.WARNING)


def channels_last(values: np.ndarray, channels: int,
                  axes: str = '') -> np.ndarray:
    """Arrange an array as (H, W, C).

    Args:
        values (np.ndarray): (H, W), (H, W, C) or (C, H, W); further axes of
            length 1 are dropped.
        channels (int): How many there should be. One is repeated where three
            are wanted.
        axes (str): A letter for each axis, as tifffile has them; "S" and "C"
            are channels. Defaults to '': unknown, so the last axis if it is
            of the right length, else the first.

    Example:
        >>> channels_last(np.zeros((4, 30, 20)), 4).shape
        (30, 20, 4)
    """
    shape = values.shape
    if len(axes) == values.ndim:
        keep = [i for i, n in enumerate(shape) if n > 1 or axes[i] in 'YX']
        axes = ''.join(axes[i] for i in keep)
        values = values.reshape([shape[i] for i in keep])
    else:
        axes = ''
        while values.ndim > 3 and 1 in values.shape:
            values = values.squeeze(values.shape.index(1))
    if values.ndim == 2:
        values = values[..., None]
    elif values.ndim == 3:
        known = [i for i in (2, 0) if axes[i:i + 1] in ('S', 'C')]
        fits = [i for i in (2, 0) if values.shape[i] in (channels, 1)]
        values = np.moveaxis(values, (known or fits or [2])[0], 2)
        # The alpha of grey or colour.
        if axes.endswith('S') and channels in (1, 3) and values.shape[
                2] == channels + 1:
            values = values[..., :channels]
    if values.ndim != 3 or values.shape[2] not in (1, channels):
        raise UserError(wrong_channels(str(shape), channels))
    if values.shape[2] == channels:
        return values
    if channels != 3:
        raise UserError(wrong_channels(str(shape), channels))
    return values.repeat(3, axis=2)


def wrong_channels(found: str, channels: int) -> str:
    """The message about an image with the wrong number of channels."""
    return (f'it has {found} instead of {channels} channel'
            f'{"s"[:channels > 1]}: set channels=... of the data set and '
            'in_channels=... of the model to those of the images')


def read_numpy(content: bytes) -> np.ndarray | None:
    """The array of a ``.npy`` file; None of any other file."""
    if content[:6] != _NUMPY:
        return None
    return np.load(io.BytesIO(content), allow_pickle=False)


def read_tiff(content: bytes,
              channels: int) -> tuple[np.ndarray, str, int]:
    """The first image of a TIFF file, with all pages of its shape.

    Returns:
        tuple: The array, tifffile's letters for its axes, and the EXIF
        orientation, 1 if it is upright.
    """
    import tifffile
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        series = file.series[0]
        check_size(int(np.prod(series.shape)) // channels)
        tag = series.keyframe.tags.get('Orientation')
        # A strip outside the file would be read as zeros.
        pages: list[Any] = [page for page in series.pages if page]
        for page in pages:
            end = max(map(sum, zip(page.dataoffsets, page.databytecounts)),
                      default=0)
            if end > len(content):
                raise UserError('it is cut short')
        try:
            values = series.asarray()
        except ValueError as error:
            if 'imagecodecs' in str(error):
                raise UserError(
                    'its compression needs the package imagecodecs: pip '
                    'install imagecodecs, or write it without compression'
                ) from error
            raise
    return values, series.axes, int(tag.value) if tag else 1


def check_size(pixels: int) -> None:
    """Refuse decompression bombs at the same size as Pillow does."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(
            f'it has {pixels} pixels, more than {2 * limit}')


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array (H, W, C) as an EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
