# Copyright (c) OpenMMLab. All rights reserved.
"""Write segments image by image, stop at any time, go on later."""
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sbam_mm.datasets.reading.stored_maps import (
    ImageList,
    MapInfo,
    MapWriter,
    innermost,
)
from sbam_mm.errors import UserError
from sbam_mm.files import read_array, write_atomically

from .segment_maps import checksums_path


class SegmentWriter:
    """A file of segments that several processes fill, or one after a break.

    An image's map is written before its checksum, and an image with a
    checksum is finished. Until :meth:`publish` all files end on ``.tmp``.
    ``complete`` says that the same maps were published before.

    Args:
        grid (tuple[int, int]): Rows and columns of a stored map.
        details (dict): The back-end, its settings and how its masks become
            ids: whatever must not change halfway. JSON's types only.
        anew (bool): Make all maps again where they were published before; the
            old ones stay until the new ones are complete.

    Raises:
        UserError: If the path does not end on ``.npy``, or the file was
            begun or made with other images, another grid or other details, or
            one of the files that were begun is lost.
    """

    def __init__(self,
                 path: str | Path,
                 dataset: Any,
                 grid: tuple[int, int],
                 details: dict,
                 anew: bool = False):
        self.path = Path(path)
        if self.path.suffix != '.npy':
            raise UserError(f'segments become a .npy file, not '
                            f'{str(path)!r}; give a name that ends on .npy.')
        image_list = ImageList.of(dataset)
        made_by = f'tools/generate_segments.py, {details.get("backend")}'
        self.info = MapInfo(tuple(grid), image_list, made_by, details=details)
        self.paths = [
            str(innermost(dataset).get_data_info(index)['img_path'])
            for index in range(image_list.images)
        ]
        self.maps = MapWriter(self.path, self.info, np.uint8)
        self.checksums = MapWriter(
            checksums_path(self.path), MapInfo((), image_list, made_by),
            np.uint64)
        self._begun = self.path.with_suffix('.json.tmp')
        self._open(anew)

    def _open(self, anew: bool) -> None:
        # Maps that are being made anew have both files.
        self.complete = self.path.is_file() and not (
            anew or self.maps.partial.is_file())
        if self.complete:
            self._compare(self.path.with_suffix('.json'), 'made')
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The description last: who finds it finds the others, or one of them
        # was lost, and what is not blank without it is of unknown origin.
        if not self._begun.is_file():
            for part in (self.maps, self.checksums):
                _create_once(part.partial, part.create_at)
            if (_has_room(self.checksums) and self.finished().any()
                    and not self._begun.is_file()):
                raise self._lost(self._begun)
            _create_once(self._begun, self.info.save)
        self._compare(self._begun, 'begun')
        for part in (self.maps, self.checksums):
            if not _has_room(part):
                # Another process may just have published them.
                self.complete = self.path.is_file() and not anew
                if not self.complete:
                    raise self._lost(part.partial)
                return

    def _lost(self, part: Path) -> UserError:
        return UserError(
            f'{part.name!r} of the maps that were begun is lost or damaged, '
            f'so that they cannot go on; delete {self._parts()} and start '
            'anew.')

    def _parts(self) -> str:
        return ', '.join(
            repr(path.name) for path in (self._begun, self.maps.partial,
                                         self.checksums.partial))

    def _compare(self, described: Path, made: str) -> None:
        known = MapInfo.load(described)
        image_list = self.info.image_list
        theirs, ours = _settings(known), _settings(self.info)
        if known.image_list.fingerprint != image_list.fingerprint:
            how = (f'{known.image_list.images} images, not these '
                   f'{image_list.images}')
        elif theirs != ours:
            how = 'the settings ' + ', '.join(
                f'{name}={theirs.get(name)} instead of {ours.get(name)}'
                for name in {**ours, **theirs}
                if theirs.get(name) != ours.get(name))
        else:
            return
        anew = f'delete {self._parts()}' if made == 'begun' else 'give --force'
        raise UserError(
            f'the maps {str(self.path)!r} were {made} with {how}; give the '
            f'same again, another --out, or {anew} to start anew.')

    def finished(self) -> np.ndarray:
        """Which images are done, by any process: (N,) bool."""
        return read_array(self.checksums.partial) != 0

    def todo(self, shard: tuple[int, int] = (0, 1)) -> list[int]:
        """The images of one of n equal shares that are not done yet."""
        number, shards = shard
        if not 0 <= number < shards:
            raise UserError(f'there is no shard {number}/{shards}; they are '
                            'numbered from 0, so the last of 4 is 3/4.')
        # In a row, so that two machines rarely write to the same page.
        share = np.array_split(np.arange(len(self.paths)), shards)[number]
        finished = self.finished()
        return [int(index) for index in share if not finished[index]]

    def write(self, index: int, ids: np.ndarray, check: int) -> None:
        """Store an image's map and :func:`~.segment_maps.checksum`."""
        self.maps.write(index, ids[None])
        self.checksums.write(index, np.array([check], np.uint64))

    def publish(self) -> bool:
        """Give the files their names; False unless all images are done."""
        try:
            if not self.finished().all():
                return False
            # A copy: a crash before the next line loses nothing.
            write_atomically(self.checksums.path,
                             self.checksums.partial.read_bytes())
            self.maps.publish()
            self.checksums.partial.unlink()
            self._begun.unlink()
        except FileNotFoundError:
            # Another process was as fast.
            return self.path.is_file()
        return True


def _settings(info: MapInfo) -> dict[str, Any]:
    """All that must not change halfway, by the names users give it."""
    details = dict(info.details or {})
    return dict(
        size=list(info.grid), **details.pop('settings', {}), **details)


def _has_room(part: MapWriter) -> bool:
    """Whether a file of maps is there, in its full size."""
    try:
        begun = np.load(part.partial, mmap_mode='r')
    # A file that was cut short has too little for a map, or no header.
    except (OSError, ValueError, EOFError):
        return False
    return begun.shape == part.info.shape


def _create_once(path: Path, make: Callable[[Path], Any]) -> None:
    """Make a file unless it is there; never half of one, never twice."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    os.close(handle)
    try:
        make(Path(name))
        os.chmod(name, 0o644)
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)
