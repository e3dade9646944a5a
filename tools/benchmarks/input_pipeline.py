#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Images per second and core from a JPEG file to a 224-pixel crop.

    python tools/benchmarks/input_pipeline.py --data photographs \
        --out docs/benchmarks/input_pipeline

mmpretrain's pipeline of MAE, this project's, and parts of them take turns on
the same files, in one process with one thread. Without --data the photographs
are scikit-image's, saved at 500 x 375. Writes OUT.json and OUT.md.
"""
import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--data', help='a folder with JPEG files')
    parser.add_argument(
        '--source', help='what they are, for the table', default=None)
    parser.add_argument('--images', type=int, default=120, help='at the most')
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--rounds', type=int, default=11)
    parser.add_argument(
        '--device', default='cpu', help='ignored: all of it is CPU work')
    parser.add_argument('--out', default='work_dirs/benchmarks/input_pipeline')
    return parser.parse_args()


import cv2
import numpy as np
import paired
import torch
from mmcv.transforms import Compose
from mmpretrain.registry import TRANSFORMS
from PIL import Image, ImageOps, features

from sbam_mm.datasets import EncodedImage, ImageFolder
from sbam_mm.datasets.reading import decoding
from sbam_mm.visualization.photographs import PHOTOGRAPHS, photograph

BASELINE = 'mmpretrain'
QUALITY = 92
ENDINGS = ('.jpg', '.jpeg')


def crop(**options) -> dict:
    """MAE's crop."""
    return dict(
        crop_ratio_range=(.2, 1.),
        backend='pillow',
        interpolation='bicubic',
        **options)


def tail() -> list:
    return [dict(type='RandomFlip', prob=.5), dict(type='PackInputs')]


def photographs(folder: Path) -> None:
    """scikit-image's photographs as JPEG files of 500 x 375 pixels."""
    for name in PHOTOGRAPHS:
        image = ImageOps.fit(
            Image.fromarray(photograph(name)), (500, 375),
            Image.Resampling.BICUBIC)
        image.save(folder / f'{name}.jpg', quality=QUALITY)


def describe(files: list) -> dict:
    """What the photographs are like."""
    pixels = [np.prod(Image.open(file).size) for file in files]
    sizes = [Path(file).stat().st_size for file in files]
    return dict(
        images=len(files),
        megapixels=float(np.mean(pixels) / 1e6),
        kilobytes=float(np.mean(sizes) / 1e3),
        bits_per_pixel=float(8 * np.sum(sizes) / np.sum(pixels)))


def candidates(folder: str, files: list, size: int) -> tuple[dict, dict]:
    """What takes turns: a call each, and the crops it makes of a file."""
    mmpretrain = Compose([
        TRANSFORMS.build(step) for step in (
            dict(type='LoadImageFromFile'),
            dict(crop(scale=size), type='RandomResizedCrop'), *tail())
    ])

    def dataset(loader: str, repeats: int = 1, **options) -> ImageFolder:
        step = dict(crop(scale=size, **options), type=f'sbam_mm.{loader}')
        return ImageFolder(
            folder, with_label=False, pipeline=[step, *tail()],
            repeats=repeats, extensions=ENDINGS)

    fast = dict(decode='fast')
    data = {
        'ImageFolder, RandomResizedCrop': (dataset('RandomResizedCrop'), 1),
        "decode='exact'": (dataset('LoadRandomResizedCrop'), 1),
        "decode='fast'": (dataset('LoadRandomResizedCrop', **fast), 1),
        "decode='fast', repeats=2":
        (dataset('LoadRandomResizedCrop', 2, **fast), 2),
        "decode='fast', repeats=4":
        (dataset('LoadRandomResizedCrop', 4, **fast), 4),
    }
    contents = [np.fromfile(file, np.uint8) for file in files]

    def pass_over(images: ImageFolder) -> None:
        for index in range(len(images)):
            images[index]

    def theirs() -> None:
        for file in files:
            mmpretrain(dict(img_path=file))

    def decode(flag: int) -> None:
        for content in contents:
            cv2.imdecode(content, flag)

    runs = {BASELINE: theirs}
    for name, (images, _) in data.items():
        runs[name] = lambda images=images: pass_over(images)
    if decoding.simplejpeg:
        images, _ = data["decode='fast'"]
        runs["decode='fast', without simplejpeg"] = without_simplejpeg(
            lambda: pass_over(images))
    runs['part: cv2.imdecode'] = lambda: decode(cv2.IMREAD_COLOR)
    # An eighth needs one coefficient of 64, yet reads them all.
    runs['part: entropy decoding'] = lambda: decode(
        cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return runs, {name: crops for name, (_, crops) in data.items()}


def without_simplejpeg(run: Callable[[], None]) -> Callable[[], None]:
    """The same as if it were not installed."""

    def changed() -> None:
        kept, decoding.simplejpeg = decoding.simplejpeg, None
        try:
            run()
        finally:
            decoding.simplejpeg = kept

    return changed


def difference(files: list, size: int) -> dict:
    """How far the pixels of 'fast' are from those of 'exact'."""
    exact, fast = (
        TRANSFORMS.build(
            dict(
                crop(scale=size, decode=decode),
                type='sbam_mm.LoadRandomResizedCrop'))
        for decode in ('exact', 'fast'))
    off = []
    for seed, file in enumerate(files):
        made = []
        for transform in (exact, fast):
            np.random.seed(seed)
            image = EncodedImage(Path(file).read_bytes())
            made.append(transform(dict(encoded=image))['img'].astype(int))
        off.append(np.abs(made[0] - made[1]))
    means = [float(image.mean()) for image in off]
    square = np.mean([(image**2).mean() for image in off])
    return dict(
        mean=float(np.mean(means)),
        worst_image=max(means),
        largest=int(max(image.max() for image in off)),
        psnr=float(10 * np.log10(255**2 / max(square, 1e-9))))


def table(result: dict) -> str:
    where, data = result['environment'], result['data']
    lines = [
        '# Input pipeline', '',
        f'From a JPEG file in the page cache to a packed {result["size"]}-'
        'pixel crop (crop ratio 0.2 to 1, Pillow\'s bicubic filter, flip), '
        'timed in turns in one process with one thread: median over '
        f'{result["rounds"]} rounds [quartiles]. The baseline is the pipeline '
        "of mmpretrain's MAE configs.", '',
        f'{data["images"]} photographs ({result["source"]}) of '
        f'{data["megapixels"]:.2f} megapixels, {data["kilobytes"]:.0f} kB, '
        f'{data["bits_per_pixel"]:.1f} bits per pixel on average. '
        f'{where["hardware"]}, torch {where["torch"]}, mmengine '
        f'{where["mmengine"]}, mmpretrain {where["mmpretrain"]}, Pillow '
        f'{where["pillow"]} with libjpeg-turbo {where["libjpeg_turbo"]}, '
        f'simplejpeg {where["simplejpeg"]}, OpenCV {where["opencv"]}, '
        f'Python {where["python"]}, {where["date"]}; one-minute load '
        f'{" to ".join(f"{load:.1f}" for load in result["load"])} on '
        f'{where["cores"]} cores.',
        '', 'pipeline | images/s per core | images/s over mmpretrain\'s',
        '---|---|---'
    ]
    for name, row in result['pipelines'].items():
        lines.append(f'{name} | {row["images_per_second"]:.0f} | '
                     f'{paired.Ratio(*row["speed_up"])}')
    off = result['difference']
    lines += [
        '', 'The target is 2. The parts say what bounds it: `cv2.imdecode` '
        'only decodes the files, and entropy decoding, which no crop and no '
        'smaller scale avoids for the rows above the end of the crop, is '
        'the part of it that decoding at an eighth still has to do. With '
        '`repeats`, images are crops, of which as many share a decoding.', '',
        "Pixels of `decode='fast'` against `'exact'`, same boxes: mean "
        f'absolute difference {off["mean"]:.3f} of 255 (worst image '
        f'{off["worst_image"]:.2f}), largest {off["largest"]}, PSNR '
        f'{off["psnr"]:.1f} dB.', ''
    ]
    return '\n'.join(lines)


def measure(args: argparse.Namespace, folder: str) -> dict:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    files = sorted(
        str(file) for file in Path(folder).rglob('*')
        if file.suffix.lower() in ENDINGS)[:args.images]
    with tempfile.TemporaryDirectory() as links:
        # One folder with the chosen files alone.
        for file in files:
            Path(links, Path(file).name).symlink_to(Path(file).resolve())
        files = [str(Path(links, Path(file).name)) for file in files]
        runs, crops = candidates(links, files, args.size)
        cpu = torch.device('cpu')
        load = [os.getloadavg()[0]]
        times = paired.paired(runs, args.rounds, cpu)
        load.append(os.getloadavg()[0])
        off = difference(files, args.size)
        data = describe(files)
    environment = dict(
        paired.environment(cpu),
        cores=torch.multiprocessing.cpu_count(),
        pillow=Image.__version__,
        libjpeg_turbo=features.version('libjpeg_turbo'),
        opencv=cv2.__version__,
        simplejpeg=metadata.version('simplejpeg')
        if decoding.simplejpeg else 'not installed')
    result = dict(
        environment=environment, source=args.source, data=data, load=load,
        size=args.size, rounds=args.rounds, pipelines={}, difference=off,
        seconds=times)
    for name, spent in times.items():
        each = crops.get(name, 1)
        result['pipelines'][name] = dict(
            images_per_second=each * len(files) /
            paired.quartiles(spent).median,
            speed_up=paired.quartiles(
                [each * b / t for t, b in zip(spent, times[BASELINE])]))
    return result


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as made:
        if args.data is None:
            photographs(Path(made))
            args.source = "scikit-image's, saved at 500 x 375, quality " \
                f'{QUALITY}'
        args.source = args.source or Path(args.data).name
        result = measure(args, args.data or made)
    paired.save(args.out, result, table(result))


if __name__ == '__main__':
    main()
