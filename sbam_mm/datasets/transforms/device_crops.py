# Copyright (c) OpenMMLab. All rights reserved.
"""JPEG files decoded and cropped on the training device, in batches.

The workers of the data loader only read files and draw boxes and flips, with
the draws of any other ``decode``. The model's preprocessor does the rest, by
``torchvision.io.decode_jpeg``: nvJPEG on CUDA, libjpeg-turbo on a CPU.
"""
import logging
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from ..reading.decoding import EncodedImage, why_unreadable
from .batch_crops import Boxes, resize_different

# Pixels that are decoded at a time: 400 MB.
DECODED = 2**27
GREY = 128


@torch.no_grad()
def decode_crops(crops: Any, device: torch.device) -> Tensor:
    """The images of a batch, uint8 (B, 3, h, w), BGR, on the device.

    Args:
        crops (EncodedCrop): A batch of them by ``default_collate``, which
            makes a list of files and tensors of numbers.
    """
    height, width = (int(side[0]) for side in crops.scale)
    out = torch.empty((len(crops.content), 3, height, width),
                      dtype=torch.uint8, device=device)
    shapes = torch.stack(list(crops.shape), 1)
    boxes = torch.stack(list(crops.box))
    for i in (~crops.encoded).nonzero().flatten().tolist():
        pixels = np.frombuffer(crops.content[i], np.uint8).copy()
        out[i] = torch.from_numpy(
            pixels.reshape(height, width, 3)).permute(2, 0, 1).to(device)
    chosen = crops.encoded.nonzero().flatten()
    # Whole images, which are larger than their crops, in pieces.
    piece = shapes[chosen].prod(1).cumsum(0) // DECODED
    # The preprocessor runs under autocast; these are pixels.
    with torch.autocast(device.type, enabled=False):
        for number in piece.unique().tolist():
            some = chosen[piece == number]
            images = decode_files([crops.content[i] for i in some.tolist()],
                                  shapes[some].tolist(), device)
            made = resize_different(
                images, Boxes(*boxes[:, some]), (height, width),
                crops.flipped[some], crops.interpolation[0])
            out[some.to(device, non_blocking=True)] = made.flip(1)
    return out


def decode_files(files: list[bytes], shapes: list[list[int]],
                 device: torch.device) -> list[Tensor]:
    """JPEG files as uint8 (3, H, W), RGB, on the device.

    If the device decodes none of them, or only some, Pillow does. A broken
    file, which the workers take for a complete one, becomes a grey image.
    """
    with warnings.catch_warnings():
        # That they must not be written to.
        warnings.simplefilter('ignore', UserWarning)
        encoded = [torch.frombuffer(file, dtype=torch.uint8)
                   for file in files]
    try:
        return decode_jpeg(encoded, ImageReadMode.RGB, device)
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        _say_once(str(error).splitlines()[0], str(device))
    return [decode_on_host(file, shape).to(device)
            for file, shape in zip(files, shapes)]


def decode_on_host(file: bytes, shape: list[int]) -> Tensor:
    """One of them by Pillow, uint8 (3, H, W); grey if it is broken."""
    try:
        image = np.array(EncodedImage(file).whole())
    except MemoryError:
        raise
    # Broken files raise about anything out of a decoder.
    except Exception as error:
        print_log(
            f'A broken image takes part as a grey one: '
            f'{why_unreadable(error)}', logger='current',
            level=logging.WARNING)
        return torch.full((3, *shape), GREY, dtype=torch.uint8)
    return torch.from_numpy(image).permute(2, 0, 1)


@cache
def _say_once(reason: str, device: str) -> None:
    print_log(
        f'Images were decoded by the CPU of the main process, as {device} '
        f"could not ({reason}); if it is like this throughout, set "
        "decode='fast'.", logger='current', level=logging.WARNING)
