# Copyright (c) OpenMMLab. All rights reserved.
"""Photographs for figures: scikit-image's, or files of the user."""
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sbam_mm.datasets.reading.decoding import decode_image, why_unreadable
from sbam_mm.datasets.reading.levels import ValueRange
from sbam_mm.datasets.reading.tree import printable, read_regular_file
from sbam_mm.errors import UserError

# What scikit-image carries inside its wheel, so no download is needed; the
# name on the right is that of the function in `skimage.data`.
PHOTOGRAPHS = dict(
    astronaut='astronaut',
    cat='chelsea',
    coffee='coffee',
    rocket='rocket',
    motorcycle='stereo_motorcycle',
    cameraman='camera',
    galaxies='hubble_deep_field',
    coins='coins',
    moon='moon',
    grass='grass')


def photograph(name: str) -> np.ndarray:
    """One of ``PHOTOGRAPHS`` as RGB, uint8, (H, W, 3), also a grey one."""
    if name not in PHOTOGRAPHS:
        raise UserError(f'there is no photograph {name!r}; choose one of '
                        f'{", ".join(PHOTOGRAPHS)}.')
    # Only figures of photographs need scikit-image.
    try:
        import skimage.data
    except ImportError as error:
        raise UserError(
            'photographs for figures come with scikit-image, which is not '
            'installed; run `pip install scikit-image` or name image files.'
        ) from error
    image = getattr(skimage.data, PHOTOGRAPHS[name])()
    if isinstance(image, tuple):  # a stereo pair with its disparity
        image = image[0]
    return np.asarray(Image.fromarray(image).convert('RGB'))


def photographs(names: Iterable[str] = ('astronaut', 'cat', 'coffee',
                                        'rocket')) -> dict[str, np.ndarray]:
    """Several of scikit-image's photographs by name, of different sizes."""
    return {name: photograph(name) for name in names}


def load_image(path: str | Path,
               channels: int = 3,
               value_range: ValueRange | None = None,
               name: str | None = None) -> np.ndarray:
    """Read an image file of any format that training reads.

    It is decoded as for training: upright (EXIF), grey, palette, CMYK, RGBA
    and 16-bit pictures become RGB.

    The options are those of :func:`sbam_mm.datasets.decode_image`, and
    ``name``, what an error calls the file.

    Returns:
        np.ndarray: uint8, (H, W, channels); RGB if they are three.
    """
    path = Path(path)
    name = name or printable(path)
    if not path.exists():
        raise UserError(f'the image {name} does not exist; check the path.')
    try:
        pixels = decode_image(
            read_regular_file(str(path)), channels, value_range)
    except Exception as error:  # Pillow raises many kinds for broken files
        reason = why_unreadable(error, str(path))
        raise UserError(
            f'the image {name} cannot be read ({reason}); it is damaged '
            'or no such image, so convert it or leave it out.'
        ) from error
    return np.ascontiguousarray(pixels[..., ::-1] if channels ==
                                3 else pixels)


def readable_images(paths: Sequence[Path], **decoding: Any
                    ) -> Iterator[tuple[Path, np.ndarray]]:
    """Files with their images; what cannot be read is named and left out.

    A single file that cannot be read is an error.
    """
    for path in paths:
        try:
            image = load_image(path, **decoding)
        except ValueError as error:
            if len(paths) == 1:
                raise
            print(f'skipped: {error}', file=sys.stderr)
        else:
            yield path, image


def load_images(paths: Iterable[str | Path],
                **decoding: Any) -> dict[str, np.ndarray]:
    """Image files by name, or by path where two have the same name.

    What is there and cannot be read is named on standard error and left out.
    """
    images: dict[str, np.ndarray] = {}
    problems = []
    for path in paths:
        try:
            image = load_image(path, **decoding)
        except ValueError as error:
            # A link to nothing is there; a misspelt name is not.
            if not os.path.lexists(path):
                raise
            problems.append(error)
            continue
        name = printable(Path(path).name)
        # Equal names of different folders must not replace one another.
        images[printable(path) if name in images else name] = image
    if problems and not images:
        raise problems[0]
    for problem in problems:
        print(f'skipped: {problem}', file=sys.stderr)
    return images


def named_images(paths: Sequence[str | Path],
                 chosen: str | None = None,
                 **decoding: Any) -> dict[str, np.ndarray]:
    """Image files of a command line, or else photographs of scikit-image.

    Args:
        chosen (str, optional): "astronaut,coffee", of ``PHOTOGRAPHS``.
    """
    if paths and chosen:
        raise UserError('--photographs are drawn where no image file is '
                        'named; leave one of the two out.')
    if paths:
        return load_images(paths, **decoding)
    return photographs(chosen.split(',')) if chosen else photographs()


def center_crop(image: np.ndarray, size: int | tuple[int, int]
                ) -> np.ndarray:
    """Resize the largest centred crop of the wanted shape.

    Args:
        image (np.ndarray): uint8, (H, W, C).
        size (int or tuple): Pixels, one side or (height, width).
    """
    height, width = (size, size) if isinstance(size, int) else size
    # Pillow takes two or four channels for transparency.
    parts = [image] if image.shape[2] == 3 else list(image.transpose(2, 0, 1))
    fitted = [
        np.asarray(
            ImageOps.fit(
                Image.fromarray(part), (width, height),
                Image.Resampling.BICUBIC)) for part in parts
    ]
    return fitted[0] if image.shape[2] == 3 else np.stack(fitted, axis=2)
