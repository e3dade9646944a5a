# Copyright (c) OpenMMLab. All rights reserved.
"""Images of other than three channels, from the preprocessor to the head."""
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmpretrain.models import SelfSupDataPreprocessor as _Preprocessor
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS


@MODELS.register_module()
class SelfSupDataPreprocessor(_Preprocessor):
    """mmpretrain's preprocessor for images of any number of channels.

    It decodes and crops what ``LoadRandomResizedCrop(decode='device')`` left
    encoded.

    Args:
        mean (Sequence[float], optional): One for each channel, or one for
            all. Defaults to None: images are not normalised.
        std (Sequence[float], optional): Likewise.
        to_rgb (bool): Exchange the first and last of three channels, which
            data sets give as BGR. Images of any other number of channels keep
            their order.
        **kwargs: Of mmpretrain's class.
    """

    def __init__(self,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 to_rgb: bool = False,
                 **kwargs: Any) -> None:
        pair = (mean, std)
        if mean is not None and std is not None:
            if len(mean) != len(std) or not min(std) > 0:
                raise UserError(
                    f'data_preprocessor has {len(mean)} means and {len(std)} '
                    'deviations, the least being '
                    f'{min(std, default=0)}: give one positive number for '
                    'each channel (tools/channel_statistics.py prints them).')
            # mmengine knows one or three.
            pair = ([0.], [1.])
        super().__init__(pair[0], pair[1], to_rgb=to_rgb, **kwargs)
        if mean is not None and std is not None:
            self.mean = torch.tensor(mean, dtype=torch.float).view(-1, 1, 1)
            self.std = torch.tensor(std, dtype=torch.float).view(-1, 1, 1)

    def forward(self, data: dict, training: bool = False) -> dict:
        decoded = getattr(data['inputs'], 'decoded', None)
        if decoded is not None:
            data = dict(data, inputs=decoded(self.device))
        swap: bool = self._channel_conversion  # type: ignore[has-type]
        if swap and _channels(data) == 3:
            # mmpretrain's index of channels is a list, for which the host
            # waits until the device has it: once per view.
            data = self.cast_data(data)
            views = data['inputs']
            data = dict(data, inputs=views.flip(1) if isinstance(
                views, Tensor) else [view.flip(1) for view in views])
        self._channel_conversion = False
        try:
            return super().forward(data, training)
        finally:
            self._channel_conversion = swap


def renormalised(images: Tensor, known: Any, wanted: Any) -> Tensor:
    """What one preprocessor has normalised, as another would have.

    Where the second does not normalise, images stay as they are.

    Example:
        >>> first, second = (
        ...     SelfSupDataPreprocessor([mean], [std])
        ...     for mean, std in ((100., 50.), (120., 40.)))
        >>> renormalised(torch.zeros(1, 1, 2, 2), first, second).unique()
        tensor([-0.5000])
    """
    if not wanted._enable_normalize:
        return images
    if known._enable_normalize:
        images = images * known.std + known.mean
    return (images - wanted.mean) / wanted.std


def _channels(data: dict) -> int:
    inputs = data['inputs']
    if hasattr(inputs, 'decoded'):  # colour files, see EncodedCrop
        return 3
    while isinstance(inputs, (list, tuple)):
        inputs = inputs[0]
    return inputs.shape[-3]


def image_channels(encoder: nn.Module | None) -> int | None:
    """Channels that an encoder takes, by its first convolution."""
    for part in encoder.modules() if encoder is not None else ():
        if isinstance(part, nn.Conv2d):
            return part.in_channels
    return None


def check_channels(model: nn.Module) -> None:
    """Compare the channels of a model's parts, and of every batch later.

    Raises:
        UserError: If encoder, preprocessor and teacher expect images of
            different channels; with a batch, if its images have others.
    """
    channels = image_channels(model.backbone)
    if channels is None:
        return
    seen = image_channels(getattr(model, 'teacher', None))
    if seen not in (None, channels):
        raise UserError(
            f'the teacher sees {seen} channels and model.backbone {channels}: '
            'take a teacher of such images, or a masker without one.')
    preprocessor = model.data_preprocessor
    mean = getattr(preprocessor, 'mean', None)
    if isinstance(mean, Tensor) and mean.numel() not in (1, channels):
        raise UserError(
            f'data_preprocessor has {mean.numel()} means and the model '
            f'in_channels={channels}: give a mean and a deviation for each '
            'channel (tools/channel_statistics.py prints them).')
    if channels != 3 and getattr(
            preprocessor, '_channel_conversion', False) and not isinstance(
                preprocessor, SelfSupDataPreprocessor):
        raise UserError(
            f'data_preprocessor.to_rgb takes three of the {channels} '
            'channels: set to_rgb=False, or type='
            "'sbam_mm.SelfSupDataPreprocessor'.")

    preprocessor.register_forward_pre_hook(partial(_check_batch, channels))


def _check_batch(channels: int, _: nn.Module, arguments: tuple) -> None:
    data = arguments[0] if arguments else None
    if isinstance(data, dict) and 'inputs' in data:
        found = _channels(data)
        if found != channels:
            raise UserError(
                f'the images have {found} channels and the model in_channels='
                f'{channels}: set channels={channels} of the data set, or '
                f'in_channels={found} of model.backbone and model.neck.')


def for_any_channels(preprocessor: Any) -> Any:
    """A config of mmpretrain's preprocessor becomes one of ours.

    It computes the same; other preprocessors are left as they are.

    Example:
        >>> for_any_channels(dict(type='SelfSupDataPreprocessor'))
        {'type': 'sbam_mm.SelfSupDataPreprocessor'}
    """
    if preprocessor is not None and not isinstance(preprocessor, dict):
        return preprocessor
    options = dict(preprocessor or {})
    kind = options.get('type', _Preprocessor)
    if kind is _Preprocessor or (isinstance(kind, str) and kind in (
            'SelfSupDataPreprocessor', 'mmpretrain.SelfSupDataPreprocessor')):
        options['type'] = 'sbam_mm.SelfSupDataPreprocessor'
    return options
