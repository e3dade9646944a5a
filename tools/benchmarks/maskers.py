#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What every masker costs, as a ratio to random masking in the same run.

    python tools/benchmarks/maskers.py --out docs/benchmarks/maskers_cpu

A training step (forward, backward, AdamW) of MAE is timed with every masker
in turns, on photographs. Two ratios are printed: of the whole step, and of
the step per visible token, because a masker that shows more tokens has more
to encode. Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    return step_parser(__doc__, 'maskers').parse_args()


import numpy as np
import paired
import torch
from mmpretrain.structures import DataSample
from steps import Step, crops, described, mae_parts, settings

from sbam_mm.registry import MODELS

BASELINE = 'RandomMasker'
OWN, MOMENTUM, FROZEN = 'own encoder', 'momentum teacher', 'frozen teacher'


def maskers(depth: int, heads: int) -> dict:
    """Masker configs and who they ask, by the name of their row."""
    attention = dict(ratio=0.75, probability=1.)
    gpa = dict(type='GPA', block=min(9, depth - 1), head=min(11, heads - 1))
    rows = {
        BASELINE: (dict(type='RandomMasker'), '-'),
        'BlockMasker': (dict(type='BlockMasker', ratio=0.75), '-'),
        'UniformMasker': (dict(type='UniformMasker'), '-'),
        'GridMasker': (dict(type='GridMasker'), '-'),
        'RandomRatioMasker': (dict(type='RandomRatioMasker'), '-'),
        'IJEPAMasker': (dict(type='IJEPAMasker'), '-'),
        'ColorMAEMasker': (dict(type='ColorMAEMasker'), '-'),
        'InverseBlockMasker': (dict(
            type='InverseBlockMasker', ratio=0.75), '-'),
        'InverseBlockMasker, CAPI': (dict(
            type='InverseBlockMasker', ratio=0.75, size=None), '-'),
        'SBM': (dict(type='SBM', rounding='floor'), 'input tokens'),
        'SBAM': (dict(type='SBAM'), 'input tokens'),
        "SBAM, scope='batch'": (dict(type='SBAM',
                                     scope='batch'), 'input tokens'),
        'IncomingMasker': (dict(type='IncomingMasker',
                                rounding='floor'), 'input tokens'),
    }
    for mode in ('high', 'hint', 'low'):
        rows[f'AttMask, {mode}'] = (dict(
            type='AttMask', mode=mode, source='self', **attention), OWN)
    rows['AttMask, high, teacher'] = (dict(
        type='AttMask', source='teacher', **attention), MOMENTUM)
    rows['MILANMasker'] = (dict(type='MILANMasker'), MOMENTUM)
    rows['AM'] = (dict(type='AM'), 'stored maps')
    rows['AMT'] = (dict(type='AMT'), 'stored maps')
    rows['GPA'] = (gpa, FROZEN)
    rows['GPA, own encoder'] = (dict(gpa, source='self'), OWN)
    rows['SelfGuidedMasker'] = (dict(
        type='SelfGuidedMasker', start_progress=0.), OWN)
    rows['CurriculumMasker'] = (dict(type='CurriculumMasker'), 'input tokens')
    rows['SemMAEMasker'] = (dict(type='SemMAEMasker'), 'part maps')
    return {
        name: (dict(masker, type=f'sbam_mm.{masker["type"]}'), source)
        for name, (masker, source) in rows.items()
        if masker['type'] in MODELS
    }


class AskingStep(Step):
    """A step whose masker may ask a teacher."""

    def __init__(self, parts: dict, masker: dict, source: str, *args):
        teacher = None
        if source == MOMENTUM:
            teacher = dict(type='sbam_mm.MomentumTeacher')
        elif source == FROZEN:
            # Frozen weights cost what they cost, whatever they are.
            teacher = dict(type='sbam_mm.MomentumTeacher', momentum=1.)
        model = MODELS.get('sbam_mm.MAE')(
            **parts, masker=masker, teacher=teacher)
        super().__init__(model, *args)
        if source == FROZEN:
            self.model.follow_student()
            self.model.follow_student = lambda: None

    @torch.no_grad()
    def collect(self) -> None:
        """What AMT's hook does with a batch."""
        with self.autocast:
            tokens = self.model.backbone.embed(self.batch)
            self.model.backbone.attention(tokens, -1)


def stored(batch: torch.Tensor, grid: tuple) -> list:
    """Attention and part maps as a pipeline brings them."""
    generator = np.random.default_rng(0)
    samples = []
    for _ in batch:
        sample = DataSample()
        sample.set_field(
            generator.random(grid, dtype=np.float32), 'attention_map')
        sample.set_field(
            generator.integers(0, 6, grid).astype(np.uint8), 'part_map')
        samples.append(sample)
    return samples


def table(result: dict) -> str:
    lines = [
        '# Cost of every masker in MAE', '',
        'A training step (forward, backward, AdamW) over the same step with '
        'random masking at 0.75, timed in turns in one process: median over '
        f'{result["rounds"]} rounds [quartiles]. "Per visible token" is the '
        'same divided by the tokens the encoder saw.', '',
        described(result),
        '', 'masker | asks | visible tokens | step | step per visible token',
        '---|---|---|---|---'
    ]
    for name, row in result['maskers'].items():
        lines.append(f'{name} | {row["source"]} | {row["visible"]:.1f} | '
                     f'{paired.Ratio(*row["step"])} | '
                     f'{paired.Ratio(*row["per_token"])}')
    collect = result['amt_collection']
    lines += [
        '', 'AMT and AM also collect their maps, once in 40 epochs: '
        f'{paired.Ratio(*collect["pass_over_step"])} of a training step per '
        f'image, that is {100 * collect["share_of_interval"]:.2f} % of the '
        '40 epochs, without reading the images.', ''
    ]
    return '\n'.join(lines)


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    parts = mae_parts(args)
    encoder, decoder = (parts[key].to(device) for key in ('backbone', 'neck'))
    grid = (args.size // args.patch, args.size // args.patch)
    batch = crops(args.batch, args.size).to(device)
    samples = stored(batch, grid)
    depth = len(encoder.layers)
    rows = maskers(depth, encoder.layers[0].attn.num_heads)
    learnt = [*encoder.parameters(), *decoder.parameters()]
    # One for all, as the parameters are; a rate of 0 keeps them as they are.
    optimizer = torch.optim.AdamW(
        [p for p in learnt if p.requires_grad], lr=0.)
    steps = {
        name: AskingStep(parts, masker, source, batch, optimizer, args.amp,
                         samples)
        for name, (masker, source) in rows.items()
    }
    visible = {name: [] for name in steps}

    def timed(name):
        steps[name]()
        visible[name].append(float(steps[name].visible))

    candidates = {name: (lambda name=name: timed(name)) for name in steps}
    candidates['collect'] = steps[BASELINE].collect
    times = paired.paired(candidates, args.rounds, device)
    shares = paired.ratios(times, BASELINE)
    result = dict(
        settings(args),
        maskers={},
        amt_collection=dict(
            pass_over_step=shares['collect'],
            share_of_interval=shares['collect'].median / 40),
        seconds=times)
    # Warm-up rounds show other tokens, which are not counted.
    base = visible[BASELINE][0] + 1
    for name, (_, source) in rows.items():
        counts = visible[name][-args.rounds:]
        per_token = [
            t / b * base / (count + 1) for t, b, count in zip(
                times[name], times[BASELINE], counts)
        ]
        result['maskers'][name] = dict(
            source=source,
            visible=sum(counts) / len(counts),
            step=shares[name],
            per_token=paired.quartiles(per_token))
    return result


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
