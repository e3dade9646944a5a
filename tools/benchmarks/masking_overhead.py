#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What salience masking adds to a whole training step of MAE.

    python tools/benchmarks/masking_overhead.py --arch large --amp

SBM and SBAM over random masking *with the same counts*, image by image: the
ratio is the price of looking at the tokens, not that of encoding more or
fewer of them. Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    return step_parser(__doc__, 'masking_overhead').parse_args()


import paired
import torch
from steps import described, random_with, settings, steps_of

# The masker and the random one that hides as many tokens of every image.
PAIRS = {'SBM': 'random as SBM', 'SBAM': 'random as SBAM'}


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    maskers = {
        'SBM': dict(type='sbam_mm.SBM', rounding='floor'),
        'SBAM': dict(type='sbam_mm.SBAM'),
        'random as SBM': dict(type='sbam_mm.RandomMasker', ratio=0.75),
        # Replaced below by the counts that SBAM arrives at.
        'random as SBAM': dict(type='sbam_mm.RandomMasker', ratio=0.75),
    }
    steps = steps_of(args, maskers)
    sbam = steps['SBAM']
    with torch.no_grad(), sbam.autocast:
        tokens = sbam.model.backbone.embed(sbam.batch)
        counts = sbam.model.mask(tokens, sbam.batch).visible_counts
    steps['random as SBAM'].model.masker = random_with(counts)
    times = paired.paired(steps, args.rounds, device)
    return dict(
        settings(args),
        visible=dict(
            least=int(counts.min()),
            most=int(counts.max()),
            mean=float(counts.float().mean())),
        overhead={
            masker: paired.ratios(
                {name: times[name] for name in (masker, random)},
                random)[masker]
            for masker, random in PAIRS.items()
        },
        seconds=times)


def table(result: dict) -> str:
    visible = result['visible']
    lines = [
        '# What salience masking adds to a training step', '',
        'A step (forward, backward, AdamW) over the same step with random '
        'masking of as many tokens of every image: median over '
        f'{result["rounds"]} rounds [quartiles].', '',
        described(result), '', 'masker | visible tokens | step', '---|---|---',
        f'SBM | 49 | {paired.Ratio(*result["overhead"]["SBM"])}'
        if result['image_size'] == 224 and result['patch_size'] == 16 else
        f'SBM | 0.25 L | {paired.Ratio(*result["overhead"]["SBM"])}',
        f'SBAM | {visible["least"]} to {visible["most"]}, mean '
        f'{visible["mean"]:.1f} | {paired.Ratio(*result["overhead"]["SBAM"])}',
        ''
    ]
    return '\n'.join(lines)


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
