# Copyright (c) OpenMMLab. All rights reserved.
"""Files that somebody drops into the page: an image, or a sentence."""
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sbam_mm.datasets.reading.tree import printable, read_regular_file
from sbam_mm.errors import UserError
from sbam_mm.visualization import load_image

# Of a file on the wire, and of a picture in memory: 60 million pixels are
# more than cameras have, and 180 MB.
MAX_BYTES = 64 << 20
MAX_PIXELS = 60_000_000
# Two pictures in one file, of which the second is no second moment.
_STILL = ('MPO', )


def read_upload(path: str | Path,
                **decoding: Any) -> tuple[np.ndarray, str]:
    """An image and a remark on it, such as that it is animated, or "".

    Args:
        **decoding: Of :func:`sbam_mm.visualization.load_image`.

    Raises:
        UserError: If it is no image, a damaged one, or too large to be
            opened; with the name of the file, not of its folder.
    """
    path = Path(path)
    name, remark = printable(path.name), ''
    width = height = 0
    try:
        # Not a pipe, which would be waited for.
        with Image.open(io.BytesIO(read_regular_file(str(path)))) as file:
            width, height = file.size
            if getattr(file, 'is_animated', False) and (
                    file.format not in _STILL):
                remark = f'{name} has several frames; the first is shown.'
    except Image.DecompressionBombError as error:
        raise _too_large(name, 'far more than that') from error
    except Exception:  # what Pillow does not know, tifffile or NumPy may
        pass
    if width * height > MAX_PIXELS:
        raise _too_large(name, f'{width} x {height}')
    try:
        return load_image(path, **decoding, name=name), remark
    except MemoryError as error:
        raise _too_large(name, 'more than the memory holds') from error


def _too_large(name: str, size: str) -> UserError:
    return UserError(
        f'the image {name} is too large (at most {MAX_PIXELS // 10**6} '
        f'million pixels are opened, it has {size}); make it smaller.')
