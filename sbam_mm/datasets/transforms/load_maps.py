# Copyright (c) OpenMMLab. All rights reserved.
"""Load an image's stored map, aligned with its crop and flip."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

from ..reading.stored_maps import ImageList, MapVersions, StoredMaps
from .crop_maps import MapLoader, area_crop, flip_map, nearest_crop


def sides(grid: int | tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches; a number stands for both."""
    pair = (grid, grid) if isinstance(grid, int) else tuple(grid)
    if len(pair) != 2 or min(pair) < 1:
        raise UserError(f'grid is a number of patches, or rows and columns '
                        f'of them, got {grid!r}; 224 pixels in patches of '
                        '16 are 14.')
    return pair[0], pair[1]


@TRANSFORMS.register_module()
class LoadAttentionMap(MapLoader):
    """The attention that each patch of the image received, for AM and AMT.

    ``AttentionMapHook`` writes the maps and tells the transform where; new
    ones are noticed by running workers. The transform stands after crop and
    flip and before ``PackInputs``, and cuts from the map of the whole image
    what the crop left of it. (The official code always takes the map's upper
    left corner.) The result is ``attention_map``, float32 of the grid's
    shape, or (0, 0) as long as there are no maps.

    Source: Liu et al., *Good Helper Is around You: Attention-driven Masked
    Image Modeling*, AAAI 2023, section *Masking and Throwing*.

    Args:
        grid (int or tuple[int, int]): Patches per column and per row.
        folder (str, optional): With maps of another run, to train on them
            without the hook, e.g. "work_dirs/amt/attention_maps". Defaults
            to None: the hook says where.

    Raises:
        UserError: With the first image, if there is neither hook nor
            folder, if a transform cropped without recording where, or if the
            maps have another grid or belong to other images.

    Example::

        train_pipeline = [
            dict(type='sbam_mm.RandomResizedCrop', scale=224),
            dict(type='RandomFlip', prob=0.5),
            dict(type='sbam_mm.LoadAttentionMap', grid=14),
            dict(type='PackInputs', algorithm_keys=['attention_map']),
        ]
        custom_hooks = [dict(type='sbam_mm.AttentionMapHook', interval=40)]
    """

    def __init__(self,
                 grid: int | tuple[int, int],
                 folder: str | None = None):
        self.grid = sides(grid)
        self.versions: MapVersions | None = None
        self.image_list: ImageList | None = None
        self._awaited = False
        self._stamp: tuple[int, int] | None = None
        self._maps: StoredMaps | None = None
        if folder is not None:
            self.versions = MapVersions(folder)

    def bind(self, versions: MapVersions, image_list: ImageList) -> None:
        """Read maps of these images from this folder, which may be empty."""
        self.versions = versions
        self.image_list = image_list
        self._awaited = True
        self._stamp = None
        self._maps = None

    def __getstate__(self) -> dict:
        # A mapped file would travel to spawned workers as a copy of itself.
        return {**self.__dict__, '_stamp': None, '_maps': None}

    def maps(self) -> StoredMaps | None:
        """The maps in use now; None before the first."""
        if self.versions is None:
            raise UserError(
                'LoadAttentionMap knows no attention maps; add '
                "dict(type='sbam_mm.AttentionMapHook') to custom_hooks, or "
                'set its folder to the maps of another run.')
        stamp = self.versions.stamp()
        if stamp is None and not self._awaited:
            raise UserError(
                f'there is no map file {str(self.versions.pointer)!r}; '
                'correct LoadAttentionMap(folder=...), or delete it and add '
                "dict(type='sbam_mm.AttentionMapHook') to custom_hooks.")
        if stamp != self._stamp:
            path = self.versions.current()
            self._maps = None
            if path is not None:
                self._maps = StoredMaps(path, self.grid, self.image_list)
            self._stamp = stamp
        return self._maps

    def transform(self, results: dict) -> dict:
        box = self.seen_box(results)
        maps = self.maps()
        if maps is None:
            results['attention_map'] = np.zeros((0, 0), np.float32)
            return results
        whole = maps.read(results['sample_idx'], results.get('img_path'))
        results['attention_map'] = flip_map(
            area_crop(whole, box, self.grid), results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(grid={self.grid})'


@TRANSFORMS.register_module()
class LoadPartMap(MapLoader):
    """Labels of the patches, such as parts of the object, for SemMAE.

    Each patch takes the label at its centre, from maps of any resolution.
    The result has the grid's shape and the file's type.

    Args:
        path (str): A file by :func:`sbam_mm.datasets.save_maps`, integer
            labels, most often uint8.
        grid (int or tuple[int, int]): Patches per column and per row.
        key (str): Name in ``results``.

    Raises:
        UserError: As :class:`LoadAttentionMap`; without such a file at once.
    """

    def __init__(self,
                 path: str,
                 grid: int | tuple[int, int],
                 key: str = 'part_map'):
        self.path = path
        self.grid = sides(grid)
        self.key = key
        # At build time, so that a missing file stops the run at once.
        self._maps: StoredMaps | None = StoredMaps(path)

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_maps': None}

    def transform(self, results: dict) -> dict:
        box = self.seen_box(results)
        if self._maps is None:
            self._maps = StoredMaps(self.path)
        whole = self._maps.read(results['sample_idx'],
                                results.get('img_path'))
        results[self.key] = flip_map(
            nearest_crop(whole, box, self.grid), results)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(path={self.path!r}, '
                f'grid={self.grid}, key={self.key!r})')


def attention_loaders(part: Any) -> Iterator[LoadAttentionMap]:
    """Find the transform in data sets and pipelines, however nested."""
    if isinstance(part, LoadAttentionMap):
        yield part
        return
    inner = part if isinstance(part, (list, tuple)) else [
        value for name, value in getattr(part, '__dict__', {}).items()
        if name in ('dataset', 'datasets', 'pipeline', 'pipelines',
                    'transforms')
    ]
    for child in inner:
        yield from attention_loaders(child)
