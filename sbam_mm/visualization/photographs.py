# Copyright (c) OpenMMLab. All rights reserved.
"""Photographs for figures: scikit-image's, or files of the user."""
from pathlib import Path
from typing import Dict, Iterable, Tuple, Union

import numpy as np
from PIL import Image, ImageOps

from sbam_mm.datasets.image_folder import decode_image

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
    """One of scikit-image's photographs.

    Args:
        name (str): A key of ``PHOTOGRAPHS``.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3); grey ones have three equal
        channels.

    Raises:
        ValueError: If there is none of this name, or no scikit-image.

    Example:
        >>> photograph('astronaut').shape
        (512, 512, 3)
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f'there is no photograph {name!r}; choose one of '
                         f'{", ".join(PHOTOGRAPHS)}.')
    # Only figures of photographs need scikit-image.
    try:
        import skimage.data
    except ImportError as error:
        raise ValueError(
            'photographs for figures come with scikit-image, which is not '
            'installed; run `pip install scikit-image` or name image files.'
        ) from error
    image = getattr(skimage.data, PHOTOGRAPHS[name])()
    if isinstance(image, tuple):  # a stereo pair with its disparity
        image = image[0]
    return np.asarray(Image.fromarray(image).convert('RGB'))


def photographs(names: Iterable[str] = ('astronaut', 'cat', 'coffee',
                                        'rocket')) -> Dict[str, np.ndarray]:
    """Several of scikit-image's photographs by name.

    Args:
        names (Iterable[str]): Defaults to the four colour photographs with
            one clear subject each.

    Returns:
        dict[str, np.ndarray]: RGB, uint8, (H, W, 3), of different sizes.
    """
    return {name: photograph(name) for name in names}


def load_image(path: Union[str, Path]) -> np.ndarray:
    """Read an image file of any format Pillow knows.

    It is decoded as for training: upright (EXIF), grey, palette, CMYK, RGBA
    and 16-bit pictures become RGB.

    Args:
        path (str or Path): The file.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).

    Raises:
        ValueError: If the file is missing or cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'the image {path} does not exist; check the path.')
    try:
        bgr = decode_image(path.read_bytes())
    except Exception as error:  # Pillow raises many kinds for broken files
        raise ValueError(
            f'the image {path} cannot be read; it is damaged or no image, so '
            'convert it to PNG or JPEG or leave it out.') from error
    return np.ascontiguousarray(bgr[..., ::-1])


def center_crop(image: np.ndarray, size: Union[int, Tuple[int, int]]
                ) -> np.ndarray:
    """Resize the largest centred crop of the wanted shape.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        size (int or tuple): Pixels, one side or (height, width).

    Returns:
        np.ndarray: RGB, uint8, (height, width, 3).

    Example:
        >>> center_crop(np.zeros((30, 50, 3), np.uint8), 16).shape
        (16, 16, 3)
    """
    height, width = (size, size) if isinstance(size, int) else size
    return np.asarray(
        ImageOps.fit(
            Image.fromarray(image), (width, height), Image.Resampling.BICUBIC))
