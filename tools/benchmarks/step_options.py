# Copyright (c) OpenMMLab. All rights reserved.
"""The command line of every benchmark of a training step."""
import argparse

from sbam_mm.command_line import ToolParser, device

ARCHS = ('tiny', 'small', 'base', 'large')


def step_parser(doc: str, out: str, **defaults) -> argparse.ArgumentParser:
    """The options of every benchmark of a training step."""
    parser = ToolParser(doc)
    parser.add_argument('--arch', choices=ARCHS, default='small')
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--patch', type=int, default=16, help='pixels')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument(
        '--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--device', type=device, default='auto')
    parser.add_argument('--out', default=f'work_dirs/benchmarks/{out}')
    parser.set_defaults(**defaults)
    return parser
