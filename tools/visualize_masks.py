#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Draw what a masker hides: image, salience map, masks at several ratios.

    python tools/visualize_masks.py photo.jpg --masker sbam
    python tools/visualize_masks.py --compare sbam,attmask-high,amt,gpa,random
    python tools/visualize_masks.py photo.jpg --config CONFIG --checkpoint PTH

Without images it draws photographs that come with scikit-image. Without
--config the tokens come from a ViT-B/16 with random weights, as they are at
the first training step. Maskers that would ask a teacher or stored maps go by
the model's own attention where it has none, and the figure says so.
"""
import argparse
import sys
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_photographs,
    add_picture,
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
        'images', nargs='*', metavar='IMAGE', help='image files')
    parser.add_argument(
        '--masker',
        help="e.g. sbam, attmask-hint, amt-throw-last; a wrong name lists all "
        "(default: the config's, or sbam)")
    parser.add_argument(
        '--compare',
        metavar='A,B,...',
        help='several maskers side by side instead of one')
    parser.add_argument(
        '--ratios',
        nargs='+',
        type=share,
        metavar='R',
        help='base ratios (default: 0.6 0.75 0.9, with --compare each '
        "masker's own)")
    parser.add_argument(
        '--progress', type=share, default=1., metavar='P',
        help='how much of a training is done, for maskers that change over '
        'it, such as gpa (default: 1, its end)')
    parser.add_argument(
        '--config', help='take model and masker options from this config')
    parser.add_argument('--checkpoint', help='weights of the model')
    add_teacher(parser)
    add_photographs(parser)
    parser.add_argument(
        '--size',
        type=whole(1),
        help="pixels of a side, a multiple of the patch size (default: the "
        "model's)")
    parser.add_argument(
        '--seed', type=SEED, default=0,
        help='of random weights and of the masks (default: 0)')
    add_picture(parser, 'masks.png', '.png or .html')
    add_trust(parser)
    return parser.parse_args()


from torch import nn

from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import config_decoding
from sbam_mm.evaluation.models import VIT_BASE
from sbam_mm.masking import MultiBlockSelection
from sbam_mm.masking.named_maskers import (
    OWN_RATIO,
    choose_maskers,
    masker_label,
)
from sbam_mm.visualization import (
    center_crop,
    labelled_maskers,
    mask_gallery,
    mask_table,
    model_from_config,
    named_images,
    save_figure,
    write_page,
)
from sbam_mm.visualization.fitted_maskers import changes_over_training, fit_all

RATIOS = (0.6, 0.75, 0.9)
# Pixels that a photograph needs to be recognised.
SHARP = 224
CAPTION = ('Masked patches are grey{thrown}. Salience is shown as its square '
           'root, bright = salient; "salient" is the share of patches above '
           'the threshold.')


def masker_configs(args: argparse.Namespace,
                   configured: dict | None) -> list[dict]:
    """The maskers asked for; the config's options go to its own masker."""
    if args.compare and args.masker:
        raise UserError('--masker and --compare exclude each other; put the '
                        'masker into the list of --compare.')
    names = args.compare or args.masker
    return choose_maskers(names.split(',') if names else [], configured)


def base_ratios(args: argparse.Namespace, configs: list[dict]) -> tuple:
    """The ratios asked for, or those that show most."""
    if args.ratios:
        return tuple(args.ratios)
    fixed = any(config['type'].removeprefix('sbam_mm.') in OWN_RATIO
                for config in configs)
    return (None, ) if args.compare or fixed else RATIOS


def caption(maskers: dict[str, nn.Module], changes: str,
            progress: float) -> str:
    """What the figure does not say by itself."""
    thrown = any(getattr(masker.selection, 'throw', 0.)
                 or isinstance(masker.selection, MultiBlockSelection)
                 for masker in maskers.values())
    text = CAPTION.format(
        thrown=', thrown ones dark and hatched' if thrown else '')
    if any(map(changes_over_training, maskers.values())):
        text += f' Schedules stand at {progress:.0%} of the training.'
    return f'{text} {changes}'.strip()


def draw(args: argparse.Namespace) -> str:
    """Do everything; returns a sentence on the weights used."""
    suffix = Path(args.out).suffix.lower()
    if suffix not in ('.png', '.html'):
        raise UserError(f'--out {args.out} must end in .png or .html.')
    config = read_model_config(args.config) if args.config else VIT_BASE
    source = Path(args.config).name if args.config else 'ViT-B/16'
    configs = masker_configs(args, config.model.get('masker'))
    maskers = labelled_maskers(configs, base_ratios(args, configs))

    model, report = model_from_config(config, args.checkpoint, args.seed,
                                      args.teacher)
    text = caption(maskers, fit_all(maskers, model), args.progress)
    patch = model.backbone.patch_size
    size = model.backbone.img_size
    if args.size is not None:
        if args.size < patch or args.size % patch:
            raise UserError(f'--size {args.size} is not a multiple of the '
                            f'patch size {patch}; choose one.')
        size = (args.size, args.size)
    size = (int(size[0]), int(size[1]))
    weights = (f'weights of {Path(args.checkpoint).name}' if args.checkpoint
               else f'random weights (seed {args.seed})')
    if args.teacher:
        weights += f', teacher {args.teacher}'

    # Small inputs are drawn with more pixels than the model sees.
    scale = max(1, round(SHARP / max(size)))
    images = {
        name: center_crop(image, (scale * size[0], scale * size[1]))
        for name, image in named_images(
            args.images, args.photographs, **config_decoding(config)).items()
    }
    options = dict(seed=args.seed, input_size=size, progress=args.progress)
    if suffix == '.png':
        save_figure(
            mask_gallery(
                model, maskers, images,
                title=f'{source}, {weights}, {size[0]} x {size[1]} pixels',
                note=text, **options), args.out, args.dpi)
    else:
        command = ' '.join(['python', *sys.argv])
        names = ', '.join(dict.fromkeys(map(masker_label, configs)))
        write_page(
            args.out,
            f'Masks: {names}',
            subtitle=f'{source}, {weights}; the model sees {size[0]} x '
            f'{size[1]} pixels in patches of {patch}',
            figures=[('Masks', text,
                      mask_table(model, maskers, images, **options))],
            commands=[('Command', command)])
    return f'{source}, {weights}' + (f': {report}' if report else '')


@tool
def main() -> None:
    args = parse_args()
    done = draw(args)
    print(f'{done}\nWritten: {args.out}')


if __name__ == '__main__':
    main()
