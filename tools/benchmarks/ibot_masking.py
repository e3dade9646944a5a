#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What AttMask adds to a whole training step of iBOT.

    python tools/benchmarks/ibot_masking.py --batch 2 --local 10

iBOT of configs/_base_/models/ibot_vits.py with 2 global crops and local ones
of 96 pixels. AttMask over random masking *with the same counts*, view by view:
they are drawn once, each view's ratio from U(0.1, 0.5) and half of the views
whole, as in iBOT. Hints show a few tokens again, so "hint" masks fewer.
Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import WIDTHS, step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = step_parser(__doc__, 'ibot_masking', batch=2)
    parser.add_argument('--local', type=int, default=10, help='local crops')
    return parser.parse_args()


import paired
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from steps import GivenCounts, Step, crops, described, random_with, settings

from sbam_mm.masking import AttentionSalience, HintTopK, Masker
from sbam_mm.registry import MODELS

BASELINE = 'random'
RATIOS, WHOLE = (0.1, 0.5), 0.5
CONFIG = (Path(__file__).resolve().parents[2]
          / 'configs/_base_/models/ibot_vits.py')


def drawn_counts(views: int, tokens: int) -> torch.Tensor:
    """Visible tokens of every global view, int64 (views,)."""
    generator = torch.Generator().manual_seed(0)
    low, high = RATIOS
    ratio = low + (high - low) * torch.rand(views, generator=generator)
    masked = (ratio * tokens).floor().long()
    order = torch.randperm(views, generator=generator)
    masked[order[:int(WHOLE * views)]] = 0
    return tokens - masked


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    cfg = Config.fromfile(CONFIG).model
    cfg.backbone.update(
        arch=args.arch, img_size=args.size, patch_size=args.patch)
    cfg.head.in_dim = WIDTHS[args.arch]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg)
    model.init_weights()
    small = args.size * 3 // 7 // args.patch * args.patch
    views = [
        crops(args.batch, size).to(device)
        for size in [args.size] * 2 + [small] * args.local
    ]
    counts = drawn_counts(
        2 * args.batch, (args.size // args.patch)**2).to(device)
    maskers = {BASELINE: random_with(counts)}
    for mode in ('high', 'hint', 'low'):
        maskers[f'AttMask, {mode}'] = Masker(
            AttentionSalience(source='teacher'), GivenCounts(counts),
            HintTopK(mode))
    learnt = [p for p in model.parameters() if p.requires_grad]
    # Weights stay as they are, and with them what is attended to.
    step = IBOTStep(
        model.to(device), views, device,
        torch.optim.AdamW(learnt, lr=0., weight_decay=0.), args.amp)
    visible = dict.fromkeys(maskers, 0.)

    def timed(name: str) -> None:
        step.model.masker = maskers[name]
        step()
        visible[name] = step.visible

    times = paired.paired(
        {name: (lambda name=name: timed(name)) for name in maskers},
        args.rounds, device)
    return dict(
        settings(args),
        local_views=args.local,
        visible={name: float(number) for name, number in visible.items()},
        step=paired.ratios(times, BASELINE),
        seconds=times)


class IBOTStep(Step):
    """A step whose batch is a list of views, and whose loss has parts."""

    def __init__(self, model, views, device, optimizer, amp):
        self.model, self.optimizer = model.train(), optimizer
        self.batch = views
        self.autocast = torch.autocast(device.type, torch.bfloat16, amp)
        self.visible = torch.zeros(())

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            out = self.model.loss(self.batch)
        (out['loss_cls'] + out['loss_patch']).backward()
        self.optimizer.step()
        self.visible = out['visible_tokens']


def table(result: dict) -> str:
    lines = [
        '# What AttMask adds to a training step of iBOT', '',
        'A step (forward of student and teacher, backward, AdamW) on 2 global '
        f'and {result["local_views"]} local crops of every image over the '
        'same step with random masking of as many tokens of every view: '
        f'median over {result["rounds"]} rounds [quartiles].', '',
        described(result), '', 'masker | visible tokens of a global view | '
        'step', '---|---|---'
    ]
    for name, ratio in result['step'].items():
        lines.append(f'{name} | {result["visible"][name]:.1f} | '
                     f'{paired.Ratio(*ratio)}')
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
