# Copyright (c) OpenMMLab. All rights reserved.
"""Two views of an image that lie some pixels apart."""
from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

from .crop_maps import nested_box


@TRANSFORMS.register_module()
class PixelShift(BaseTransform):
    """CMAE's pair of views: one at the corner, one shifted and recoloured.

    ``img`` becomes a list: the online view, cut out at offset 0, and the
    target view, cut out at an offset drawn evenly for either axis and then
    passed through ``target``, its own transforms. Sizes are in pixels.
    Maps that ``LoadAttentionMap`` or ``LoadPartMap`` load after it are those
    of the online view.

    Source: Huang et al., *Contrastive Masked Autoencoders are Stronger
    Vision Learners*, 2022, section 3.3, which crops to 256 pixels, cuts out
    224 and shifts by 0 to 31.

    Example:
        >>> shift = PixelShift(size=4, max_shift=2)
        >>> image = np.zeros((6, 6, 3), dtype=np.uint8)
        >>> online, target = shift(dict(img=image))['img']
        >>> online.shape, target.shape
        ((4, 4, 3), (4, 4, 3))
    """

    # Tells check_alignment that maps can follow.
    records_box = True

    def __init__(self,
                 size: int = 224,
                 max_shift: int = 31,
                 target: Sequence[dict | Callable] | None = None):
        if max_shift < 0:
            raise UserError(f'max_shift is the largest offset in pixels and '
                            f'cannot be {max_shift}; CMAE uses 31.')
        self.size = size
        self.max_shift = max_shift
        self.target = Compose([
            TRANSFORMS.build(step) if isinstance(step, dict) else step
            for step in target or ()
        ])

    @cache_randomness
    def offset(self) -> tuple[int, int]:
        """Rows and columns the target view is shifted by."""
        row, column = np.random.randint(0, self.max_shift + 1, 2)
        return int(row), int(column)

    def transform(self, results: dict) -> dict:
        image = results['img']
        if min(image.shape[:2]) < self.size + self.max_shift:
            raise UserError(
                f'PixelShift cuts {self.size} pixels at offsets up to '
                f'{self.max_shift} out of an image of {image.shape[0]} x '
                f'{image.shape[1]}; crop to at least '
                f'{self.size + self.max_shift} before it.')
        row, column = self.offset()
        online = image[:self.size, :self.size]
        target = image[row:row + self.size, column:column + self.size]
        recoloured = self.target(dict(results, img=target.copy()))
        results['img'] = [online, recoloured['img']]
        results['img_shape'] = (self.size, self.size)
        if 'crop_box' in results:
            height, width = image.shape[:2]
            seen = (0., 0., self.size / width, self.size / height)
            results['crop_box'] = nested_box(seen, results)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(size={self.size}, '
                f'max_shift={self.max_shift}, target={self.target})')
