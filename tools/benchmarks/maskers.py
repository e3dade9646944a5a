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
import logging
import sys
import warnings
from pathlib import Path

# The stack warns about optional parts at import; none of them is used here.
warnings.filterwarnings('ignore')

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmpretrain.structures import DataSample  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))

import paired  # noqa: E402

from sbam_mm.registry import MODELS  # noqa: E402
from sbam_mm.visualization import photographs  # noqa: E402

ARCHS = ('tiny', 'small', 'base', 'large')
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
    rows['SemMAEMasker'] = (dict(type='SemMAEMasker'), 'part maps')
    return {
        name: (dict(masker, type=f'sbam_mm.{masker["type"]}'), source)
        for name, (masker, source) in rows.items()
        if masker['type'] in MODELS
    }


class Step:
    """One training step with one masker; models share encoder and decoder."""

    def __init__(self, parts: dict, masker: dict, source: str,
                 batch: torch.Tensor, samples: list, device: torch.device,
                 amp: bool, optimizer: torch.optim.Optimizer):
        teacher = None
        if source == MOMENTUM:
            teacher = dict(type='sbam_mm.MomentumTeacher')
        elif source == FROZEN:
            # Frozen weights cost what they cost, whatever they are.
            teacher = dict(type='sbam_mm.MomentumTeacher', momentum=1.)
        self.model = MODELS.get('sbam_mm.MAE')(
            **parts, masker=masker, teacher=teacher).to(device).train()
        if source == FROZEN:
            self.model.follow_student()
            self.model.follow_student = lambda: None
        self.optimizer = optimizer
        self.batch, self.samples = batch, samples
        self.autocast = torch.autocast(device.type, torch.bfloat16, amp)
        self.visible = 0.

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            out = self.model.loss(self.batch, self.samples)
        out['loss'].backward()
        self.optimizer.step()
        self.visible = float(out['visible_tokens'])

    @torch.no_grad()
    def collect(self) -> None:
        """What AMT's hook does with a batch."""
        with self.autocast:
            tokens = self.model.backbone.embed(self.batch)
            self.model.backbone.attention(tokens, -1)


def crops(number: int, size: int) -> torch.Tensor:
    """Normalised random crops of photographs, (B, 3, size, size)."""
    generator = np.random.default_rng(0)
    pictures = list(photographs().values())
    out = []
    for i in range(number):
        picture = pictures[i % len(pictures)]
        y, x = (generator.integers(side - size + 1)
                for side in picture.shape[:2])
        crop = picture[y:y + size, x:x + size]
        out.append(torch.from_numpy(crop.copy()).permute(2, 0, 1))
    return torch.stack(out).sub(120.).div(58.)


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
    """The result as a page."""
    where = result['environment']
    lines = [
        '# Cost of every masker in MAE', '',
        'A training step (forward, backward, AdamW) over the same step with '
        'random masking at 0.75, timed in turns in one process: median over '
        f'{result["rounds"]} rounds [quartiles]. "Per visible token" is the '
        'same divided by the tokens the encoder saw.', '',
        f'ViT-{result["arch"]}/{result["patch_size"]}, '
        f'{result["image_size"]} pixels, batch {result["batch_size"]}, '
        f'{"bfloat16" if result["amp"] else "float32"}, '
        f'random weights, photographs. {where["hardware"]}, torch '
        f'{where["torch"]}, mmengine {where["mmengine"]}, mmpretrain '
        f'{where["mmpretrain"]}, Python {where["python"]}, {where["date"]}.',
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
    # mmengine prints a paragraph for every parameter it initialises.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    device = torch.device(args.device)
    size, patch = args.size, args.patch
    torch.manual_seed(0)
    encoder = MODELS.get('sbam_mm.MaskedViT')(
        arch=args.arch, img_size=size, patch_size=patch)
    encoder.init_weights()
    encoder.to(device)
    decoder = MODELS.get('sbam_mm.MAEDecoder')(
        img_size=size, patch_size=patch, embed_dim=encoder.embed_dims)
    decoder.init_weights()
    decoder.to(device)
    parts = dict(
        backbone=encoder,
        neck=decoder,
        head=dict(type='sbam_mm.PixelHead', patch_size=patch))
    batch = crops(args.batch, size).to(device)
    samples = stored(batch, (size // patch, size // patch))
    depth = len(encoder.layers)
    rows = maskers(depth, encoder.layers[0].attn.num_heads)
    learnt = [*encoder.parameters(), *decoder.parameters()]
    # One for all, as the parameters are; a rate of 0 keeps them as they are.
    optimizer = torch.optim.AdamW(
        [p for p in learnt if p.requires_grad], lr=0.)
    steps = {
        name: Step(parts, masker, source, batch, samples, device, args.amp,
                   optimizer)
        for name, (masker, source) in rows.items()
    }
    visible = {name: [] for name in steps}

    def timed(name):
        steps[name]()
        visible[name].append(steps[name].visible)

    candidates = {name: (lambda name=name: timed(name)) for name in steps}
    candidates['collect'] = steps[BASELINE].collect
    times = paired.paired(candidates, args.rounds, device)
    shares = paired.ratios(times, BASELINE)
    result = dict(
        environment=paired.environment(device),
        arch=args.arch,
        image_size=size,
        patch_size=patch,
        batch_size=args.batch,
        amp=args.amp,
        rounds=args.rounds,
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
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=ARCHS, default='small')
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--patch', type=int, default=16, help='pixels')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument(
        '--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', default='work_dirs/benchmarks/maskers')
    args = parser.parse_args()
    result = measure(args)
    page = table(result)
    paired.write_json(f'{args.out}.json', result)
    paired.write(f'{args.out}.md', page)
    print(page)
    print(f'Written: {args.out}.json, {args.out}.md')


if __name__ == '__main__':
    main()
