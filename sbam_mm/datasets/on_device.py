# Copyright (c) OpenMMLab. All rights reserved.
"""Small images kept and augmented on the training device."""
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from sbam_mm.errors import NotEnoughMemory, UserError
from sbam_mm.registry import DATASETS

from .transforms.batch_crops import FILTERS, random_boxes, resize_crops


@DATASETS.register_module()
class ImagesOnDevice(Dataset):
    """All images of a data set on the training device, cropped there.

    For small images of one size, such as CIFAR's, where workers cannot keep
    up with the device. The loader stays mmengine's, with its sampler, epochs,
    distributed shards and resuming, but a whole batch is made at once:
    ``RandomResizedCrop`` and ``RandomFlip`` as tensor operations. Random
    numbers come from torch's generator in the main process, so that
    ``EpochSeedHook`` makes them depend on seed, rank and epoch. Batches have
    no data samples: no labels, paths or stored maps.

    Args:
        images (dict or Dataset): Gives ``img``, uint8 (H, W, C), as
            ``sbam_mm.ImageFolder`` does without a pipeline.
        scale (int or tuple[int, int]): Output height and width in pixels.
        interpolation (str): "bicubic" or "bilinear", Pillow's.
        device (str, optional): Defaults to None: that of mmengine's runner.
        limit (float): The most memory, in GiB, the images may take.

    Raises:
        UserError: Unknown interpolation, images of different sizes, or, with
            the first batch, ``num_workers`` above 0.
        NotEnoughMemory: If the images take more than ``limit``.

    Example::

        train_dataloader = dict(
            batch_size=1024,
            num_workers=0,
            persistent_workers=False,
            pin_memory=False,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='sbam_mm.whole_batch'),
            dataset=dict(
                type='sbam_mm.ImagesOnDevice', scale=32,
                images=dict(type='sbam_mm.ImageFolder',
                            data_root='data/cifar10', data_prefix='train')))
    """

    def __init__(self,
                 images: dict | Dataset,
                 scale: int | tuple[int, int],
                 crop_ratio_range: tuple[float, float] = (0.08, 1.),
                 aspect_ratio_range: tuple[float, float] = (3 / 4, 4 / 3),
                 interpolation: str = 'bicubic',
                 flip_prob: float = 0.5,
                 device: str | None = None,
                 limit: float = 8.) -> None:
        if interpolation not in FILTERS:
            raise UserError(f'interpolation={interpolation!r} is unknown '
                            'here; choose "bicubic" or "bilinear".')
        if isinstance(images, dict):
            images = DATASETS.build(images)
        self.metainfo = getattr(images, 'metainfo', {})
        # What the images were decoded with, for KNNHook.
        self.channels = getattr(images, 'channels', 3)
        self.value_range = getattr(images, 'value_range', None)
        self.scale = (scale, scale) if isinstance(scale, int) else scale
        self.crop_ratio_range = crop_ratio_range
        self.aspect_ratio_range = aspect_ratio_range
        self.interpolation = interpolation
        self.flip_prob = flip_prob
        self.pixels = _gather(images, limit).to(device or get_device())

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """A batch: ``inputs``, uint8 (B, C, h, w), BGR if C is 3."""
        if get_worker_info() is not None:
            raise UserError(
                'ImagesOnDevice makes its batches in the main process; set '
                'num_workers=0 and persistent_workers=False in the loader.')
        number = len(indices)
        height, width = self.pixels.shape[2:]
        boxes = random_boxes(number, height, width, self.crop_ratio_range,
                             self.aspect_ratio_range)
        flip = torch.rand(number) < self.flip_prob
        chosen = self.pixels[torch.as_tensor(indices).to(
            self.pixels.device, non_blocking=True)]
        inputs = resize_crops(chosen, boxes, self.scale, flip,
                              self.interpolation)
        return dict(inputs=inputs, data_samples=None)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One image, (C, h, w)."""
        return dict(
            inputs=self.__getitems__([index])['inputs'][0], data_samples=None)


def _gather(images: Any, limit: float) -> Tensor:
    """(N, C, H, W) uint8 of all that can be read, on the CPU."""
    made: list[Tensor] = []
    room = limit * 2**30
    for index in range(len(images)):
        sample = images.prepare_data(index)
        if sample is None:  # unreadable, and reported by the data set
            continue
        image = torch.from_numpy(sample['img'].copy()).permute(2, 0, 1)
        if made and image.shape != made[0].shape:
            raise UserError(
                f'ImagesOnDevice needs images of one size, but image {index} '
                f'has {tuple(image.shape[1:])} pixels and others '
                f'{tuple(made[0].shape[1:])}; use ImageFolder with cache=True '
                'instead, or resize them in the pipeline of images.')
        room -= image.numel()
        if room < 0:
            raise NotEnoughMemory(
                f'the {len(images)} images do not fit into {limit} GiB; raise '
                'limit of ImagesOnDevice, or use ImageFolder.')
        made.append(image)
    # As resize_crops wants them in memory.
    return torch.stack(made).transpose(1, 2).contiguous().transpose(1, 2)
