# Copyright (c) OpenMMLab. All rights reserved.
"""One small map per image of a data set, in one memory-mapped file.

``maps.npy`` holds an array (N, h, w), row i for the image with
``sample_idx`` i, and ``maps.json`` beside it says what the rows belong to.
:class:`MapVersions` is a folder of such files, one per epoch, and a pointer to
the one in use. ImageNet at 14 x 14 in float16 takes 0.5 GB, and all workers of
a machine share its pages.
"""
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sbam_mm.errors import UserError
from sbam_mm.files import new_array, read_json

from .tree import path_bytes

# So many images are remembered by name, to notice a changed data set from a
# single sample.
_SPOTS = 1000


def innermost(dataset: Any) -> Any:
    """The data set inside any wrappers, which gives ``sample_idx``.

    Raises:
        UserError: If several data sets are joined, whose ``sample_idx``
            would collide.
    """
    while True:
        if hasattr(dataset, 'datasets'):
            raise UserError(
                f'maps are stored by sample_idx, which the data sets in a '
                f'{type(dataset).__name__} count each from 0; put their '
                'images into one folder or annotation file.')
        if not hasattr(dataset, 'dataset'):
            return dataset
        dataset = dataset.dataset


def _relative_paths(dataset: Any) -> Iterator[str]:
    prefix = getattr(dataset, 'img_prefix', '') or getattr(
        dataset, 'data_root', '') or ''
    for index in range(len(dataset)):
        path = str(dataset.get_data_info(index)['img_path'])
        yield path.removeprefix(str(prefix)).replace(os.sep, '/').lstrip('/')


@dataclass(frozen=True)
class ImageList:
    """Identifies a list of images.

    Args:
        images (int): How many.
        fingerprint (str): SHA-256 over the paths below the data set's
            folder, in order.
        spots (Mapping[str, str]): Some of those paths, by sample index.
    """
    images: int
    fingerprint: str
    spots: Mapping[str, str]

    @classmethod
    def of(cls, dataset: Any) -> 'ImageList':
        """Read the paths of a data set: some ten seconds for ImageNet."""
        dataset = innermost(dataset)
        images = len(dataset)
        digest = hashlib.sha256()
        spots = {}
        step = max(images // _SPOTS, 1)
        for index, path in enumerate(_relative_paths(dataset)):
            digest.update(path_bytes(path) + b'\n')
            if index % step == 0 or index == images - 1:
                spots[str(index)] = path
        return cls(images, digest.hexdigest(), spots)


@dataclass(frozen=True)
class MapInfo:
    """The description beside a file of maps.

    Args:
        grid (tuple[int, int]): Rows and columns of a map.
        image_list (ImageList): The images they belong to.
        made_by (str): What made them, for people.
        details (dict, optional): What made them, for programs.
    """
    grid: tuple[int, ...]
    image_list: ImageList
    made_by: str
    epoch: int | None = None
    details: Mapping[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: number of images, rows and columns."""
        return (self.image_list.images, *self.grid)

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        content = asdict(self)
        # The key of files written so far.
        content['mark'] = content.pop('image_list')
        _replace_text(path, json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path) -> 'MapInfo':
        """Read what :meth:`save` wrote."""
        content = read_json(path, grid=list, mark=dict, made_by=str)
        try:
            image_list = ImageList(**content['mark'])
        except TypeError as error:
            raise UserError(f'{path} is damaged (mark); delete it and its '
                            'maps, which are then made anew.') from error
        return cls(
            tuple(content['grid']), image_list, content['made_by'],
            content.get('epoch'), content.get('details'))


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_name(f'{path.name}.tmp{os.getpid()}')
    partial.write_text(text)
    os.replace(partial, path)


class MapWriter:
    """Write a file of maps piece by piece, from one or several processes.

    One process calls :meth:`create`, each one :meth:`write` for its images,
    one :meth:`publish`. Until then nobody sees the file.

    Example:
        >>> import tempfile
        >>> info = MapInfo((2, 2), ImageList(3, '', {}), 'an example')
        >>> path = Path(tempfile.mkdtemp()) / 'maps.npy'
        >>> writer = MapWriter(path, info)
        >>> writer.create()
        >>> writer.write(1, np.ones((2, 2, 2)))
        >>> writer.publish()
        >>> StoredMaps(path).read(2)
        array([[1., 1.],
               [1., 1.]], dtype=float16)
    """

    def __init__(self,
                 path: str | Path,
                 info: MapInfo,
                 dtype: type = np.float16):
        self.path = Path(path)
        self.info = info
        self.dtype = np.dtype(dtype)
        # The same name in every process.
        self.partial = self.path.with_name(self.path.name + '.tmp')

    def create(self) -> None:
        """Make room for all maps."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.create_at(self.partial)

    def create_at(self, file: Path) -> None:
        """Make room for all maps in a file of another name."""
        new_array(file, self.dtype, self.info.shape)

    def write(self, start: int, maps: np.ndarray) -> None:
        """Put the maps (n, h, w) of images ``start`` to ``start + n``."""
        rows = np.ascontiguousarray(maps, dtype=self.dtype)
        if rows.shape[1:] != self.info.grid:
            raise UserError(
                f'maps of {rows.shape[1:]} do not fit into a file of maps of '
                f'{self.info.grid}; resize them, or give their grid.')
        header = np.load(self.partial, mmap_mode='r').offset
        # Written, not mapped: on a network file system two machines that map
        # the page between their shares would overwrite each other.
        with open(self.partial, 'r+b') as file:
            file.seek(header + start * int(np.prod(rows.shape[1:])) *
                      self.dtype.itemsize)
            file.write(rows.tobytes())

    def publish(self) -> None:
        """Give the file its name, and its description."""
        self.info.save(self.path.with_suffix('.json'))
        os.replace(self.partial, self.path)


def save_maps(path: str | Path,
              maps: np.ndarray,
              dataset: Any,
              made_by: str) -> None:
    """Store the maps of a whole data set, e.g. of parts for ``LoadPartMap``.

    Args:
        path (str or Path): Of the ``.npy`` file; ``.json`` goes beside it.
        maps (np.ndarray): (N, h, w) in the order of the data set.
        dataset (Dataset): Of mmengine, whose images they belong to.
        made_by (str): What made them, for people who find the file.
    """
    image_list = ImageList.of(dataset)
    number = image_list.images
    if maps.ndim != 3 or len(maps) != number:
        raise UserError(
            f'{number} images want maps of the shape ({number}, h, w), got '
            f'{maps.shape}; give one map per image, in the order of the data '
            'set.')
    grid = (maps.shape[1], maps.shape[2])
    info = MapInfo(grid, image_list, made_by)
    writer = MapWriter(path, info, maps.dtype.type)
    writer.create()
    writer.write(0, maps)
    writer.publish()


class StoredMaps:
    """Read maps by sample index.

    Args:
        path (str or Path): Of the ``.npy`` file.
        grid (tuple[int, int], optional): What the maps must have. Defaults
            to None: any.
        image_list (ImageList, optional): Of the data set in use. Defaults to
            None: only the paths given to :meth:`read` are compared.

    Raises:
        UserError: If there is no such file, it is damaged, its maps have
            another grid, or it belongs to another list of images.
    """

    def __init__(self,
                 path: str | Path,
                 grid: tuple[int, int] | None = None,
                 image_list: ImageList | None = None):
        self.path = Path(path)
        described = self.path.with_suffix('.json')
        for file in (self.path, described):
            if not file.is_file():
                raise UserError(
                    f'there is no map file {str(file)!r}; correct the path, '
                    'or write maps with sbam_mm.datasets.save_maps.')
        try:
            self.info = MapInfo.load(described)
            # Still mapped; only without memmap's slower indexing.
            self.maps = np.asarray(np.load(self.path, mmap_mode='r'))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'the map file {str(self.path)!r} is damaged; delete it and '
                f'{described.name}, and make the maps again.') from error
        known = self.info.image_list
        if self.maps.shape != self.info.shape:
            raise UserError(
                f'the map file {str(self.path)!r} has the shape '
                f'{self.maps.shape}, but {described.name} describes '
                f'{known.images} maps of {self.info.grid}; delete '
                'both and make the maps again.')
        if grid is not None and self.info.grid != tuple(grid):
            raise UserError(
                f'the map file {str(self.path)!r} has maps of '
                f'{self.info.grid}, but {tuple(grid)} are asked for; delete '
                'it to make new ones, or go back to the image and patch size '
                'it was made with.')
        if image_list and image_list.fingerprint != known.fingerprint:
            raise self._changed(f'{known.images} images then, '
                                f'{image_list.images} now')

    def _changed(self, how: str) -> UserError:
        return UserError(
            f'the data set changed since the maps in {str(self.path)!r} were '
            f'written ({how}); delete the file to make new ones, or bring '
            'back the images it was made with.')

    def read(self, index: int, img_path: str | None = None) -> np.ndarray:
        """The map (h, w) of one image, as stored, read-only.

        Args:
            index (int): Its ``sample_idx``.
            img_path (str, optional): Compared with its earlier path, which is
                known for about a thousand of the images.

        Raises:
            UserError: If it is not the image that the map was made for.
        """
        if index >= len(self.maps):
            raise self._changed(
                f'there were {len(self.maps)} images, and sample {index} is '
                'asked for')
        known = self.info.image_list.spots.get(str(index))
        if (known is not None and img_path is not None and not str(
                img_path).replace(os.sep, '/').endswith(known)):
            raise self._changed(
                f'sample {index} was {known!r} and is {str(img_path)!r}')
        return self.maps[index]


class MapVersions:
    """A folder with maps of several epochs and a pointer to those in use.

    ``epoch_0040.npy``, its ``.json``, and ``current.json``, which is
    replaced atomically. The last two versions are kept: a run that is
    resumed from the checkpoint before last finds its maps.

    Example:
        >>> versions = MapVersions('work_dirs/amt/attention_maps')
        >>> versions.path(40).name, versions.current()
        ('epoch_0040.npy', None)
    """
    KEEP = 2

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.pointer = self.folder / 'current.json'

    def path(self, epoch: int) -> Path:
        """The file of the maps made after ``epoch`` epochs."""
        return self.folder / f'epoch_{epoch:04d}.npy'

    def epochs(self) -> list[int]:
        """Epochs with complete maps, ascending."""
        return sorted(
            int(path.stem.removeprefix('epoch_'))
            for path in self.folder.glob('epoch_*.npy')
            if path.with_suffix('.json').is_file())

    def current(self) -> Path | None:
        """The file in use, or None."""
        if not self.pointer.is_file():
            return None
        name = read_json(self.pointer, file=str)['file']
        # Maps lie beside their pointer and nowhere else.
        return self.folder / Path(name).name

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the pointer does; cheap enough per sample."""
        try:
            status = os.stat(self.pointer)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def use(self, epoch: int | None) -> None:
        """Point to the maps of an epoch, or to none."""
        if epoch is None:
            self.pointer.unlink(missing_ok=True)
            return
        _replace_text(
            self.pointer,
            json.dumps(dict(epoch=epoch, file=self.path(epoch).name)))

    def publish(self, writer: MapWriter) -> None:
        """Finish the file of ``self.path(epoch)`` and point to it."""
        writer.publish()
        self.use(writer.info.epoch)
        for epoch in self.epochs()[:-self.KEEP]:
            self._remove(epoch)

    def remove_after(self, epoch: int) -> list[int]:
        """Delete the maps made after ``epoch``; returns their epochs."""
        newer = [known for known in self.epochs() if known > epoch]
        for known in newer:
            self._remove(known)
        return newer

    def _remove(self, epoch: int) -> None:
        path = self.path(epoch)
        path.unlink(missing_ok=True)
        path.with_suffix('.json').unlink(missing_ok=True)
