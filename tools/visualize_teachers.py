#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Draw what several teachers attend to, on the same photographs.

    python tools/visualize_teachers.py photo.jpg \
        --teacher hf:facebook/dinov2-small --teacher timm:deit_tiny_patch16_224
    python tools/visualize_teachers.py photos \
        --teacher hf:facebook/dinov2-small head=2 head=mean gpa,head=sum
    python tools/visualize_teachers.py --config CONFIG --teacher epoch_100.pth

Behind a teacher stands what it is asked, one column for each: options of
AttentionSalience, such as "head=2,block=8" or "queries=all" (no class token);
a masker whose question it is, such as gpa or attmask; or a masker and options,
"gpa,head=sum". By default it is the class token's attention in the last block,
mean of the heads. Images, or folders of them, come first; without any,
photographs of scikit-image are drawn.
"""
import argparse
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_photographs,
    add_picture,
    add_trust,
    parses_first,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        'images', nargs='*', metavar='IMAGE', help='image files, or folders')
    parser.add_argument(
        '--teacher', nargs='+', action='append', required=True,
        metavar=('TEACHER', 'QUESTION'),
        help='once for each teacher: timm:NAME or hf:NAME, with =FILE for '
        'weights of your own; a folder that timm or transformers wrote; or a '
        'checkpoint of an encoder like the model; and what it is asked')
    add_photographs(parser)
    parser.add_argument(
        '--grid', type=whole(1), metavar='N',
        help='patches of a side, as of a student with so many (default: '
        "each teacher's own)")
    parser.add_argument(
        '--config', help='what a checkpoint is of, and the model of --masker '
        '(default: ViT-B/16)')
    parser.add_argument(
        '--masker', metavar='A,B,...',
        help='further columns with the salience of these maskers, which see '
        'nothing but the model itself')
    parser.add_argument(
        '--checkpoint', help='weights of the model of --masker (default: '
        'random)')
    parser.add_argument(
        '--seed', type=SEED, default=0, help='of random weights (default: 0)')
    add_picture(parser, 'teachers.png', '.png, .pdf or .svg')
    add_trust(parser)
    return parser.parse_args()


import numpy as np
from torch import nn

from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.evaluation.object_masks import find_images
from sbam_mm.masking import NoSalience
from sbam_mm.masking.named_maskers import choose_maskers, masker_label
from sbam_mm.visualization import (
    build_masker,
    center_crop,
    mask_images,
    model_from_config,
    named_images,
    save_figure,
)
from sbam_mm.visualization.fitted_maskers import fit_all
from sbam_mm.visualization.masks import mask_grids
from sbam_mm.visualization.teachers import (
    attention_figure,
    question,
    question_label,
    short_names,
    teacher_map,
)

NOTE = ('Every map is scaled to [0, 1] and shown as its square root, bright = '
        'most. Blocks and heads are counted from 0.')


def named_maskers(args: argparse.Namespace,
                  configured: dict | None) -> dict[str, nn.Module]:
    """The maskers of --masker, by name."""
    if not args.masker:
        return {}
    maskers = {masker_label(config): build_masker(config) for config in
               choose_maskers(args.masker.split(','), configured)}
    for name, masker in maskers.items():
        if isinstance(masker.salience, NoSalience):
            raise UserError(f'{name} has no salience to draw; leave it out '
                            'of --masker.')
    return maskers


def salience_maps(args: argparse.Namespace, model: nn.Module,
                  maskers: dict[str, nn.Module],
                  pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Of the model's maskers, by what stands above their columns."""
    height, width = map(int, model.backbone.img_size)
    seen = [center_crop(picture, (height, width)) for picture in pictures]
    source = Path(args.config).name if args.config else 'ViT-B/16'
    weights = Path(args.checkpoint).name if args.checkpoint else (
        f'random weights, seed {args.seed}')
    return {
        f'{name}\n{source}\n{weights}': mask_grids(
            model, mask_images(model, seen, masker, args.seed), seen[0])[1]
        for name, masker in maskers.items()
    }


def draw(args: argparse.Namespace) -> None:
    """Do everything."""
    if Path(args.out).suffix.lower() not in ('.png', '.pdf', '.svg'):
        raise UserError(f'--out {args.out} must end in .png, .pdf or .svg.')
    names, asked = zip(*(
        (name, [question(words) for words in words or ['attmask']])
        for name, *words in args.teacher))
    config = read_model_config(args.config) if args.config else VIT_BASE
    maskers = named_maskers(args, config.model.get('masker'))
    decoding = config_decoding(config)
    files = find_images(args.images, **decoding) if args.images else []
    images = named_images(files, args.photographs, **decoding)
    pictures = list(images.values())

    # All are loaded before any is asked, so that a wrong name stops early.
    teachers = []
    for name in names:
        model, _ = model_from_config(config, args.checkpoint, args.seed, name)
        teachers.append(model.teacher)
    model.teacher = None
    note = f'{NOTE} {fit_all(maskers, model)}'.strip()
    maps = {}
    for name, teacher, questions in zip(short_names(names), teachers, asked):
        for each in questions:
            try:
                found = teacher_map(teacher, each, pictures, model, args.grid)
            except UserError as error:
                raise UserError(f'{name} cannot be drawn: {error}') from error
            maps[f'{name}\n{question_label(each, teacher.depth)}'] = found
    maps |= salience_maps(args, model, maskers, pictures)
    save_figure(attention_figure(images, maps, note=note), args.out, args.dpi)


@tool
def main() -> None:
    args = parse_args()
    draw(args)
    print(f'Written: {args.out}')


if __name__ == '__main__':
    main()
