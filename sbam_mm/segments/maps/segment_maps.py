# Copyright (c) OpenMMLab. All rights reserved.
"""Segments of the images of a data set: ids in a file, and their check.

``segments.npy`` holds (N, h, w) uint8: 0 where no mask is, 1 to c where one
is. ``segments.json`` beside it says what made them, and
``segments.checksums.npy`` which content each image had then.
"""
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sbam_mm.datasets.reading.stored_maps import StoredMaps
from sbam_mm.datasets.reading.tree import read_regular_file
from sbam_mm.errors import UserError
from sbam_mm.files import read_array


def checksum(content: bytes) -> int:
    """64 bits that tell contents apart; never 0, for "not made yet"."""
    digest = hashlib.blake2b(content, digest_size=8).digest()
    return int.from_bytes(digest, 'big') or 1


def checksums_path(path: str | Path) -> Path:
    """Where the checksums of a file of segments are."""
    return Path(path).with_suffix('.checksums.npy')


class SegmentMaps(StoredMaps):
    """Read segments by sample index, and notice those of other images.

    Args:
        path (str or Path): Of the ``.npy`` file, by
            ``tools/generate_segments.py`` or
            :func:`sbam_mm.datasets.save_maps`. Maps of the latter come
            without checksums.
    """

    def __init__(self, path: str | Path):
        if not Path(path).is_file():
            raise UserError(
                f'there are no segment maps {str(path)!r}; make them with '
                'tools/generate_segments.py DATA --out FILE, or correct the '
                'path (the environment variable SEGMENTS in our configs).')
        super().__init__(path)
        if self.maps.dtype != np.uint8:
            raise UserError(
                f'{str(path)!r} holds {self.maps.dtype}, not ids of segments; '
                'store them as uint8, 0 for no mask, 1 to 255 for masks.')
        self.checksums: np.ndarray | None = None
        if checksums_path(path).is_file():
            self.checksums = read_array(checksums_path(path), 'r')
            if self.checksums.shape != (len(self.maps), ):
                raise UserError(
                    f'{checksums_path(path).name} has the shape '
                    f'{self.checksums.shape}, but there are {len(self.maps)} '
                    'maps; make the maps again with '
                    'tools/generate_segments.py --force.')

    def verify(self,
               index: int,
               img_path: str | Path,
               backend_args: dict | None = None) -> bool:
        """Compare an image file with the one that map ``index`` was made of.

        False where nothing could be compared: no checksums, or images that
        are not files.
        """
        if self.checksums is None:
            return False
        try:
            content: Any = read_regular_file(str(img_path), backend_args)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if checksum(content) != self.checksums[index]:
            raise UserError(
                f'the segment map {index} in {str(self.path)!r} was made of '
                f'another image than {str(img_path)!r}, as the checksum says; '
                'make the maps again with tools/generate_segments.py --force, '
                'or bring back the images.')
        return True
