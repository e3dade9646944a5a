#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Cut every image of a data set into segments, for the attention bias.

    python tools/generate_segments.py data/imagenet/train --out segments.npy
    python tools/generate_segments.py configs/CONFIG.py --out segments.npy \
        --backend sam --option checkpoint=checkpoints/sam-vit-huge

DATA is a folder of images, or a config whose training images are taken. The
result is one file (N, h, w) of ids, 0 for no mask, for LoadSegments, with a
description (.json) and the images' checksums beside it.

After an interruption the same command goes on; where the maps are complete it
does nothing, unless it has --force: then all are made again. Several processes
fill one file, each with its share of the images; the last one finishes it:

    for i in 0 1 2 3; do CUDA_VISIBLE_DEVICES=$i python \
        tools/generate_segments.py DATA --backend sam --shard $i/4 \
        --out segments.npy & done; wait

Back-ends: felzenszwalb (no weights; options side, scale, sigma, min_share)
and sam (SAM or SAM 2 through transformers; options checkpoint, points,
points_per_batch, quality, stability, device).
"""
import argparse
import time
from pathlib import Path
from typing import Any

from sbam_mm.command_line import (
    KeyValues,
    ToolParser,
    parses_first,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        'data', metavar='DATA', help='folder of images, or config file')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='the .npy file')
    parser.add_argument(
        '--backend', default='felzenszwalb', choices=('felzenszwalb', 'sam'),
        help='what finds the masks (default: felzenszwalb)')
    parser.add_argument(
        '--option', nargs='+', action=KeyValues, default={},
        metavar='NAME=VALUE', help='settings of the back-end')
    parser.add_argument(
        '--max-masks', type=whole(1), default=5,
        help="masks per image, the paper's c (default: 5)")
    parser.add_argument(
        '--keep', default='largest', choices=('largest', 'confident'),
        help='which masks to keep of more (default: largest)')
    parser.add_argument(
        '--size', type=whole(1), nargs='+', default=[56], metavar='CELLS',
        help='side, or rows and columns, of a stored map (default: 56)')
    parser.add_argument(
        '--classes', help='only these classes of a folder: imagenet100, or a '
        'file with one folder name a line')
    parser.add_argument(
        '--shard', default='0/1', metavar='I/N',
        help='do only share I, from 0, of N (default: 0/1)')
    parser.add_argument(
        '--force', action='store_true',
        help='make maps again that are complete, such as those of images that '
        'changed; the old ones stay until then')
    parser.add_argument(
        '--verify', action='store_true',
        help='make nothing; compare all images with the checksums')
    parser.add_argument(
        '--preview', metavar='FILE.png',
        help='draw the segments of eight images into a file')
    return parser.parse_args()


import numpy as np
from mmengine.registry import DefaultScope
from rich.progress import track

from sbam_mm.config_files import read_config
from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.reading.stored_maps import ImageList
from sbam_mm.datasets.reading.tree import read_regular_file
from sbam_mm.datasets.transforms import nearest_crop
from sbam_mm.datasets.transforms.crop_maps import WHOLE
from sbam_mm.datasets.transforms.load_maps import sides
from sbam_mm.errors import UserError
from sbam_mm.registry import DATASETS
from sbam_mm.segments.maps import (
    BACKENDS,
    SegmentWriter,
    check_kept,
    id_map,
)
from sbam_mm.segments.maps.segment_maps import SegmentMaps, checksum


def open_images(data: str, classes: str | None) -> Any:
    """The data set, without a pipeline.

    Raises:
        UserError: If a config has no data set that decodes images itself.
    """
    if not data.endswith('.py'):
        return ImageFolder(data, classes=classes)
    part = read_config(data).get('train_dataloader') or {}
    while 'dataset' in part:
        part = part.dataset
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        kind = part.get('type', 'nothing')
        found = DATASETS.get(kind) if isinstance(kind, str) else kind
        if not (isinstance(found, type) and issubclass(found, ImageFolder)):
            raise UserError(
                f'{data} trains on {getattr(kind, "__name__", kind)}, which '
                'is no single folder of images; give that folder, or a config '
                'whose train_dataloader.dataset is an sbam_mm.ImageFolder.')
        part.update(pipeline=[], cache=False)
        part.pop('repeats', None)
        if classes:
            part.classes = classes
        return DATASETS.build(part)


def parse_shard(text: str) -> tuple[int, int]:
    """``1/4`` as two numbers."""
    number, _, shards = text.partition('/')
    if not (number.isdecimal() and shards.isdecimal()):
        raise UserError(f'--shard {text} is no share of the images; give '
                        'its number from 0 and their count, such as 0/4.')
    return int(number), int(shards)


def image_and_checksum(dataset: Any,
                       index: int) -> tuple[np.ndarray | None, int]:
    """An image, RGB, or None if it is unreadable, and its file's checksum."""
    from sbam_mm.visualization.pixels import as_picture
    info = dataset.prepare_data(index)
    image = None if info is None else info['img']
    if image is not None:
        # Of other channels than BGR the back-ends see what is drawn.
        image = np.ascontiguousarray(
            image[..., ::-1] if image.shape[2] == 3 else as_picture(image))
    try:
        content = read_regular_file(
            dataset.get_data_info(index)['img_path'],
            getattr(dataset, 'backend_args', None))
    except OSError:
        # No file, so that nothing can be compared later: any number but 0.
        content = b'' if image is None else image.tobytes()
    return image, checksum(content)


def generate(args: argparse.Namespace, dataset: Any) -> SegmentMaps | None:
    """Make the maps of a shard; all of them, if it was the last."""
    # Before a file is begun that others would have to agree with.
    shard = parse_shard(args.shard)
    check_kept(args.max_masks, args.keep)
    grid = sides(args.size[0] if len(args.size) == 1 else tuple(args.size))
    try:
        backend = BACKENDS[args.backend](**args.option)
    except TypeError as error:
        raise UserError(f'the back-end {args.backend} has no such option '
                        f'({error}); see --help.') from error
    details = dict(
        backend=args.backend,
        settings=backend.settings,
        max_masks=args.max_masks,
        keep=args.keep)
    writer = SegmentWriter(args.out, dataset, grid, details, args.force)
    if writer.complete:
        print(f'{args.out} is complete already; --force makes it again.')
        return SegmentMaps(args.out)
    todo = writer.todo(shard)
    unreadable = 0
    start = time.perf_counter()
    for index in track(todo, description=f'Segments {args.shard}'):
        image, check = image_and_checksum(dataset, index)
        if image is None:
            unreadable += 1
            ids = np.zeros(grid, np.uint8)
        else:
            ids = id_map(backend(image), args.max_masks, args.keep)
        writer.write(index, nearest_crop(ids, WHOLE, grid), check)
    seconds = (time.perf_counter() - start) / max(len(todo), 1)
    print(f'{len(todo)} images, {1000 * seconds:.1f} ms each; {unreadable} '
          'unreadable ones have no masks.')
    if not writer.publish():
        left = int((~writer.finished()).sum())
        print(f'{left} images are left to other shards; the last one to '
              f'finish writes {args.out}.')
        return None
    return SegmentMaps(args.out)


def verify(args: argparse.Namespace, dataset: Any) -> SegmentMaps:
    """Stop at the first image that is not the one of its map."""
    maps = SegmentMaps(args.out)
    image_list = ImageList.of(dataset)
    if len(dataset) != len(maps.maps):
        raise UserError(
            f'{args.out} has {len(maps.maps)} maps, but {args.data} has '
            f'{len(dataset)} images; make the maps again with --force, or '
            'name the images they were made of.')
    compared = sum(
        maps.verify(index, dataset.get_data_info(index)['img_path'])
        for index in track(range(image_list.images), description='Checksums'))
    print(f'{compared} of {image_list.images} images are those of the maps; '
          'the others have no checksum or are no files.')
    return maps


def summary(maps: SegmentMaps) -> str:
    """How many masks, and how much of the images they cover."""
    counts = np.array([len(np.unique(ids[ids > 0])) for ids in maps.maps])
    numbers, images = np.unique(counts, return_counts=True)
    covered = np.mean([(ids > 0).mean() for ids in maps.maps])
    return 'masks per image: ' + ', '.join(
        f'{number}: {count / len(counts):.1%}'
        for number, count in zip(numbers, images)
    ) + f'; {covered:.1%} of the area is in a mask.'


def preview(args: argparse.Namespace, dataset: Any,
            maps: SegmentMaps) -> None:
    """Eight images spread over the data set, and their segments."""
    from sbam_mm.segments.figures.outlines import segments_over
    from sbam_mm.visualization.output import picture_grid, save_figure
    rows: list[list] = [[], [], [], []]
    for place, index in enumerate(
            np.linspace(0, len(maps.maps) - 1, 8).astype(int)):
        image, _ = image_and_checksum(dataset, int(index))
        if image is None:
            image = np.zeros((*maps.info.grid, 3), np.uint8)
        ids = maps.maps[index]
        found = len(np.unique(ids[ids > 0]))
        pair = [(image, f'image {index}'),
                (segments_over(image, ids), f'{found} masks')]
        rows[place // 2] += pair
    save_figure(
        picture_grid(rows, ['image', 'segments'] * 2,
                     Path(args.out).name), args.preview)


def run(args: argparse.Namespace) -> None:
    """Do everything."""
    dataset = open_images(args.data, args.classes)
    if args.verify:
        maps: SegmentMaps | None = verify(args, dataset)
    else:
        maps = generate(args, dataset)
    if maps is None:
        return
    print(f'{args.out}: {summary(maps)}')
    if args.preview:
        preview(args, dataset, maps)
        print(f'Written: {args.preview}')


@tool
def main() -> None:
    run(parse_args())


if __name__ == '__main__':
    main()
