# Copyright (c) OpenMMLab. All rights reserved.
"""Cut from the map of an original image the part that its crop shows."""
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torchvision.ops import roi_align

from sbam_mm.errors import UserError

# (left, top, right, bottom) as shares of width and height.
Box = tuple[float, float, float, float]
WHOLE: Box = (0., 0., 1., 1.)


def nested_box(box: Box, results: dict) -> Box:
    """A box of the current image as a box of the original one.

    ``results`` has ``crop_box`` and ``flip_direction`` of earlier transforms.

    Example:
        >>> nested_box((0., 0., .5, .5), dict(crop_box=(.5, .5, 1., 1.)))
        (0.5, 0.5, 0.75, 0.75)
    """
    left, top, right, bottom = box
    direction = results.get('flip_direction')
    if direction in ('horizontal', 'diagonal'):
        left, right = 1 - right, 1 - left
    if direction in ('vertical', 'diagonal'):
        top, bottom = 1 - bottom, 1 - top
    x0, y0, x1, y1 = results.get('crop_box', WHOLE)
    width, height = x1 - x0, y1 - y0
    return (x0 + left * width, y0 + top * height, x0 + right * width,
            y0 + bottom * height)


def seen_box(results: dict, transform: str, aligned: bool = False) -> Box:
    """The part of the original image that the pipeline has left.

    Args:
        transform (str): Who asks, for the message.
        aligned (bool): Whether the pipeline is known to have no crop without
            a recorded box, so that an image of its original size is whole.

    Raises:
        UserError: If a transform cropped the image without recording where.
    """
    if 'crop_box' in results:
        return results['crop_box']
    scale = results.get('scale_factor', (1, 1) if aligned else None)
    if scale is not None and not isinstance(results['img'], list):
        height, width = results['ori_shape'][:2]
        expected = np.array([height * scale[1], width * scale[0]])
        if np.abs(results['img'].shape[:2] - expected).max() <= 1:
            return WHOLE
    raise UserError(
        f'{transform} cannot tell which part of the image is left, because '
        'the transform that cropped it records no box; put '
        "dict(type='sbam_mm.RandomResizedCrop', ...) in the place of "
        "RandomResizedCrop or other crops, or dict(type='Resize', "
        'scale=(width, height)) for whole images, before it.')


class MapLoader(BaseTransform):
    """A transform that cuts the image's part from a stored map.

    Attributes:
        aligned (bool): Set once ``check_alignment`` found that the pipeline
            keeps image and map together.
    """
    aligned = False

    def seen_box(self, results: dict) -> Box:
        """See :func:`seen_box`."""
        return seen_box(results, type(self).__name__, self.aligned)


def area_crop(values: np.ndarray, box: Box,
              grid: tuple[int, int]) -> np.ndarray:
    """Crop numbers (h, w) and average them over the cells of a grid, float32.

    Between its cells' centres the map is interpolated bilinearly, as
    resizing it to the image would (AMT, section *Masking and Throwing*);
    4 x 4 points are averaged per cell of the result.

    Example:
        >>> ramp = np.arange(4.)[None].repeat(4, 0)
        >>> area_crop(ramp, (.25, .25, .75, .75), (1, 2))
        array([[1., 2.]], dtype=float32)
    """
    height, width = values.shape
    corners = np.multiply(box, (width, height, width, height))
    roi = torch.tensor([[0., *corners]], dtype=torch.float32)
    image = torch.from_numpy(np.array(values, np.float32))[None, None]
    cut = roi_align(image, roi, grid, sampling_ratio=4, aligned=True)
    return cut[0, 0].numpy()


def nearest_crop(labels: np.ndarray, box: Box,
                 grid: tuple[int, int]) -> np.ndarray:
    """Crop labels (h, w); each cell takes the label at its centre.

    Example:
        >>> nearest_crop(np.array([[1, 2], [3, 4]]), (.5, 0., 1., 1.), (2, 2))
        array([[2, 2],
               [4, 4]])
    """
    left, top, right, bottom = box

    def centres(start: float, stop: float, cells: int,
                size: int) -> np.ndarray:
        share = start + (np.arange(cells) + .5) / cells * (stop - start)
        return np.clip((share * size).astype(int), 0, size - 1)

    rows = centres(top, bottom, grid[0], labels.shape[0])
    columns = centres(left, right, grid[1], labels.shape[1])
    return labels[rows[:, None], columns]


def majority_crop(labels: np.ndarray, box: Box,
                  grid: tuple[int, int]) -> np.ndarray:
    """Crop labels (h, w); each cell takes the label that fills most of it.

    Areas are exact, also where a cell of the map lies in several cells of
    the result. Of equal areas the lowest label wins.

    Example:
        >>> labels = np.array([[1, 1, 2], [1, 2, 2]])
        >>> majority_crop(labels, (0., 0., 1., 1.), (1, 1))
        array([[1]])
    """
    left, top, right, bottom = box

    def shares(start: float, stop: float, cells: int,
               size: int) -> np.ndarray:
        edges = np.linspace(start, stop, cells + 1) * size
        pixels = np.arange(size)
        first = np.maximum(edges[:-1, None], pixels)
        last = np.minimum(edges[1:, None], pixels + 1)
        return np.clip(last - first, 0, None)

    rows = shares(top, bottom, grid[0], labels.shape[0])
    columns = shares(left, right, grid[1], labels.shape[1])
    known = np.unique(labels)
    areas = rows @ (labels == known[:, None, None]) @ columns.T
    # Rounding must not decide between equals.
    return known[np.argmax(areas.round(9), axis=0)]


def flip_map(values: np.ndarray, results: dict) -> np.ndarray:
    """Flip a map (h, w) as mmcv's ``RandomFlip`` flipped the image."""
    if not results.get('flip'):
        return values
    return np.ascontiguousarray(
        mmcv.imflip(values, direction=results['flip_direction']))
