# Copyright (c) OpenMMLab. All rights reserved.
"""Segments without any weights: Felzenszwalb's graph of pixels."""
import cv2
import numpy as np

from sbam_mm.errors import UserError

from .id_map import Masks
from .options import check_options


class Felzenszwalb:
    """Regions of similar colour, by scikit-image.

    They do not overlap and cover the image, and are equally confident.

    Source: Felzenszwalb and Huttenlocher, *Efficient Graph-Based Image
    Segmentation*, IJCV 2004.

    Args:
        side (int): Longer images are made so small first, in pixels; smaller
            ones stay as they are.
        scale (float): The paper's k, for colours of 0 to 255: the larger, the
            fewer and larger the regions.
        sigma (float): Of the Gaussian that smooths the image before, in
            pixels.
        min_share (float): Smaller regions, by their share of the image, go to
            a neighbour.
    """

    def __init__(self,
                 side: int = 224,
                 scale: float = 300.,
                 sigma: float = 0.8,
                 min_share: float = 0.02):
        try:
            from skimage.segmentation import felzenszwalb
        except ImportError as error:
            raise UserError(
                'the back-end felzenszwalb needs scikit-image, which is not '
                'installed; run `pip install scikit-image`.') from error
        self._cut = felzenszwalb
        self.settings = dict(
            side=side, scale=scale, sigma=sigma, min_share=min_share)
        check_options(
            self.settings, least=dict(side=1), most=dict(min_share=1))

    def __call__(self, image: np.ndarray) -> Masks:
        """Masks (n, h, w) of the shrunk image, from RGB uint8 (H, W, 3)."""
        shrink = self.settings['side'] / max(image.shape[:2])
        if shrink < 1:
            height, width = (
                max(round(size * shrink), 1) for size in image.shape[:2])
            image = cv2.resize(
                image, (width, height), interpolation=cv2.INTER_AREA)
        height, width = image.shape[:2]
        labels = self._cut(
            image,
            scale=self.settings['scale'],
            sigma=self.settings['sigma'],
            min_size=max(round(self.settings['min_share'] * height * width),
                         1))
        masks = labels == np.unique(labels)[:, None, None]
        return Masks(masks, np.ones(len(masks)))
