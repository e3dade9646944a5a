#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Write a checkpoint in the key names of another project.

    python tools/convert_checkpoint.py mae_vit_base.pth a.pth --to ours
    python tools/convert_checkpoint.py epoch_400.pth model.safetensors --to hf
    python tools/convert_checkpoint.py epoch_400.pth vit.pth --to timm

Reads sbam_mm's, mmpretrain's, and the official files of MAE, DINO, iBOT, timm
and Hugging Face's ViT and ViTMAE; the format is recognised. Keys that have no
place in the other format are listed.
"""
import argparse
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from sbam_mm.command_line import ToolParser, add_trust, parses_first, tool


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('source', metavar='SRC', help='file or URL to read')
    parser.add_argument(
        'target', metavar='DST',
        help='file to write: .pth, .pt, .bin, .safetensors')
    parser.add_argument(
        '--to', choices=('ours', 'mae', 'dino', 'timm', 'hf', 'hf-dinov2'),
        required=True)
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
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import (
    SUFFIXES,
    read_checkpoint,
    state_dict_of,
    write_weights,
)
from sbam_mm.models.checkpoint_formats import (
    FORMATS,
    from_ours,
    listing,
    to_ours,
)
from sbam_mm.models.position_tables import stored_grids

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


def convert(args: argparse.Namespace) -> str:
    """Do everything; returns what was done."""
    if not args.target.endswith(SUFFIXES):
        raise UserError(f'{args.target} does not end in '
                        f'{", ".join(SUFFIXES)}; choose one.')
    checkpoint = read_checkpoint(args.source)
    state = state_dict_of(checkpoint, args.source, args.branch)
    read = to_ours(state, args.source)
    if read.format is None:
        raise UserError(
            f'{args.source} has key names of no known format: '
            f'{listing(list(state))}; known are '
            f'{", ".join(layout.title for layout in FORMATS.values())}.')
    written = from_ours(read.state, args.to, args.part, args.branch,
                        args.source)
    weights: Any = OrderedDict(written.state)
    weights._metadata = OrderedDict(
        (str(i), dict(version=1, grid=list(grid))) for i, grid in enumerate(
            grids_to_write(args, checkpoint, read.state)))
    if args.to in CONTAINER and not args.target.endswith('.safetensors'):
        weights = {CONTAINER[args.to]: weights}
    write_weights(args.target, weights)
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
