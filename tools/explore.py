#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Explore masks in a browser: images, maskers side by side, sliders.

    python tools/explore.py
    python tools/explore.py photo.jpg --compare sbam,attmask-high,gpa,random
    python tools/explore.py --config CONFIG --checkpoint PTH
    python tools/explore.py --work-dir work_dirs/sbam_small

Without images it begins with photographs that come with scikit-image. Without
--config the tokens come from a ViT-B/16 with random weights, as they are at
the first training step. With a checkpoint the page has reconstructions and
attention, too; with a work directory, a slider through its checkpoints.
"""
import argparse
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_teacher,
    add_trust,
    parses_first,
    share,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        'images', nargs='*', metavar='IMAGE', help='image files or folders')
    parser.add_argument(
        '--compare', metavar='A,B,...',
        help='one to four maskers to begin with')
    parser.add_argument(
        '--config', help='take model and masker options from this config')
    parser.add_argument('--checkpoint', help='weights of the model')
    parser.add_argument(
        '--work-dir', metavar='DIR',
        help='of a training, whose config and checkpoints are shown')
    add_teacher(parser)
    parser.add_argument(
        '--annotations', metavar='PATH',
        help='object masks of the images: a folder of PNG masks, a COCO or '
        'box JSON file, or an .npz (docs/studies.md)')
    parser.add_argument(
        '--progress', type=share, default=1., metavar='P',
        help='how much of a training is done, for maskers that change over '
        'it (default: 1, its end)')
    parser.add_argument(
        '--seed', type=SEED, default=0,
        help='of random weights and of the masks (default: 0)')
    parser.add_argument(
        '--host', default='127.0.0.1',
        help='address to listen at; 0.0.0.0 lets other machines in, and '
        'nothing asks them for a password (default: 127.0.0.1, this machine '
        'alone)')
    parser.add_argument(
        '--port', type=whole(1, 65535),
        help='default: the first free one from 7860')
    parser.add_argument(
        '--open', action='store_true', help='open the page in the browser')
    parser.add_argument(
        '--screenshots', metavar='DIR',
        help='write pictures of the page into this folder and end (needs '
        'playwright and Chromium)')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.explorer.moments import config_of, moments
from sbam_mm.explorer.page import Setup
from sbam_mm.explorer.screenshots import take_screenshots
from sbam_mm.explorer.serve import serve
from sbam_mm.explorer.session import MOST, Session
from sbam_mm.explorer.setup import add_images, first_maskers, named_maskers
from sbam_mm.visualization import model_from_config


def prepare(args: argparse.Namespace) -> Setup:
    """Model, images and maskers that the page begins with."""
    if args.work_dir and args.checkpoint:
        raise UserError('--work-dir shows all checkpoints of a training; '
                        'leave --checkpoint out.')
    path = args.config or (args.work_dir and config_of(args.work_dir))
    config = read_model_config(path) if path else VIT_BASE
    source = Path(path).name if path else 'ViT-B/16'
    steps = moments(args.work_dir, config) if args.work_dir else []
    model, _ = model_from_config(
        config, steps[-1].path if steps else args.checkpoint, args.seed,
        args.teacher)
    maskers = named_maskers(config.model.get('masker') if path else None)
    session = Session(model, config_decoding(config))
    keys = add_images(session, args.images, args.annotations)
    trained = bool(steps or args.checkpoint)
    weights = f'random weights (seed {args.seed}), as at the first step'
    if args.checkpoint:
        weights = f'weights of {Path(args.checkpoint).name}'
    elif steps:
        weights = f'checkpoints of {Path(args.work_dir).resolve().name}'
    height, width = session.size
    return Setup(
        session, keys, keys[:1] if not args.images else keys[:MOST], maskers,
        first_maskers(maskers, args.compare, trained),
        f'{source}, {weights}; {height} × {width} pixels in patches of '
        f'{model.backbone.patch_size}', args.seed,
        steps[-1].progress if steps else args.progress, steps, trained)


@tool
def main() -> None:
    args = parse_args()
    page = serve(prepare(args), args.host, args.port,
                 browser=args.open)
    if args.screenshots:
        written = take_screenshots(page.local_url, args.screenshots)
        print(f'Written: {", ".join(map(str, written))}')
        page.close()
        return
    print(f'Open {page.local_url} in a browser; Ctrl-C ends it.', flush=True)
    page.wait()


if __name__ == '__main__':
    main()
