# Copyright (c) OpenMMLab. All rights reserved.
"""Transforms for images of one, four or more channels.

Pillow would treat two or four channels as grey or colour with
transparency, and OpenCV drops an axis of length 1. Here every channel is
resized by itself.
"""
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import Resize as _Resize
from mmpretrain.datasets import ResizeEdge as _ResizeEdge

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

# What pipelines name, and what it is for any number of channels.
_OURS = ('RandomResizedCrop', 'Resize', 'ResizeEdge')
# Their arithmetic is that of red, green and blue, or Pillow's.
_COLOUR = frozenset((
    'ColorJitter', 'RandomGrayscale', 'Solarize', 'SolarizeAdd', 'Invert',
    'Posterize', 'Equalize', 'AutoContrast', 'Contrast', 'ColorTransform',
    'Brightness', 'Sharpness', 'Lighting', 'GaussianBlur', 'RandAugment',
    'AutoAugment', 'RandomErasing', 'Cutout', 'Rotate', 'Shear', 'Translate',
    'Albumentations', 'Albu', 'PhotoMetricDistortion',
    'RandomResizedCropAndInterpolationWithTwoPic', 'EfficientNetRandomCrop',
    'EfficientNetCenterCrop'))


def is_colour_transform(step: Any) -> bool:
    """Whether this is the config of a transform that needs three colours."""
    return isinstance(step, dict) and _name(step) in _COLOUR


def for_any_channels(steps: Sequence, channels: int) -> list:
    """A pipeline for images of so many channels; 3 changes nothing.

    Configs of transforms are adapted, callables are left as they are. The
    random draws stay the same.

    Raises:
        UserError: If a transform is one of colour images.

    Example:
        >>> for_any_channels([dict(type='Resize', scale=8)], 4)
        [{'type': 'sbam_mm.Resize', 'scale': 8}]
    """
    return list(steps) if channels == 3 else [
        _adapted(step, channels) for step in steps
    ]


def _name(step: dict) -> str:
    return str(step.get('type', '')).rsplit('.', 1)[-1]


def _adapted(part: Any, channels: int) -> Any:
    if isinstance(part, (list, tuple)):
        return [_adapted(i, channels) for i in part]
    if not (isinstance(part, dict) and 'type' in part):
        return part
    if is_colour_transform(part):
        raise UserError(
            f'{_name(part)} is for colour images, but the data set has '
            f'channels={channels}: take it out of the pipeline.')
    name = _name(part)
    made = {key: _adapted(value, channels) if isinstance(
        value, (dict, list, tuple)) and key in ('transforms', 'target')
        else value for key, value in part.items()}
    return dict(made, type=f'sbam_mm.{name}') if name in _OURS else made


def resize(image: np.ndarray, size: tuple[int, int],
           **options: Any) -> np.ndarray:
    """``mmcv.imresize`` of (H, W, C) for any number of channels.

    Args:
        size (tuple[int, int]): Width and height.
        **options: Interpolation and backend of ``mmcv.imresize``.

    Example:
        >>> resize(np.zeros((4, 4, 13), np.uint8), (2, 3)).shape
        (3, 2, 13)
    """
    if image.ndim != 3 or image.shape[2] == 3:
        return mmcv.imresize(image, size, **options)
    return np.stack([
        mmcv.imresize(np.ascontiguousarray(image[..., i]), size, **options)
        for i in range(image.shape[2])
    ], axis=2)


class _AnyChannels:
    """``Resize`` and ``ResizeEdge``, channel by channel."""

    def _resize_img(self, results: dict) -> None:
        image = results['img']
        if image.ndim != 3 or image.shape[2] == 3:
            super()._resize_img(results)  # type: ignore[misc]
            return
        scale = results['scale']
        resized = []
        for i in range(image.shape[2]):
            part = dict(img=np.ascontiguousarray(image[..., i]), scale=scale)
            super()._resize_img(part)  # type: ignore[misc]
            resized.append(part.pop('img'))
        results.update(part, img=np.stack(resized, axis=2))


@TRANSFORMS.register_module()
class Resize(_AnyChannels, _Resize):
    """mmcv's ``Resize`` for images of any number of channels."""


@TRANSFORMS.register_module()
class ResizeEdge(_AnyChannels, _ResizeEdge):
    """mmpretrain's ``ResizeEdge`` for images of any number of channels."""
