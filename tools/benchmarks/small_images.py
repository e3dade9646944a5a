#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Small images: augmented on the training device, or by the data loader.

    python tools/benchmarks/small_images.py --data data/cifar10/train \
        --out docs/benchmarks/small_images

Both make the same kind of batches, normalised and on the device: images from
memory, random resized crop, flip. They take turns on the same images. Without
--data the images are pieces of scikit-image's photographs. Writes OUT.json
and OUT.md.
"""
import argparse
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, device, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--data', help='a folder of images of 32 x 32')
    parser.add_argument(
        '--source', help='what they are, for the table', default=None)
    parser.add_argument('--images', type=int, default=2048, help='at the most')
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument(
        '--workers', type=int, default=0, help="of the DataLoader's path")
    parser.add_argument(
        '--device', type=device, default='auto')
    parser.add_argument('--out', default='work_dirs/benchmarks/small_images')
    return parser.parse_args()


import numpy as np
import paired
import torch
from mmengine.dataset import DefaultSampler, default_collate
from mmpretrain.registry import MODELS
from PIL import Image
from torch.utils.data import DataLoader

from sbam_mm.datasets import ImageFolder, ImagesOnDevice, whole_batch
from sbam_mm.visualization import photographs

BASELINE, OURS = 'DataLoader', 'ImagesOnDevice'
CROP = dict(scale=32, crop_ratio_range=(.2, 1.), interpolation='bicubic')
PREPROCESSOR = dict(
    type='SelfSupDataPreprocessor',
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7],
    to_rgb=True)


def pieces(folder: Path, number: int, size: int = 32) -> None:
    """Pieces of photographs as PNG files."""
    pictures = [Image.fromarray(image) for image in photographs().values()]
    # Side by side first; more of them begin in between.
    corners = ((image, left, top)
               for shift in range(0, size, 4) for image in pictures
               for top in range(shift, image.height - size + 1, size)
               for left in range(shift, image.width - size + 1, size))
    for made, (image, left, top) in enumerate(islice(corners, number)):
        image.crop((left, top, left + size, top + size)).save(
            folder / f'{made:05d}.png')


def loaders(folder: str, args: argparse.Namespace,
            device: torch.device) -> dict:
    """The two loaders, of the same images in memory."""
    pipeline = [
        dict(CROP, type='RandomResizedCrop', backend='pillow'),
        dict(type='RandomFlip', prob=.5),
        dict(type='PackInputs')
    ]
    plain = ImageFolder(folder)
    chosen = np.linspace(
        0, len(plain) - 1, min(args.images, len(plain)), dtype=int).tolist()
    plain = plain.get_subset(chosen)
    images = ImageFolder(
        folder, pipeline=pipeline, cache=True, indices=chosen)
    on_device = ImagesOnDevice(plain, **CROP, device=str(device))
    made = {}
    for name, dataset, options in (
        (BASELINE, images,
         dict(
             collate_fn=default_collate,
             num_workers=args.workers,
             persistent_workers=args.workers > 0,
             pin_memory=device.type == 'cuda')),
        (OURS, on_device, dict(collate_fn=whole_batch))):
        made[name] = DataLoader(
            dataset, args.batch, drop_last=True,
            sampler=DefaultSampler(dataset, shuffle=True, seed=0), **options)
    return made


def table(result: dict) -> str:
    where, target = result['environment'], 5
    ratio = paired.Ratio(*result['speed_up'])
    lines = [
        '# Small images', '',
        f'Batches of {result["batch_size"]} images of 32 x 32 '
        f'({result["source"]}, {result["images"]} of them), from memory to '
        'the normalised tensor on the device: random resized crop 0.2 to 1, '
        "Pillow's bicubic filter, flip. An epoch of either loader in turns, "
        f'median over {result["rounds"]} rounds [quartiles].', '',
        f'{where["hardware"]}, {result["workers"]} workers for the '
        f'DataLoader, torch {where["torch"]}, mmengine {where["mmengine"]}, '
        f'mmpretrain {where["mmpretrain"]}, Python {where["python"]}, '
        f'{where["date"]}; one-minute load '
        f'{" to ".join(f"{load:.1f}" for load in result["load"])} on '
        f'{result["cores"]} cores.', '',
        f'device | {BASELINE}, images/s | {OURS}, images/s | ratio | target',
        '---|---|---|---|---'
    ]
    rates = result['images_per_second']
    row = f'{rates[BASELINE]:.0f} | {rates[OURS]:.0f} | {ratio} | '
    lines += [
        f'CPU | {row}-', f'GPU | not measured | | | {target}'
    ] if result['device'] == 'cpu' else [f'GPU | {row}{target}']
    return '\n'.join([*lines, ''])


def measure(args: argparse.Namespace, folder: str) -> dict:
    device = torch.device(args.device)
    if device.type == 'cpu':
        torch.set_num_threads(1)
    preprocessor = MODELS.build(PREPROCESSOR).to(device)
    made = loaders(folder, args, device)

    def epoch(loader: DataLoader) -> None:
        for batch in loader:
            preprocessor(batch)

    load = [os.getloadavg()[0]]
    times = paired.paired(
        {name: lambda loader=loader: epoch(loader)
         for name, loader in made.items()}, args.rounds, device)
    load.append(os.getloadavg()[0])
    seen = len(made[OURS]) * args.batch
    return dict(
        environment=paired.environment(device),
        device=device.type,
        cores=os.cpu_count(),
        load=load,
        source=args.source,
        images=seen,
        batch_size=args.batch,
        workers=args.workers,
        rounds=args.rounds,
        images_per_second={
            name: seen / paired.quartiles(spent).median
            for name, spent in times.items()
        },
        speed_up=paired.quartiles(
            [b / t for b, t in zip(times[BASELINE], times[OURS])]),
        seconds=times)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            pieces(Path(folder), args.images)
            args.source = "pieces of scikit-image's photographs"
        args.source = args.source or Path(args.data).name
        result = measure(args, args.data or folder)
    paired.save(args.out, result, table(result))


if __name__ == '__main__':
    main()
