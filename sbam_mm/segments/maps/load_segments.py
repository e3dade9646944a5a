# Copyright (c) OpenMMLab. All rights reserved.
"""Segments of the image, as one id per token."""
import numpy as np
import torch

from sbam_mm.datasets.transforms.crop_maps import (
    MapLoader,
    flip_map,
    majority_crop,
    nearest_crop,
)
from sbam_mm.datasets.transforms.load_maps import sides
from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

from .segment_maps import SegmentMaps

MODES = dict(nearest=nearest_crop, majority=majority_crop)


@TRANSFORMS.register_module()
class LoadSegments(MapLoader):
    """The mask each patch of the image belongs to, for the attention bias.

    It stands after crop and flip and before ``PackInputs``, and cuts from
    the map of the whole image what the crop left of it. With several views
    it stands in each view's transforms, inside ``sbam_mm.MultiView`` with
    ``keys=['segment_map']``.

    Source: Taguchi et al., *SAM Helps SSL*, 2024, section 3.2 ("the mask
    image M is encoded as the mask token vector m ... by a resizing
    operation"; which one is not said).

    Args:
        path (str): Of the ``.npy`` file by ``tools/generate_segments.py``.
        grid (int or tuple[int, int]): Patches per column and per row.
        mode (str): "nearest": a patch takes the id at its centre. "majority":
            the id, or no mask, that covers most of it; of equals the lower id.
        max_masks (int): The paper's c, the highest id allowed.
        verify (bool): Whether each image's file is compared with its checksum
            before its first use in a run: that reads it once more.

    Raises:
        UserError: From our data sets, if another transform moves the image
            (``check_alignment``; other data sets do not look); with the
            images, if a transform cropped without recording where, or the
            map was made of another image.

    Example::

        train_pipeline = [
            dict(type='sbam_mm.RandomResizedCrop', scale=224),
            dict(type='RandomFlip', prob=0.5),
            dict(type='sbam_mm.LoadSegments', path='segments.npy', grid=14),
            dict(type='PackInputs', algorithm_keys=['segment_map']),
        ]
    """

    def __init__(self,
                 path: str,
                 grid: int | tuple[int, int],
                 mode: str = 'nearest',
                 max_masks: int = 5,
                 verify: bool = True,
                 backend_args: dict | None = None):
        if mode not in MODES:
            raise UserError(f'there is no mode {mode!r} to bring segments to '
                            f'the patches; choose {" or ".join(MODES)}.')
        self.path = path
        self.grid = sides(grid)
        self.mode = mode
        self.max_masks = max_masks
        self.verify = verify
        self.backend_args = backend_args
        # At build time, so that a missing file stops the run at once.
        self._maps: SegmentMaps | None = SegmentMaps(path)
        # In shared memory: workers that start anew every epoch know what
        # those before them have read.
        self._verified = torch.zeros(
            len(self._maps.maps), dtype=torch.uint8).share_memory_()

    def __getstate__(self) -> dict:
        # A mapped file would travel to spawned workers as a copy of itself.
        return {**self.__dict__, '_maps': None}

    def transform(self, results: dict) -> dict:
        """Add ``segment_map``, uint8 of the grid's shape, 0 for no mask."""
        box = self.seen_box(results)
        if self._maps is None:
            self._maps = SegmentMaps(self.path)
        index, img_path = results['sample_idx'], results.get('img_path')
        whole = self._maps.read(index, img_path)
        if self.verify and img_path and not self._verified[index]:
            self._maps.verify(index, img_path, self.backend_args)
            self._verified[index] = 1
        if whole.max() > self.max_masks:
            raise UserError(
                f'the segment map {index} in {self.path!r} has the id '
                f'{whole.max()}, but max_masks is {self.max_masks}; make the '
                f'maps with --max-masks {self.max_masks}, or set '
                f'max_masks={whole.max()} in LoadSegments.')
        cut = MODES[self.mode](whole, box, self.grid)
        results['segment_map'] = np.ascontiguousarray(flip_map(cut, results))
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(path={self.path!r}, '
                f'grid={self.grid}, mode={self.mode!r}, '
                f'max_masks={self.max_masks}, verify={self.verify})')
