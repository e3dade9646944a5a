# Copyright (c) OpenMMLab. All rights reserved.
"""Get a labelled image set and say which one it is.

Order: the folder given by --data (or DATA_ROOT), an earlier download,
CIFAR-10, Fashion-MNIST.

    python tools/prepare_data.py
    python tools/prepare_data.py --data /path/to/folder
"""
import argparse
import os

from sbam_mm.command_line import ToolParser, parses_first, tool


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
    return parser.parse_args()


from sbam_mm.datasets.sources import find_image_source


@tool
def main() -> None:
    args = parse_args()
    source = find_image_source(args.data, args.out)
    print(f'{source.name}: {source.num_train} training and {source.num_test} '
          f'test images in {source.num_classes} classes, '
          f'{source.image_size} pixels, {source.channels} channel(s)')
    print(f'DATA_ROOT={source.root}')


if __name__ == '__main__':
    main()
