# Copyright (c) OpenMMLab. All rights reserved.
"""Get a labelled image set and say which one it is.

Order: the folder given by --data (or DATA_ROOT), an earlier download,
CIFAR-10, Fashion-MNIST.

    python tools/prepare_data.py
    python tools/prepare_data.py --data /path/to/folder

With --per-class, a copy of the first images of each class, for studies that
must be cheap:

    python tools/prepare_data.py --data data/cifar10 --per-class 1000 500

With --stl10 and --masks: STL-10 and the objects in it, for the studies of
configs/studies/small (docs/studies.md).

    python tools/prepare_data.py --stl10 data --masks STL10_Segmentation
"""
import argparse
import os

from sbam_mm.command_line import ToolParser, parses_first, tool, whole


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        '--data',
        default=os.environ.get('DATA_ROOT'),
        help='folder with train/<class>/ and test/<class>/ or val/<class>/ '
        '(default: the environment variable DATA_ROOT)')
    parser.add_argument(
        '--out', default='data', help='where downloads go (default: data)')
    parser.add_argument(
        '--per-class', type=whole(1), nargs=2, metavar=('TRAIN', 'TEST'),
        help='copy the first so many images of each class to a folder in OUT')
    parser.add_argument(
        '--stl10', help="folder with torchvision's stl10_binary")
    parser.add_argument(
        '--masks', help='folder with the JSON files of STL10_Segmentation')
    args = parser.parse_args()
    if bool(args.stl10) != bool(args.masks):
        parser.error('--stl10 and --masks belong together')
    return args


from sbam_mm.datasets.sources import copy_first_images, find_image_source
from sbam_mm.datasets.stl10_objects import prepare_stl10


@tool
def main() -> None:
    args = parse_args()
    if args.stl10:
        print('DATA_ROOT='
              f'{prepare_stl10(args.stl10, args.masks, args.out)}')
        return
    source = find_image_source(args.data, args.out)
    if args.per_class:
        source = copy_first_images(source, args.out, *args.per_class)
    print(f'{source.name}: {source.num_train} training and {source.num_test} '
          f'test images in {source.num_classes} classes, '
          f'{source.image_size} pixels, {source.channels} channel(s)')
    print(f'DATA_ROOT={source.root}')


if __name__ == '__main__':
    main()
