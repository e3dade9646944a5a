# Copyright (c) OpenMMLab. All rights reserved.
"""Crops that record their box."""
import numpy as np
from mmcv.transforms import CenterCrop as _CenterCrop
from mmpretrain.datasets import RandomResizedCrop as _RandomResizedCrop

from sbam_mm.registry import TRANSFORMS

from .any_channels import resize
from .crop_maps import nested_box


@TRANSFORMS.register_module()
class RandomResizedCrop(_RandomResizedCrop):
    """mmpretrain's ``RandomResizedCrop``, which records its box.

    The same random draws and pixels, for images of any number of channels.
    ``results['crop_box']`` holds what is left of the original image,
    ``(left, top, right, bottom)`` as shares of its width and height, for
    ``LoadAttentionMap`` and ``LoadPartMap``. It may follow a resize of the
    whole image, a flip by mmcv's ``RandomFlip``, or another such crop.

    Args:
        scale (int or tuple[int, int]): Output height and width in pixels.

    Example:
        >>> image = np.zeros((40, 60, 3), np.uint8)
        >>> crop = RandomResizedCrop(16, crop_ratio_range=(.5, .5))
        >>> left, top, right, bottom = crop(dict(img=image))['crop_box']
        >>> abs((right - left) * (bottom - top) - .5) < .05
        True
    """

    # Tells check_alignment that maps can follow.
    records_box = True

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """As mmpretrain's, remembered for :meth:`transform`."""
        self._params = super().rand_crop_params(img)
        return self._params

    def transform(self, results: dict) -> dict:
        image = results['img']
        if image.ndim == 3 and image.shape[2] != 3:
            top, left, rows, columns = self.rand_crop_params(image)
            results['img'] = self.resized(image[top:top + rows,
                                                left:left + columns])
            results['img_shape'] = results['img'].shape
        else:
            results = super().transform(results)
        self.record(results, image.shape)
        return results

    def resized(self, crop: np.ndarray) -> np.ndarray:
        """Resize a crop of any channels to the output size."""
        return resize(
            crop, (self.scale[1], self.scale[0]),
            interpolation=self.interpolation,
            backend=self.backend)

    def record(self, results: dict, shape: tuple[int, ...]) -> None:
        """Record where the last crop was made in an image (H, W, ...)."""
        height, width = shape[:2]
        top, left, rows, columns = self._params
        box = (left / width, top / height, (left + columns) / width,
               (top + rows) / height)
        results['crop_box'] = nested_box(box, results)


@TRANSFORMS.register_module()
class CenterCrop(_CenterCrop):
    """mmcv's ``CenterCrop``, which records its box.

    The same pixels; ``results['crop_box']`` as in
    :class:`RandomResizedCrop`.

    Example:
        >>> image = np.zeros((40, 80, 3), np.uint8)
        >>> CenterCrop(20)(dict(img=image))['crop_box']
        (0.375, 0.25, 0.625, 0.75)
    """

    # Tells check_alignment that maps can follow.
    records_box = True

    def __init__(self, crop_size: int | tuple[int, int]):
        super().__init__(crop_size)

    def _crop_img(self, results: dict, bboxes: np.ndarray) -> None:
        height, width = results['img'].shape[:2]
        # The last pixel is in the box.
        left, top, right, bottom = map(int, bboxes)
        box = (left / width, top / height, (right + 1) / width,
               (bottom + 1) / height)
        super()._crop_img(results, bboxes)
        results['crop_box'] = nested_box(box, results)
