# Copyright (c) OpenMMLab. All rights reserved.
"""Crops on their way to the device that will decode them."""
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmpretrain.datasets import PackInputs
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

from .device_crops import decode_crops

# Stands for the pixels until there are some; a flip of it is only recorded.
PLACEHOLDER = np.zeros((1, 1, 3), np.uint8)
# They look at the box and the flip, not at pixels.
FOLLOWERS = ('LoadAttentionMap', 'LoadPartMap', 'LoadSegments',
             'LoadLabelMap')


class EncodedCrop(NamedTuple):
    """A crop of a file, or a finished one; batches by ``default_collate``.

    Attributes:
        content (bytes): A JPEG file, or pixels uint8 (h, w, 3), BGR.
        encoded (bool): Which of the two.
        shape (tuple[int, int]): Height and width of the image.
        box (tuple[int, ...]): Top, left, rows, columns in pixels.
        flipped (bool): Left to right, after the crop.
        scale (tuple[int, int]): Height and width of the result.
        interpolation (str): "bicubic" or "bilinear", as Pillow's.
    """
    content: bytes
    encoded: bool
    shape: tuple[int, int]
    box: tuple[int, ...]
    flipped: bool
    scale: tuple[int, int]
    interpolation: str

    def decoded(self, device: torch.device) -> Tensor:
        """The images of a batch, uint8 (B, 3, h, w), BGR, on the device."""
        return decode_crops(self, device)


NOT_ENCODED = EncodedCrop(b'', False, (0, 0), (), False, (0, 0), '')


@TRANSFORMS.register_module()
class PackEncoded(PackInputs):
    """mmpretrain's ``PackInputs``, which packs crops that are still encoded.

    ``ImageFolder`` puts it in the place of ``PackInputs`` behind
    ``LoadRandomResizedCrop`` with ``decode='device'``.
    """

    def transform(self, results: dict) -> dict:
        crop = results.get('device_crop')
        if crop is None:
            return super().transform(results)
        image = results.pop('img')
        if crop.encoded:
            crop = crop._replace(flipped=bool(results.get('flip', False)))
        else:  # flipped already, as it has pixels
            crop = crop._replace(content=np.ascontiguousarray(image).tobytes())
        return dict(inputs=crop, **super().transform(results))


def for_device(pipeline: Sequence) -> list:
    """A pipeline that packs encoded crops, if it begins with one.

    Raises:
        UserError: If a step wants pixels, which there are none of yet.

    Example:
        >>> for_device([dict(type='LoadRandomResizedCrop', decode='device'),
        ...             dict(type='PackInputs')])[1]
        {'type': 'sbam_mm.PackEncoded'}
    """
    steps = list(pipeline)
    if not steps or option(steps[0], 'decode') != 'device':
        return steps
    names = [kind(step) for step in steps]
    if names[-1] == 'PackEncoded':
        return steps
    for step, name in zip(steps[1:-1], names[1:-1]):
        if name not in FOLLOWERS and not (
                name == 'RandomFlip'
                and option(step, 'direction') in (None, 'horizontal',
                                                  ['horizontal'])):
            raise UserError(
                f"decode='device' leaves no pixels for {name}; take it out "
                "of the pipeline, or set decode='fast'. A horizontal "
                'RandomFlip may stay.')
    if names[-1] != 'PackInputs' or not isinstance(steps[-1], dict):
        raise UserError(
            f"decode='device' needs dict(type='PackInputs') at the end of the "
            f'pipeline, not {names[-1]}; add it.')
    return [*steps[:-1], dict(steps[-1], type='sbam_mm.PackEncoded')]


def option(step: Any, name: str) -> Any:
    """An option of a transform or of its config."""
    return step.get(name) if isinstance(step, dict) else getattr(
        step, name, None)


def kind(step: Any) -> str:
    """Name of the class of a transform or of its config."""
    name = step.get('type', '') if isinstance(step, dict) else type(step)
    return str(getattr(name, '__name__', name)).rpartition('.')[2]
