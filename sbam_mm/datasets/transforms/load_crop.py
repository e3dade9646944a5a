# Copyright (c) OpenMMLab. All rights reserved.
"""A crop that is drawn before the image is decoded."""
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.image.geometric import imresize, pillow_interp_codes
from mmengine.logging import print_log
from PIL import Image
from torch.nn.functional import interpolate

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS
from sbam_mm.run_switches import is_exact

from ..reading.decoding import EncodedImage
from ..reading.levels import ValueRange, check_decoding
from ..reading.tree import printable, read_regular_file
from .crop import RandomResizedCrop
from .pack_encoded import NOT_ENCODED, PLACEHOLDER, EncodedCrop

DECODE = ('exact', 'fast', 'device')
# Filters which Pillow and torch have in common.
_SMOOTH = ('bilinear', 'bicubic')
# Decoded pixels per pixel of the crop's result, at the least.
_GAP = 2


@TRANSFORMS.register_module()
class LoadRandomResizedCrop(RandomResizedCrop):
    """Load an image and crop it, decoding little more than the crop.

    Takes the place of ``LoadImageFromFile`` and ``RandomResizedCrop``, as the
    first transform of ``sbam_mm.ImageFolder`` or of any data set that gives
    ``img_path``. The box is drawn from the size in the file's header, with
    the same draws as :class:`RandomResizedCrop`, and recorded likewise.

    - ``decode='exact'``: the same pixels, to the bit. Of a baseline JPEG the
      rows below the crop are not decoded.
    - ``decode='fast'``: the crop is resized by torch's vectorised version of
      Pillow's filter, and JPEGs are decoded at a half, quarter or eighth if
      two decoded pixels are left per pixel of the result, else by simplejpeg
      where that is installed. ``docs/data.md`` gives the pixel error.
    - ``decode='device'``: baseline colour JPEGs go on as files with their
      boxes, to be decoded and cropped in batches by the preprocessor, see
      :mod:`~sbam_mm.datasets.transforms.device_crops`. Other files are
      decoded here as by "exact", which the log says once.

    A file that cannot be decoded raises, and leaves the random numbers as
    they were. Images in ``results['img']``, such as cached ones, are cropped
    as :class:`RandomResizedCrop` does.

    Args:
        scale (int or tuple[int, int]): Output height and width in pixels.
        decode (str): "exact", "fast" or "device"; ``tools/train.py --exact``
            stands for "exact".
        channels, value_range, backend_args: As of ``ImageFolder``, which
            passes its own; for other data sets.

    Example::

        train_pipeline = [
            dict(type='sbam_mm.LoadRandomResizedCrop', scale=224,
                 decode='fast', crop_ratio_range=(0.2, 1.0),
                 backend='pillow', interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]
    """
    # Tells ImageFolder to give the encoded image.
    takes_encoded = True

    def __init__(self,
                 scale: int | tuple[int, int],
                 decode: str = 'exact',
                 channels: int = 3,
                 value_range: ValueRange | None = None,
                 backend_args: dict | None = None,
                 **kwargs: Any) -> None:
        super().__init__(scale, **kwargs)
        check_decoding(channels, value_range)
        self.channels = channels
        self.value_range = value_range
        if decode not in DECODE:
            raise UserError(f'decode={decode!r} is unknown; choose '
                            f'{" or ".join(map(repr, DECODE))}.')
        if decode != 'exact' and (self.backend != 'pillow'
                                 or self.interpolation not in _SMOOTH):
            raise UserError(
                f'decode={decode!r} resizes as Pillow does, not by '
                f'{self.backend} with {self.interpolation!r}; set '
                "backend='pillow' and interpolation='bicubic' or 'bilinear', "
                "or decode='exact'.")
        self.decode = decode
        self.backend_args = backend_args
        # Shared by all workers.
        self._told = torch.zeros(1, dtype=torch.bool).share_memory_()

    def transform(self, results: dict) -> dict:
        image = results.pop('encoded', None)
        if image is None:
            if 'img' in results:
                return super().transform(results)
            image = EncodedImage(
                read_regular_file(results['img_path'], self.backend_args),
                self.channels, self.value_range)
        state = np.random.get_state()
        try:
            box = self.rand_crop_params(image)
            if (self.decode == 'device' and image.channels == 3
                    and not is_exact()):
                results['device_crop'] = self._for_device(
                    image, box, results.get('img_path', 'an image'))
            if results.get('device_crop', NOT_ENCODED).encoded:
                results['img'] = PLACEHOLDER
            else:
                results['img'] = self._cut(image, *box)
        except Exception:
            np.random.set_state(state)
            raise
        results['img_shape'] = (*self.scale, image.channels)
        results['ori_shape'] = image.shape
        self.record(results, image.shape)
        return results

    def _for_device(self, image: EncodedImage, box: tuple[int, int, int, int],
                    path: str) -> EncodedCrop:
        content = image.plain_jpeg
        if not content and not self._told:
            self._told[:] = True
            print_log(
                f'{printable(path)} and files like it are decoded by the '
                'workers: they are not complete baseline colour JPEGs, or '
                'have to be turned.', logger='current')
        return EncodedCrop(content, bool(content), image.shape, box, False,
                           self.scale, self.interpolation)

    def _cut(self, image: EncodedImage, top: int, left: int, rows: int,
             columns: int) -> np.ndarray:
        box = (left, top, left + columns, top + rows)
        if image.channels != 3:
            return self.resized(image.bands(box))
        height, width = self.scale
        if self.decode == 'fast' and not is_exact():
            room = max(min(columns / width, rows / height) / _GAP, 1)
            shrink = max(part for part in (1, 2, 4, 8) if part <= room)
            if shrink == 1:
                return _resized(
                    image.pixels(box), (height, width), self.interpolation)
            picture, shrunk = image.rows_above(box[3], shrink)
            # Its corners need not lie between two pixels of a shrunk image.
            corners = (box[0] / shrunk, box[1] / shrunk, box[2] / shrunk,
                       box[3] / shrunk)
            return _bgr(
                picture.resize((width, height),
                               pillow_interp_codes[self.interpolation],
                               corners))
        crop = image.crop(box)
        if self.backend == 'pillow':
            # Before the channels change places: the result has fewer pixels.
            return _bgr(
                crop.resize((width, height),
                            pillow_interp_codes[self.interpolation]))
        return imresize(
            _bgr(crop), (width, height),
            interpolation=self.interpolation,
            backend=self.backend)

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, decode={self.decode!r})'


def _bgr(image: Image.Image | np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR)


def _resized(pixels: np.ndarray, scale: tuple[int, int],
             mode: str) -> np.ndarray:
    """Pillow's resize with AVX2 where the processor has it, RGB to BGR."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    rgb = interpolate(image, scale, mode=mode, antialias=True)[0]
    # In memory still channel by channel, as PackInputs will want it.
    return rgb.flip(0).permute(1, 2, 0).numpy()
