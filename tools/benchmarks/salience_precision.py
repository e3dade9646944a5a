#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Salience alone: how its product is computed, how fast, and how far off.

    python tools/benchmarks/salience_precision.py --batch 512 \
        --out docs/benchmarks/salience_precision

Column sums of softmax(x x^T) in float32, TF32, bfloat16, and from two halves
of bfloat16 whose sum is the float32 number, timed by CUDA's events.
Tokens are photographs', embedded by a ViT with random weights, and random
ones for the long sequence. Errors are against float64; on a CPU, TF32 and
products of bfloat16 are rounded alike and multiplied in float32. Writes
OUT.json and OUT.md.
"""
import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, device, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--arch', nargs='+', default=['large', 'base'])
    parser.add_argument('--batch', type=int, default=512)
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument(
        '--length', type=int, default=4096, help='tokens of the long case')
    parser.add_argument(
        '--images', type=int, default=8, help='of the long case')
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--device', type=device, default='auto')
    parser.add_argument(
        '--out', default='work_dirs/benchmarks/salience_precision')
    return parser.parse_args()


import paired
import torch
from steps import crops
from torch import Tensor

from sbam_mm.masking import functional as F
from sbam_mm.registry import MODELS

BASELINE = 'float32'
# Of the tokens whose errors are computed.
SOME = 32


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """a bᵀ of bfloat16, in float32."""
    if a.is_cuda:
        return torch.bmm(a, b.mT, torch.float32)
    return a.float() @ b.mT.float()


def in_halves(x: Tensor) -> Tensor:
    """x = high + low, so x xᵀ = high highᵀ + high lowᵀ + its transpose."""
    high = x.bfloat16()
    mixed = multiply(high, (x - high).bfloat16())
    logits = multiply(high, high).add_(mixed).add_(mixed.mT)
    return F.outgoing_weight(logits)


def in_bfloat16(x: Tensor) -> Tensor:
    x = x.bfloat16()
    return F.outgoing_weight(multiply(x, x))


def in_tf32(plain: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same with 10 bits behind the point, and float32's sums."""

    def run(x: Tensor) -> Tensor:
        if not x.is_cuda:
            bits = x.view(torch.int32)
            return plain(((bits + 0x1000) & ~0x1fff).view(torch.float32))
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            return plain(x)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before

    return run


def in_float32(x: Tensor) -> Tensor:
    return F.outgoing_weight(F.affinity(x))


def candidates(plain: Callable[[Tensor], Tensor]) -> dict:
    """What takes turns, by name."""
    made = {BASELINE: plain, 'TF32': in_tf32(plain)}
    if plain is in_float32:
        made['bfloat16'] = in_bfloat16
        made['two halves of bfloat16'] = in_halves
    return made


def errors(run: Callable[[Tensor], Tensor], x: Tensor) -> dict:
    """Against float64: of the salience, and of SBM's masks of 3/4."""
    x = x[:SOME]
    exact = x.double()
    want = F.min_max(F.outgoing_weight(exact @ exact.mT))
    got = F.min_max(run(x)).double()
    generator = torch.Generator().manual_seed(0)
    noise = .5 * torch.rand(want.shape, generator=generator).to(want)
    keep = F.visible_count(x.shape[1], .75)
    other = (F.hide_top(got + noise, keep)
             != F.hide_top(want + noise, keep))
    return dict(error=float((got - want).abs().max()),
                masked_otherwise=float(other.double().mean()))


@torch.no_grad()
def photograph_tokens(arch: str, args: argparse.Namespace) -> Tensor:
    torch.manual_seed(0)
    encoder = MODELS.get('sbam_mm.MaskedViT')(
        arch=arch, img_size=args.size, patch_size=16)
    encoder.init_weights()
    encoder.to(args.device)
    return torch.cat([
        encoder.embed(part.to(args.device))
        for part in crops(args.batch, args.size).split(64)])


def measure(args: argparse.Namespace) -> dict:
    where = torch.device(args.device)
    cases = {f'ViT-{arch}': (photograph_tokens(arch, args), in_float32)
             for arch in args.arch}
    torch.manual_seed(0)
    cases['long'] = (
        .1 * torch.randn(args.images, args.length, 768, device=where),
        F.chunked_outgoing_weight)
    result = dict(environment=paired.environment(where), rounds=args.rounds,
                  cases={})
    with torch.no_grad():
        for case, (x, plain) in cases.items():
            runs = candidates(plain)
            calls = {name: lambda run=run, x=x: run(x)
                     for name, run in runs.items()}
            memory = {name: paired.peak_memory(call, where)
                      for name, call in calls.items()}
            times = paired.paired(
                calls, args.rounds, where, timed=paired.device_seconds)
            result['cases'][case] = dict(
                shape=list(x.shape),
                time=paired.ratios(times, BASELINE),
                bytes=memory,
                errors={name: errors(run, x) for name, run in runs.items()},
                seconds=times)
    return result


def table(result: dict) -> str:
    lines = [
        '# The product behind salience', '',
        'Column sums of softmax(x xᵀ) alone, time over float32\'s of the same '
        f'round, median over {result["rounds"]} rounds [quartiles]; largest '
        'error of the salience S against float64, and share of the tokens '
        'that SBM masks or shows otherwise, both over up to '
        f'{SOME} images. {paired.where(result["environment"])}'
    ]
    for name, case in result['cases'].items():
        lines += [
            '', f'## {name}: {" x ".join(map(str, case["shape"]))}', '',
            'how | ms | time over float32 | peak extra memory | error | '
            'masked otherwise', '---|---|---|---|---|---'
        ]
        for how, spent in case['seconds'].items():
            off = case['errors'][how]
            lines.append(
                f'{how} | {1e3 * paired.quartiles(spent).median:.3f} | '
                f'{paired.Ratio(*case["time"][how])} | '
                f'{case["bytes"][how] / 2**20:.0f} MiB | {off["error"]:.1e} | '
                f'{100 * off["masked_otherwise"]:.3f} %')
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
