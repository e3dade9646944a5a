#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""FLOPs, parameters and time per step of MAE and what is made of it.

    python tools/benchmarks/methods.py --arch base --amp
    python tools/benchmarks/methods.py --arch tiny --size 64 --rounds 3

Xi et al., GPA, ACM MM 2024, Table 9 gives FLOPs of 1.0, 1.3 and 1.1 times
MAE's, and learnt parameters of 1.0, 1.2 and 1.0 times, and does not say
whether FLOPs are of the forward pass or of a step: both are counted, by
torch.utils.flop_counter, the teachers' passes included. CrossMAE is beside
them, predicting all masked patches and a third. Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    return step_parser(__doc__, 'methods', arch='base').parse_args()


import paired
import torch
from steps import Step, crops, described, mae_parts, settings
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sbam_mm.registry import MODELS

BASELINE = 'MAE'
# FLOPs and learnt parameters over MAE's, in the paper.
TABLE_9 = {
    'MAE': (1.0, 1.0),
    'HPM': (1.3, 1.2),
    'GPA, as teacher': (1.1, 1.0),
    'GPA, as teacher and feature': (None, None),
    'CrossMAE': (None, None),
    'CrossMAE, a third': (None, None),
}


def method(name: str, args: argparse.Namespace) -> torch.nn.Module:
    """A method with an encoder and decoder of its own."""
    parts = mae_parts(args)
    if name == 'MAE':
        return MODELS.get('sbam_mm.MAE')(**parts)
    if name == 'HPM':
        parts['head'] = dict(parts['head'], norm_pix=False)
        return MODELS.get('sbam_mm.HPM')(**parts)
    depth = len(parts['backbone'].layers)
    if name.startswith('CrossMAE'):
        decoder = MODELS.get('sbam_mm.CrossDecoder')(
            img_size=args.size,
            patch_size=args.patch,
            embed_dim=parts['backbone'].embed_dims,
            looks_at=('input', *range(depth)),
            prediction=1 / 3 if 'third' in name else 1.)
        decoder.init_weights()
        return MODELS.get('sbam_mm.MAE')(**dict(parts, neck=decoder))
    heads = parts['backbone'].layers[0].attn.num_heads
    kind = 'GPAFeature' if 'feature' in name else 'MAE'
    model = MODELS.get(f'sbam_mm.{kind}')(
        **parts,
        masker=dict(
            type='sbam_mm.GPA', block=min(9, depth - 1),
            head=min(11, heads - 1)),
        # A frozen teacher costs what it costs, whatever its weights are.
        teacher=dict(type='sbam_mm.MomentumTeacher', momentum=1.))
    model.follow_student()
    model.follow_student = lambda: None
    return model


class SummedStep(Step):
    """Of a method whose losses may be several."""

    def forward(self) -> torch.Tensor:
        with self.autocast:
            out = self.model.loss(self.batch, self.samples)
        return self.model.parse_losses(out)[0]

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.forward().backward()
        self.optimizer.step()


def flops(step: SummedStep) -> dict:
    """Floating-point operations of a step and of its forward pass."""
    counts = {}
    # As matrix products, which are counted on every device.
    with sdpa_kernel(SDPBackend.MATH):
        for name, run in (('forward', step.forward), ('step', step)):
            with FlopCounterMode(display=False) as counter:
                run()
            counts[name] = counter.get_total_flops()
    return counts


def measure(args: argparse.Namespace) -> dict:
    """Everything, method by method."""
    device = torch.device(args.device)
    batch = crops(args.batch, args.size).to(device)
    steps, rows = {}, {}
    for name in TABLE_9:
        model = method(name, args).to(device)
        learnt = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learnt, lr=0., weight_decay=0.)
        steps[name] = SummedStep(model, batch, optimizer, args.amp)
        rows[name] = dict(
            parameters=sum(p.numel() for p in learnt),
            flops_per_image={
                part: count / args.batch
                for part, count in flops(steps[name]).items()
            })
    times = paired.paired(steps, args.rounds, device)
    shares = paired.ratios(times, BASELINE)
    for name, row in rows.items():
        row.update(step=shares[name],
                   seconds=paired.quartiles(times[name]).median)
    return dict(settings(args), methods=rows, seconds=times)


def table(result: dict) -> str:
    rows = result['methods']
    base = rows[BASELINE]
    lines = [
        '# MAE, HPM, GPA and CrossMAE: what a step costs', '',
        'GPA, ACM MM 2024, Table 9, on this machine. FLOPs of one image by '
        'torch.utils.flop_counter (a multiply-add is two), teachers '
        'included; a step is forward and backward. Times are of forward, '
        'backward and AdamW, in turns in one process, over MAE: median over '
        f'{result["rounds"]} rounds [quartiles].', '', described(result), '',
        'method | GFLOPs forward | over MAE | GFLOPs step | over MAE | '
        'paper | learnt parameters | over MAE | paper | ms per step | over '
        'MAE', '---|' * 10 + '---'
    ]
    for name, row in rows.items():
        cells = [name]
        for part in ('forward', 'step'):
            count = row['flops_per_image'][part]
            cells += [f'{count / 1e9:.2f}',
                      f'{count / base["flops_per_image"][part]:.2f}']
        paper = ['–' if x is None else f'{x:.1f}' for x in TABLE_9[name]]
        cells += [paper[0], f'{row["parameters"] / 1e6:.2f} M',
                  f'{row["parameters"] / base["parameters"]:.2f}', paper[1],
                  f'{1000 * row["seconds"]:.0f}',
                  str(paired.Ratio(*row['step']))]
        lines.append(' | '.join(cells))
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
