#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Where the time of a pre-training step goes on a GPU, kernel by kernel.

    python tools/benchmarks/profile_step.py --arch large --batch 256 --compile

The step of configs/sbam_mae_vitb_400e.py as pretrain_step.py builds it, under
torch's profiler. Prints the share of each kind of kernel, the kernels that
take longest, and how long the device had nothing to do. Writes OUT.json and
OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = step_parser(__doc__, 'profile_step', rounds=3)
    parser.add_argument(
        '--compile', action='store_true', help='compile the layers')
    parser.add_argument(
        '--kernels', type=int, default=20, help='how many to list')
    return parser.parse_args()


import paired
import torch
from mmengine.registry import DefaultScope
from pretrain_step import SBAM, ConfigStep, ours
from steps import crops, described, settings
from torch.profiler import ProfilerActivity, profile

# The first kind with a word of the kernel's name, in lower case.
KINDS = {
    'matrix products': ('gemm', 'nvjet', 'cutlass', 'addmm', 'aten::mm',
                        'aten::bmm', 'sm90_xmma', 'splitk'),
    'attention': ('flash', 'fmha', 'attention', 'softmax'),
    'optimizer': ('adam', 'multi_tensor'),
    'convolution': ('conv', 'cudnn', 'nchw', 'nhwc'),
    'generated': ('triton',),
    'norms': ('layer_norm', 'layernorm', 'gamma_beta', 'batch_norm'),
    'copies and layout': ('memcpy', 'copy', 'cat', 'memset', 'fill', 'index',
                          'gather', 'scatter', 'sort'),
    'sums': ('reduce', 'sum'),
}


def kind_of(name: str) -> str:
    """The kind of a kernel, by its name."""
    return next((kind for kind, words in KINDS.items()
                 if any(word in name.lower() for word in words)),
                'element by element, other')


def busy_seconds(spans: list[tuple[float, float]]) -> float:
    """The length of a union of spans, (start, end) each."""
    total, until = 0., float('-inf')
    for start, end in sorted(spans):
        total += max(0., end - max(start, until))
        until = max(until, end)
    return total


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    images = crops(args.batch, args.size).to(device)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        step = ConfigStep(ours(args, SBAM), images, compiled=args.compile)
    for _ in range(5):
        step()
    cuda = device.type == 'cuda'
    whole = paired.quartiles(
        [paired.seconds(step, device) for _ in range(args.rounds)]).median
    with profile(activities=[
            ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as found:
        for _ in range(args.rounds):
            step()
        if cuda:
            torch.cuda.synchronize(device)
    spans: dict[str, list[tuple[float, float]]] = {}
    on_device = torch.autograd.DeviceType.CUDA
    for event in found.events():
        if not cuda or event.device_type == on_device:
            span = event.time_range
            spans.setdefault(event.name, []).append(
                (span.start / 1e6, span.end / 1e6))
    every = [span for of_kernel in spans.values() for span in of_kernel]
    kernels = {
        name: dict(seconds=sum(b - a for a, b in of_kernel) / args.rounds,
                   calls=len(of_kernel) / args.rounds)
        for name, of_kernel in spans.items()
    }
    kinds: dict[str, dict[str, float]] = {}
    for name, spent in kernels.items():
        row = kinds.setdefault(kind_of(name), dict(seconds=0., calls=0.))
        for key in row:
            row[key] += spent[key]
    return dict(
        settings(args),
        compiled=args.compile,
        step_seconds=whole,
        busy_seconds=busy_seconds(every) / args.rounds,
        kinds=kinds,
        kernels=kernels)


def rows(found: dict) -> list[str]:
    """The lines of a table, the longest first."""
    total = sum(row['seconds'] for row in found.values())
    return [
        f'{name[:100]} | {1e3 * row["seconds"]:.2f} | '
        f'{100 * row["seconds"] / total:.1f} % | {row["calls"]:.0f}'
        for name, row in sorted(
            found.items(), key=lambda item: -item[1]['seconds'])
    ]


def table(result: dict) -> str:
    calls = sum(row['calls'] for row in result['kinds'].values())
    head = ' | ms per step | share | calls', '---|---|---|---'
    return '\n'.join([
        '# Where a pre-training step spends its time', '',
        f'SBAM, layers {"" if result["compiled"] else "not "}compiled. '
        f'{described(result)}', '',
        f'A step takes {1e3 * result["step_seconds"]:.1f} ms without the '
        f'profiler; under it the device is busy for '
        f'{1e3 * result["busy_seconds"]:.1f} ms with {calls:.0f} kernels and '
        'copies.', '', f'kind{head[0]}', head[1], *rows(result['kinds']), '',
        f'kernel{head[0]}', head[1],
        *rows(result['kernels'])[:result['shown']], ''
    ])


def main() -> None:
    args = parse_args()
    paired.report(
        args, lambda args: dict(measure(args), shown=args.kernels), table)


if __name__ == '__main__':
    main()
