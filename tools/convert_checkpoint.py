#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Write a checkpoint in the key names of another project.

    python tools/convert_checkpoint.py mae_vit_base.pth a.pth --to ours
    python tools/convert_checkpoint.py epoch_400.pth model.safetensors --to hf
    python tools/convert_checkpoint.py epoch_400.pth vit.pth --to timm
    python tools/convert_checkpoint.py epoch_400.pth out/mae-vit-b --to hf

DST is a file, or with --to hf and --to timm a folder (a name without ending)
that transformers or timm loads by itself: weights, config.json and a model
card, see docs/hub.md.

Reads sbam_mm's, mmpretrain's, and the official files of MAE, DINO, iBOT, timm
and Hugging Face's ViT and ViTMAE; the format is recognised. Keys that have no
place in the other format are listed.
"""
import argparse
import os
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sbam_mm.command_line import ToolParser, add_trust, parses_first, tool


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('source', metavar='SRC', help='file or URL to read')
    parser.add_argument(
        'target', metavar='DST',
        help='file to write: .pth, .pt, .bin, .safetensors; or with hf and '
        'timm a new folder')
    parser.add_argument(
        '--to', required=True,
        choices=('ours', 'mae', 'dino', 'timm', 'hf', 'hf-dinov2'))
    parser.add_argument(
        '--part',
        choices=('all', 'encoder'),
        default='all',
        help='"encoder" leaves the decoder out; timm and dino have none '
        '(default: all)')
    parser.add_argument(
        '--branch',
        choices=('teacher', 'student'),
        default='teacher',
        help='which one of a DINO or iBOT run (default: teacher)')
    parser.add_argument(
        '--grid',
        nargs=2,
        type=int,
        metavar=('ROWS', 'COLUMNS'),
        help='patches per column and per row that the positions are made '
        'for, where SRC does not say it and they are no square')
    parser.add_argument(
        '--config', help='of a folder: config the checkpoint was trained '
        'with, where it does not carry it (official files)')
    parser.add_argument(
        '--licence', '--license', metavar='ID', dest='licence',
        help='of a folder: licence that its model card states, e.g. '
        'apache-2.0 or cc-by-nc-4.0 (default: none is stated)')
    parser.add_argument(
        '--results', nargs='+', default=[], metavar='FILE',
        help='of a folder: results.json of tools/evaluate.py for the model '
        'card, beside those that lie by the checkpoint')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import file_hash
from sbam_mm.evaluation.image_sets import LARGE
from sbam_mm.files import (
    check_new,
    new_folder,
    write_atomically,
    write_json,
)
from sbam_mm.hub import (
    describe,
    hf_folder,
    matching_results,
    model_card,
    timm_folder,
)
from sbam_mm.models.checkpoint import (
    SUFFIXES,
    read_checkpoint,
    state_dict_of,
    write_weights,
)
from sbam_mm.models.checkpoint_formats import (
    FORMATS,
    Conversion,
    from_ours,
    listing,
    to_ours,
)
from sbam_mm.models.position_tables import stored_grids
from sbam_mm.models.stored_config import stored_options

FOLDERS = dict(hf=hf_folder, timm=timm_folder)
# What the projects' own loaders look for in a file of torch.
CONTAINER = dict(ours='state_dict', mae='model')


def grids_to_write(args: argparse.Namespace, checkpoint: Any,
                   state: Mapping[str, Any]) -> Collection[tuple[int, int]]:
    """The grids that the new file's positions are made for.

    Raises:
        UserError: If ``--grid`` has not as many patches as they.
    """
    if args.grid is None:
        return sorted(stored_grids(checkpoint))
    rows, columns = args.grid
    counts = {
        value.shape[1] - extra
        for key, value in state.items() if key.endswith('pos_embed')
        for extra in (0, 1, 2)
    }
    if min(args.grid) < 1 or rows * columns not in counts:
        raise UserError(
            f'--grid {rows} {columns} has {rows * columns} patches, which are '
            f'not those of the positions in {args.source}; correct it.')
    return [(rows, columns)]


def is_folder(args: argparse.Namespace) -> bool:
    """Whether DST will be a folder; stops if it can be neither."""
    name = Path(args.target)
    if args.target.endswith(SUFFIXES) and not name.is_dir():
        return False
    if args.to in FOLDERS and (not name.suffix or name.is_dir()
                               or args.target.endswith(os.sep)):
        check_new(name)
        return True
    raise UserError(f'{args.target} does not end in {", ".join(SUFFIXES)}; '
                    'choose one, or of hf and timm a folder, whose name ends '
                    'in / or has no dot.')


def training_config(args: argparse.Namespace,
                    checkpoint: Any) -> Mapping[str, Any]:
    """The config of the training: the one named, or the checkpoint's own."""
    config = (read_model_config(args.config).to_dict() if args.config
              else stored_options(checkpoint))
    if not (config and isinstance(config.get('model'), dict)):
        raise UserError(
            f'{args.source} does not carry the config of its training, which '
            'says how many heads it has; give it with --config.')
    return config


def write_folder(args: argparse.Namespace, checkpoint: Any,
                 state: Mapping[str, Any]) -> Conversion:
    """A folder for transformers or timm; returns what was written."""
    config = training_config(args, checkpoint)
    of = describe(state, config, args.part if args.to == 'hf' else 'encoder',
                  args.source)
    crop = 1. if min(of.image) < LARGE else 224 / 256
    written, files = FOLDERS[args.to](state, of, crop, args.branch,
                                      args.source)
    # Of a URL nothing is known beside it.
    digest = file_hash(args.source) if os.path.exists(args.source) else ''
    meta = checkpoint.get('meta') or {}
    results = matching_results(args.source, digest, args.branch, args.results)
    epochs = (config.get('train_cfg') or {}).get('max_epochs')
    card = model_card(
        Path(args.target).name, args.to, of, config, {
            'epochs': f'{meta["epoch"]} of {epochs}'
            if 'epoch' in meta and epochs else None,
            'iterations': meta.get('iter'),
            'seed': meta.get('seed'),
            'checkpoint': Path(args.source).name,
            'its SHA-256': digest or None,
        }, results, args.licence)
    with new_folder(args.target) as folder:
        write_weights(str(folder / 'model.safetensors'), written.state)
        for name, content in files.items():
            write_json(folder / name, content)
        write_atomically(folder / 'README.md', card.encode())
    return written


def write_file(args: argparse.Namespace, checkpoint: Any,
               state: Mapping[str, Any]) -> Conversion:
    """One file of weights; returns what was written."""
    written = from_ours(state, args.to, args.part, args.branch, args.source)
    weights: Any = OrderedDict(written.state)
    weights._metadata = OrderedDict(
        (str(i), dict(version=1, grid=list(grid))) for i, grid in enumerate(
            grids_to_write(args, checkpoint, state)))
    if args.to in CONTAINER and not args.target.endswith('.safetensors'):
        weights = {CONTAINER[args.to]: weights}
    write_weights(args.target, weights)
    return written


def convert(args: argparse.Namespace) -> str:
    """Do everything; returns what was done."""
    folder = is_folder(args)
    checkpoint = read_checkpoint(args.source)
    state = state_dict_of(checkpoint, args.source, args.branch)
    read = to_ours(state, args.source)
    if read.format is None:
        raise UserError(
            f'{args.source} has key names of no known format: '
            f'{listing(list(state))}; known are '
            f'{", ".join(layout.title for layout in FORMATS.values())}.')
    written = (write_folder if folder else write_file)(args, checkpoint,
                                                       read.state)
    # One line for all blocks.
    dropped = dict.fromkeys(
        re.sub(r'\.\d+\.', '.#.', key)
        for key in read.dropped + written.dropped)
    prefix = f' under "{read.prefix}"' if read.prefix else ''
    return (f'Read: {len(state)} tensors of {FORMATS[read.format].title}'
            f'{prefix}\n'
            f'Dropped: {", ".join(dropped) or "nothing"}\n'
            f'Written: {len(written.state)} tensors of '
            f'{FORMATS[args.to].title} to {args.target}')


@tool
def main() -> None:
    print(convert(parse_args()))


if __name__ == '__main__':
    main()
