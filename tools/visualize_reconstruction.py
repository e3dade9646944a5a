#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Draw what a pre-trained model makes of hidden patches.

    python tools/visualize_reconstruction.py CONFIG CHECKPOINT photo.jpg
    python tools/visualize_reconstruction.py CONFIG CHECKPOINT --out out.png

Rows of original, masked and reconstruction (hidden patches predicted, visible
ones pasted). Without images it draws photographs of scikit-image.
"""
import argparse
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_picture,
    add_trust,
    parses_first,
    share,
    tool,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights')
    parser.add_argument(
        'images', nargs='*', metavar='IMAGE', help='image files')
    parser.add_argument(
        '--ratio', type=share, help="base ratio (default: the config's)")
    parser.add_argument(
        '--seed', type=SEED, default=0, help='of the masks (default: 0)')
    add_picture(parser, 'reconstruction.png', '.png')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.visualization import (
    build_masker,
    center_crop,
    model_from_config,
    named_images,
    reconstruction_figure,
    save_figure,
)


def draw(args: argparse.Namespace) -> str:
    """Do everything; returns a sentence on how the checkpoint fitted."""
    if Path(args.out).suffix.lower() != '.png':
        raise UserError(f'--out {args.out} must end in .png.')
    config = read_model_config(args.config)
    model, report = model_from_config(config, args.checkpoint, args.seed)
    if not hasattr(model, 'reconstruct'):
        raise UserError(f'{type(model).__name__} predicts no pixels; give a '
                        "config with model.type='sbam_mm.MAE'.")
    if args.ratio is not None:
        if 'masker' not in config.model:
            raise UserError(f'{args.config} names no masker whose ratio '
                            'could be set; leave --ratio out.')
        model.masker = build_masker(config.model.masker, args.ratio)
    size = tuple(int(side) for side in model.backbone.img_size)
    images = {
        name: center_crop(image, size) for name, image in named_images(
            args.images, **config_decoding(config)).items()
    }
    figure = reconstruction_figure({'': model}, images, args.seed)
    save_figure(figure, args.out, args.dpi)
    return f'{Path(args.checkpoint).name}: {report}'


@tool
def main() -> None:
    args = parse_args()
    done = draw(args)
    print(f'{done}\nWritten: {args.out}')


if __name__ == '__main__':
    main()
