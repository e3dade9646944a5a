#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Write a page about a training, or about several to compare.

    python tools/report.py work_dirs/sbam_small
    python tools/report.py work_dirs/sbam_small work_dirs/mae_small

One HTML file that needs nothing beside it: curves of what was logged, masks
and reconstructions of the same images at every checkpoint that was kept, the
numbers of every epoch, and the config. Nothing of the folder is run; --import
names modules that the run had in custom_imports.
"""
import argparse
import sys
from importlib import import_module
from pathlib import Path

from sbam_mm.command_line import ToolParser, add_trust, parses_first, tool


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR',
        help='work directory of a training')
    parser.add_argument(
        '--images', nargs='+', metavar='IMAGE', default=(),
        help="image files to draw (default: six of the run's own)")
    parser.add_argument(
        '--out',
        help='.html file (default: report.html in the first WORK_DIR)')
    parser.add_argument(
        '--import', nargs='+', metavar='MODULE', default=(), dest='modules',
        help="modules of your own with the run's masker or model, as in its "
        'custom_imports')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.errors import UserError
from sbam_mm.visualization import (
    build_report,
    load_images,
    run_labels,
    run_result,
    training_sections,
)


@tool
def main() -> None:
    args = parse_args()
    out = Path(args.out or Path(args.work_dirs[0]) / 'report.html')
    if out.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f'--out {args.out} must end in .html.')
    if len({Path(path).resolve() for path in args.work_dirs}) < len(
            args.work_dirs):
        raise UserError('a work directory is given twice; leave one out.')
    for name in args.modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(
                f'--import {name}: Python does not find {error.name!r}; put '
                'its folder into PYTHONPATH.') from error
    labels = run_labels(args.work_dirs)
    folders = dict(zip(labels, args.work_dirs))
    results = [run_result(*each) for each in folders.items()]
    images = load_images(args.images) if args.images else None
    build_report(
        out, results, figures=training_sections(folders, images),
        provenance=dict(
            {f'Work directory of {label}': path
             for label, path in folders.items()},
            command=' '.join(['python', *sys.argv])),
        title=' and '.join(labels))
    print(f'Report: {out}')


if __name__ == '__main__':
    main()
