#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Images per second with JPEGs decoded on the device, and on the CPU.

    python tools/benchmarks/device_input.py --batch 256 --workers 1 4 12 \
        --out docs/benchmarks/device_input

decode='device' of a batch (alone, with the crops, and from files through a
data loader whose workers only read), then 'exact' and 'fast' of one core.
Without --data the photographs are scikit-image's, saved at 500 x 375. Writes
OUT.json and OUT.md in under a minute.
"""
import argparse
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, device, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--data', help='a folder with JPEG files')
    parser.add_argument('--batch', type=int, default=256)
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument(
        '--workers', type=int, nargs='+', default=[1, 4, 12], help='that read')
    parser.add_argument(
        '--batches', type=int, default=12, help='from each loader')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--device', type=device, default='auto')
    parser.add_argument('--out', default='work_dirs/benchmarks/device_input')
    return parser.parse_args()


import cv2
import paired
import torch
from input_pipeline import ENDINGS, crop, describe, photographs, tail
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader

from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.transforms.device_crops import (
    decode_crops,
    decode_files,
)
from sbam_mm.models import SelfSupDataPreprocessor

# Images that one core decodes in a round.
SOME = 64


def dataset(folder: str, size: int, decode: str) -> ImageFolder:
    step = dict(crop(scale=size, decode=decode),
                type='sbam_mm.LoadRandomResizedCrop')
    return ImageFolder(folder, with_label=False, pipeline=[step, *tail()],
                       extensions=ENDINGS)


def indices(images: ImageFolder, number: int) -> list[int]:
    """So many of them, over and over if there are fewer."""
    return list(islice(cycle(range(len(images))), number))


def from_files(images: ImageFolder, workers: int, args: argparse.Namespace,
               where: torch.device) -> float:
    """Images per second to the normalised batch, from the second batch on."""
    preprocessor = SelfSupDataPreprocessor(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        to_rgb=True, non_blocking=True).to(where)
    loader = DataLoader(
        images, args.batch, num_workers=workers, collate_fn=default_collate,
        sampler=indices(images, args.batch * (args.batches + 1)),
        pin_memory=where.type == 'cuda')
    start = 0.
    for number, data in enumerate(loader):
        preprocessor(data, True)
        if number == 0:
            if where.type == 'cuda':
                torch.cuda.synchronize(where)
            start = time.perf_counter()
    if where.type == 'cuda':
        torch.cuda.synchronize(where)
    return args.batch * args.batches / (time.perf_counter() - start)


def measure(args: argparse.Namespace, folder: str) -> dict:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    where = torch.device(args.device)
    encoded, exact, fast = (dataset(folder, args.size, decode)
                            for decode in ('device', 'exact', 'fast'))
    chosen = indices(encoded, args.batch)
    batch = default_collate([encoded[i] for i in chosen])['inputs']
    files = [file for file, is_file in zip(batch.content, batch.encoded)
             if is_file]
    shapes = torch.stack(list(batch.shape), 1)[batch.encoded].tolist()

    def one_core(images: ImageFolder) -> None:
        for i in chosen[:SOME]:
            images[i]

    on_device = paired.paired({
        'decoding alone': lambda: decode_files(files, shapes, where),
        'decoding, crops and flips': lambda: decode_crops(batch, where),
    }, args.rounds, where)
    on_core = paired.paired({
        "one core, decode='exact'": lambda: one_core(exact),
        "one core, decode='fast'": lambda: one_core(fast),
        'one core that reads': lambda: one_core(encoded),
    }, args.rounds, torch.device('cpu'))
    counts = {'decoding alone': len(files),
              'decoding, crops and flips': args.batch}
    rates = {
        name: paired.quartiles(
            [counts.get(name, min(SOME, args.batch)) / t for t in spent])
        for name, spent in {**on_device, **on_core}.items()
    }
    loaders = {workers: from_files(encoded, workers, args, where)
               for workers in args.workers}
    data = describe(sorted(
        file for file in Path(folder).rglob('*')
        if file.suffix.lower() in ENDINGS))
    return dict(
        environment=paired.environment(where), rounds=args.rounds,
        batch_size=args.batch, size=args.size, data=data,
        cores=torch.multiprocessing.cpu_count(), images_per_second=rates,
        from_files=loaders)


def table(result: dict) -> str:
    data = result['data']
    lines = [
        '# JPEGs decoded on the device', '',
        f'Batches of {result["batch_size"]} of {data["images"]} photographs '
        f'({data["megapixels"]:.2f} megapixels, {data["kilobytes"]:.0f} kB) '
        f'to crops of {result["size"]} pixels, on {result["cores"]} cores; '
        f'median over {result["rounds"]} rounds [quartiles]. '
        f'{paired.where(result["environment"])}', '',
        'what | images/s', '---|---'
    ]
    for name, rate in result['images_per_second'].items():
        median, low, high = rate
        lines.append(f'{name} | {median:.0f} [{low:.0f}, {high:.0f}]')
    for workers, rate in result['from_files'].items():
        lines.append(
            f"from files to the normalised batch, decode='device', {workers} "
            f'workers | {rate:.0f}')
    return '\n'.join([*lines, ''])


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as made:
        if args.data is None:
            photographs(Path(made))
        result = measure(args, args.data or made)
    paired.save(args.out, result, table(result))


if __name__ == '__main__':
    main()
