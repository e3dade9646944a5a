#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Mean and deviation of every channel of a folder of images.

    python tools/channel_statistics.py data/fields/train --channels 13 \
        --value-range 0 10000

Prints the lines of a config: how the images are decoded, what they are
normalised with, and the channels of the model. Values are those of the 256
levels that training sees. Images that cannot be read are named and left out.
"""
import argparse

from sbam_mm.command_line import ToolParser, parses_first, tool


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('data', metavar='DATA', help='folder of images')
    parser.add_argument(
        '--channels', type=int, default=3, help='of the images (default: 3)')
    parser.add_argument(
        '--value-range',
        nargs=2,
        type=float,
        metavar=('LOW', 'HIGH'),
        help='values that become black and white, for files of more than 8 '
        'bits')
    parser.add_argument(
        '--limit', type=int, metavar='N',
        help='take N images spread over the folder (default: all)')
    return parser.parse_args()


import numpy as np
from rich.progress import track

from sbam_mm.datasets import ImageFolder
from sbam_mm.errors import UserError


def statistics(dataset: ImageFolder,
               limit: int | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and deviation over all pixels of all images, or of so many.

    Returns:
        tuple: float64 (C,) each, in the order of the model's input (RGB of
        three channels), and the number of images read.
    """
    indices = np.arange(len(dataset))
    if limit is not None and limit < len(indices):
        indices = np.linspace(0, len(dataset) - 1, limit).round().astype(int)
    pixels = images = 0
    total = squares = np.zeros(dataset.channels)
    for index in track(indices, 'Images', transient=True):
        sample = dataset.prepare_data(int(index))
        if sample is None:  # named by the data set
            continue
        values = sample['img'].reshape(-1, dataset.channels)
        # Whole numbers, so that nothing is lost to rounding.
        counts = np.stack([
            np.bincount(channel, minlength=256) for channel in values.T
        ])
        total = total + counts @ np.arange(256)
        squares = squares + counts @ np.arange(256)**2
        pixels += len(values)
        images += 1
    if not images:
        raise UserError(
            f'none of the {len(indices)} images can be read; the warnings '
            'above say why.')
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    if dataset.channels == 3:
        mean, deviation = mean[::-1], deviation[::-1]
    return mean, deviation, images


def run(args: argparse.Namespace) -> str:
    """The lines of the config."""
    if args.limit is not None and args.limit < 1:
        raise UserError(f'--limit {args.limit} leaves no image; give 1 or '
                        'more.')
    dataset = ImageFolder(
        args.data, with_label=False, channels=args.channels,
        value_range=args.value_range)
    mean, deviation, images = statistics(dataset, args.limit)
    constant = np.flatnonzero(deviation == 0)
    if len(constant):
        raise UserError(
            f'channel {constant[0]} has the same level {mean[constant[0]]:g} '
            f'in all {images} images, and nothing to normalise by: check '
            '--value-range, or leave the channel out of the files.')
    options = '' if args.channels == 3 else f'channels={args.channels}, '
    if args.value_range:
        low, high = args.value_range
        options += f'value_range=({low:g}, {high:g}), '
    part = f'dict(in_channels={args.channels})'

    def row(values: np.ndarray) -> str:
        return ', '.join(f'{value:.2f}' for value in values)

    lines = [
        f'# {images} images, {dataset.num_unreadable} unreadable ones left '
        'out.',
        'model = dict(',
        '    data_preprocessor=dict(',
        f'        mean=[{row(mean)}],',
        f'        std=[{row(deviation)}],',
        f'        to_rgb={args.channels == 3}),',
        f'    backbone={part},',
        f'    neck={part})',
    ]
    if options:
        lines.append('train_dataloader = dict(dataset=dict('
                     f'{options.rstrip(", ")}))')
    return '\n'.join(lines)


@tool
def main() -> None:
    print(run(parse_args()))


if __name__ == '__main__':
    main()
