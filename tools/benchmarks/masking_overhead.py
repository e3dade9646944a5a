#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What salience masking adds to a whole training step of MAE.

    python tools/benchmarks/masking_overhead.py --arch large --amp

SBM and SBAM against random masking *with the same counts*, image by image: the
price of looking at the tokens, not that of encoding more or fewer of them.
Whole steps take turns, and so do the maskers alone, whose difference is given
as a share of the step: a ratio of 1.003 is lost in the noise of whole steps.
Writes OUT.json and OUT.md.
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
from steps import Step, described, random_with, settings, steps_of

# The masker and the random one that hides as many tokens of every image.
PAIRS = {'SBM': 'random as SBM', 'SBAM': 'random as SBAM'}


@torch.no_grad()
def masking(step: Step, tokens: torch.Tensor) -> None:
    """The masker alone, on embedded patches."""
    with step.autocast:
        step.model.mask(tokens, step.batch)


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
    alone = paired.paired(
        {name: (lambda step=step: masking(step, tokens))
         for name, step in steps.items()},
        args.rounds, device, timed=paired.device_seconds)
    step_time = {
        name: paired.quartiles(spent).median for name, spent in times.items()
    }
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
        share_of_step={
            masker: paired.quartiles([
                (own - other) / step_time[random]
                for own, other in zip(alone[masker], alone[random])
            ])
            for masker, random in PAIRS.items()
        },
        seconds=times,
        seconds_alone=alone)


def table(result: dict) -> str:
    visible = result['visible']
    lines = [
        '# What salience masking adds to a training step', '',
        'A step (forward, backward, AdamW) over the same step with random '
        'masking of as many tokens of every image, and what the masker alone '
        'takes more than the random one, as a share of that step: median '
        f'over {result["rounds"]} rounds [quartiles].', '',
        described(result), '',
        'masker | visible tokens | step | masker alone, % of the step',
        '---|---|---|---'
    ]
    same = result['image_size'] // result['patch_size']
    seen = dict(
        SBM=f'{same**2 // 4}',
        SBAM=f'{visible["least"]} to {visible["most"]}, mean '
        f'{visible["mean"]:.1f}')
    for masker, tokens in seen.items():
        share = paired.Ratio(
            *(100 * part for part in result['share_of_step'][masker]))
        lines.append(f'{masker} | {tokens} | '
                     f'{paired.Ratio(*result["overhead"][masker])} | {share}')
    lines.append('')
    return '\n'.join(lines)


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
