#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Salience of a long sequence without the L x L matrix.

    python tools/benchmarks/salience_memory.py --length 4096 --dim 768

Time and peak extra memory of the chunked column sums over those of
softmax(x x^T) held as a whole. Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, device, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--images', type=int, default=1)
    parser.add_argument('--length', type=int, default=4096, help='tokens')
    parser.add_argument('--dim', type=int, default=768, help='channels')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument(
        '--device', type=device, default='auto')
    parser.add_argument('--out', default='work_dirs/benchmarks/salience')
    return parser.parse_args()


import paired
import torch

from sbam_mm.masking import functional as F


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    torch.manual_seed(0)
    # Of the size that tokens of a ViT-B have at the start.
    tokens = 0.3 * torch.randn(args.images, args.length, args.dim)
    tokens = tokens.to(device)
    whole = lambda: F.outgoing_weight(F.affinity(tokens))  # noqa: E731
    chunks = lambda: F.chunked_outgoing_weight(tokens)  # noqa: E731
    torch.testing.assert_close(chunks(), whole(), rtol=1e-5, atol=1e-6)
    candidates = dict(whole=whole, chunks=chunks)
    memory = {
        name: paired.peak_memory(run, device)
        for name, run in candidates.items()
    }
    times = paired.paired(candidates, args.rounds, device)
    return dict(
        environment=paired.environment(device),
        images=args.images,
        length=args.length,
        dim=args.dim,
        rounds=args.rounds,
        bytes=memory,
        memory=memory['chunks'] / memory['whole'],
        time=paired.ratios(times, 'whole')['chunks'],
        seconds=times)


def table(result: dict) -> str:
    megabytes = {name: n / 2**20 for name, n in result['bytes'].items()}
    return '\n'.join([
        '# Salience of long sequences', '',
        f'{result["images"]} x {result["length"]} tokens of '
        f'{result["dim"]} channels, float32; column sums of softmax(x x^T) '
        'in chunks of L / 32 queries over the matrix held as a whole, median '
        f'over {result["rounds"]} rounds [quartiles]. Both agree to 1e-5. '
        f'{paired.where(result["environment"])}', '',
        'peak extra memory | of the whole matrix | of the chunks | time',
        '---|---|---|---',
        f'{100 * result["memory"]:.1f} % | {megabytes["whole"]:.1f} MiB | '
        f'{megabytes["chunks"]:.1f} MiB | {paired.Ratio(*result["time"])}', ''
    ])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
