# Copyright (c) OpenMMLab. All rights reserved.
"""Check that stored maps can follow their image through a pipeline."""
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import Compose as _Compose
from mmengine.dataset import Compose

from sbam_mm.errors import UserError

from .crop_maps import MapLoader

# Cut, turn, pad or bend the image and record nowhere how; of mmcv,
# mmpretrain and torchvision.
UNRECORDED = frozenset((
    'AugMix', 'CenterCrop', 'EfficientNetCenterCrop', 'EfficientNetRandomCrop',
    'ElasticTransform', 'FiveCrop', 'MAERandomResizedCrop', 'Pad',
    'RandomAffine', 'RandomCrop', 'RandomHorizontalFlip', 'RandomPerspective',
    'RandomResizedCrop', 'RandomResizedCropAndInterpolationWithTwoPic',
    'RandomRotation', 'RandomTranslatePad', 'RandomVerticalFlip', 'Rotate',
    'Shear', 'TenCrop', 'Translate', 'TrivialAugmentWide'))


def check_alignment(steps: Sequence[Any], complete: bool = True) -> None:
    """Stop where a map could not follow its image through a pipeline.

    It may follow crops that record their box (``RandomResizedCrop``,
    ``LoadRandomResizedCrop`` and ``PixelShift`` of this project), resizes of
    the whole image, and one ``RandomFlip``. The data sets of this project
    call it; transforms it does not know of are not looked at.

    Args:
        steps (Sequence): Transforms, views and choices among them included.
        complete (bool): Whether nothing stands before them.

    Raises:
        UserError: If another transform moves the image, two flips do, or one
            does after the map was loaded.

    Example:
        >>> from mmcv.transforms import CenterCrop
        >>> from sbam_mm.datasets import LoadAttentionMap
        >>> check_alignment([CenterCrop(32), LoadAttentionMap(2)])
        Traceback (most recent call last):
            ...
        sbam_mm.errors.UserError: LoadAttentionMap cannot follow \
CenterCrop, which moves \
the image and records nowhere how; take CenterCrop out, or put \
dict(type='sbam_mm.RandomResizedCrop', ...) in its place.
    """
    for path in _paths(steps):
        loaders = [step for step in path if isinstance(step, MapLoader)]
        if loaders:
            _check(path, type(loaders[0]).__name__)
        for loader in loaders:
            loader.aligned |= complete


def _check(path: list, loader: str) -> None:
    loaded, flips = False, 0
    for step in path:
        name = _name(step)
        recorded = name == 'RandomFlip' or hasattr(step, 'records_box')
        flips += name == 'RandomFlip'
        if name in UNRECORDED and not recorded:
            raise UserError(
                f'{loader} cannot follow {name}, which moves the image and '
                f'records nowhere how; take {name} out, or put '
                "dict(type='sbam_mm.RandomResizedCrop', ...) in its place.")
        if flips > 1:
            raise UserError(f'{loader} can follow one RandomFlip, as the '
                            'second hides the first; take one of them out.')
        if loaded and recorded:
            raise UserError(
                f'{name} moves the image after {loader} has cut its map; put '
                f'{loader} behind {name}.')
        loaded |= isinstance(step, MapLoader)


def _name(step: Any) -> str:
    """Name of the class of a transform, of a wrapped one or of a config."""
    if isinstance(step, dict):
        # RandAugment builds its transforms image by image.
        kind = step.get('type')
        return str(getattr(kind, '__name__', kind)).rpartition('.')[2]
    # torchvision's in mmpretrain's wrapper.
    return type(getattr(step, 't', step)).__name__


def _paths(steps: Sequence[Any]) -> list[list]:
    """All sequences of transforms that an image may take."""
    paths: list[list] = [[]]
    for step in steps:
        ways = _ways(step)
        paths = [path + way for path in paths for way in ways]
    return paths


def _ways(step: Any) -> list[list]:
    for name in ('pipelines', 'transforms', 'policies'):
        inner = getattr(step, name, None)
        if isinstance(inner, (Compose, _Compose)):
            return _paths(inner.transforms)
        if inner and isinstance(inner, (list, tuple)):
            if isinstance(step, (Compose, _Compose)):
                return _paths(inner)
            return [way for each in inner for way in _ways(each)]
    return [[step]]
