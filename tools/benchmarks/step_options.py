# Copyright (c) OpenMMLab. All rights reserved.
"""The command line of every benchmark of a training step."""
import argparse

from sbam_mm.command_line import ToolParser, device

# Of a token, by architecture.
WIDTHS = dict(tiny=192, small=384, base=768, large=1024)


def step_parser(doc: str, out: str, **defaults) -> argparse.ArgumentParser:
    parser = ToolParser(doc)
    parser.add_argument('--arch', choices=list(WIDTHS), default='small')
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
