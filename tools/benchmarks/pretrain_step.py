#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""A pre-training step of our MAE, with SBAM and without, against mmpretrain's.

    python tools/benchmarks/pretrain_step.py --arch large --batch 256 --compile

All are built from their configs, optimizer wrapper included:
configs/baselines/mae_vitb_400e.py, with the masker of
configs/sbam_mae_vitb_400e.py, and mmpretrain's
mae_vit-base-p16_8xb512-amp-coslr-800e_in1k.py, as shipped (float16 with loss
scaling) and with bfloat16. Images stand on the device. Prints images per
second, peak memory (weights, gradients and optimizer included) and, on CUDA,
the share of the rate of a large bfloat16 product measured in the same run.
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
    parser = step_parser(__doc__, 'pretrain_step')
    parser.add_argument(
        '--compile', action='store_true', help='compiled layers, too')
    parser.add_argument(
        '--steps', type=int, default=1,
        help='in a row in each round, as in a training, whose host is ahead '
        'of the device (default: 1)')
    parser.add_argument(
        '--only', nargs='+', metavar='WORD', help='rows with these words')
    return parser.parse_args()


import mmpretrain
import paired
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from steps import crops, described, settings
from torch import Tensor

from sbam_mm.engine.hooks.compile_layers import check_compiler
from sbam_mm.engine.launch import replace_amp
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / 'configs' / 'baselines' / 'mae_vitb_400e.py'
SBAM = ROOT / 'configs' / 'sbam_mae_vitb_400e.py'
SHIPPED = (
    Path(mmpretrain.__file__).parent / '.mim' / 'configs' / 'mae' /
    'mae_vit-base-p16_8xb512-amp-coslr-800e_in1k.py')
# mmpretrain calls the paper's ViT-S something else and knows no ViT-Ti.
SHIPPED_ARCHS = dict(
    small='deit-small', tiny='deit-tiny', base='base', large='large')
DEPTHS = dict(tiny=12, small=12, base=12, large=24)
BASELINE = 'mmpretrain as shipped'
BFLOAT16 = 'mmpretrain, bfloat16'
DECODER_WIDTH, DECODER_DEPTH = 512, 8


class ConfigStep:
    """A step as the Runner takes it, from a config."""

    def __init__(self, cfg: Config, images: Tensor, compiled: bool = False):
        torch.manual_seed(0)
        if images.device.type == 'cpu':
            replace_amp(cfg)
        # Random weights and the recipe's rate without its warm-up diverge,
        # and a loss scaler skips the optimizer where a gradient is infinite.
        cfg.optim_wrapper.optimizer.lr = 0.
        self.images = images
        self.visible: list[Tensor] = []  # tokens per image, of each step
        # As torch initialises it: no number here depends on the weights.
        self.model = MODELS.build(cfg.model)
        self.model.to(images.device).train()
        self.wrapper = Runner.build_optim_wrapper(
            _WithModel(self.model), cfg.optim_wrapper)
        if compiled:
            compile_layers(self.model)

    def __call__(self) -> None:
        with self.wrapper.optim_context(self.model):
            losses = self.model(self.images, None, mode='loss')
        loss, _ = self.model.parse_losses(losses)
        if 'visible_tokens' in losses:
            self.visible.append(losses['visible_tokens'])
        self.wrapper.update_params(loss)

    def updates(self) -> int:
        """How many steps the optimizer made."""
        states = self.wrapper.optimizer.state.values()
        return max((int(state['step']) for state in states), default=0)

    def own_bytes(self) -> int:
        """Weights and the optimizer's state."""
        held = list(self.model.parameters())
        for state in self.wrapper.optimizer.state.values():
            held += [v for v in state.values() if isinstance(v, Tensor)]
        return sum(t.numel() * t.element_size() for t in held)


class _WithModel:
    """What ``Runner.build_optim_wrapper`` wants of a Runner."""

    def __init__(self, model: torch.nn.Module):
        self.model = model


def ours(args: argparse.Namespace, path: Path = OURS, **optimizer) -> Config:
    cfg = Config.fromfile(path)
    size = dict(img_size=args.size, patch_size=args.patch)
    cfg.model.backbone.update(arch=args.arch, **size)
    cfg.model.neck.update(embed_dim=WIDTHS[args.arch], **size)
    cfg.model.head.update(patch_size=args.patch)
    cfg.optim_wrapper.optimizer.update(optimizer)
    return cfg


def recomputing(cfg: Config) -> Config:
    """With activation checkpointing, in all blocks."""
    cfg.model.backbone.with_cp = cfg.model.neck.with_cp = True
    return cfg


def summing_in_bfloat16(cfg: Config) -> Config:
    """With a residual stream of half the size."""
    cfg.model.backbone.residual_dtype = 'bfloat16'
    cfg.model.neck.residual_dtype = 'bfloat16'
    return cfg


def shipped(args: argparse.Namespace, **wrapper) -> Config:
    cfg = Config.fromfile(SHIPPED)
    cfg.model.backbone.update(
        arch=SHIPPED_ARCHS[args.arch],
        img_size=args.size,
        patch_size=args.patch)
    cfg.model.neck.update(
        embed_dim=WIDTHS[args.arch],
        patch_size=args.patch,
        num_patches=(args.size // args.patch)**2)
    cfg.model.head.update(patch_size=args.patch)
    cfg.optim_wrapper.update(wrapper)
    return cfg


def candidates(args: argparse.Namespace, images: Tensor) -> dict:
    """Steps by the name of their row."""
    sbam = dict(path=SBAM)
    rows = {
        BASELINE: lambda: ConfigStep(shipped(args), images),
        BFLOAT16: lambda: ConfigStep(
            shipped(args, dtype='bfloat16', loss_scale=dict(enabled=False)),
            images),
        'ours': lambda: ConfigStep(ours(args), images),
        'ours, SBAM': lambda: ConfigStep(ours(args, **sbam), images),
        'ours, with_cp': lambda: ConfigStep(recomputing(ours(args)), images),
    }
    if images.device.type == 'cpu':
        del rows[BFLOAT16]
        rows['ours, fused AdamW'] = lambda: ConfigStep(
            ours(args, fused=True), images)
    if args.compile:
        rows['ours, compiled'] = lambda: ConfigStep(
            ours(args), images, compiled=True)
        rows['ours, SBAM, compiled'] = lambda: ConfigStep(
            ours(args, **sbam), images, compiled=True)
        if images.device.type == 'cuda':
            rows['ours, SBAM, compiled, residual_dtype=bfloat16'] = (
                lambda: ConfigStep(summing_in_bfloat16(ours(args, **sbam)),
                                   images, compiled=True))
    return {
        name: build() for name, build in rows.items()
        if name == BASELINE or args.only is None
        or any(word in name for word in args.only)
    }


def step_flops(args: argparse.Namespace, visible: float | None = None
               ) -> float:
    """Operations of a step for one image, by MAE's definition.

    Products only, 2 per multiplication and addition; backward counts twice
    the forward. What an implementation adds or saves does not change it.

    Args:
        args: Of this tool.
        visible (float, optional): Tokens per image. Defaults to None: a
            quarter.
    """
    tokens = (args.size // args.patch)**2
    pixels = 3 * args.patch**2
    width = WIDTHS[args.arch]

    def blocks(depth: int, length: float, dim: int) -> float:
        return depth * (24 * length * dim**2 + 4 * length**2 * dim)

    seen = 1 + (tokens // 4 if visible is None else visible)
    forward = (2 * tokens * pixels * width +
               blocks(DEPTHS[args.arch], seen, width) +
               2 * seen * width * DECODER_WIDTH +
               blocks(DECODER_DEPTH, 1 + tokens, DECODER_WIDTH) +
               2 * tokens * DECODER_WIDTH * pixels)
    return 3. * forward


def ceiling(device: torch.device, size: int = 8192) -> float:
    """Operations per second of a large bfloat16 product."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16)
            for _ in range(2))
    times = paired.paired({'product': lambda: a @ b}, 20, device, warm_up=5)
    return 2 * size**3 / paired.quartiles(times['product']).median


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    images = crops(args.batch, args.size).to(device)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        steps = candidates(args, images)
    for step in steps.values():  # optimizer states, compilation
        for _ in range(3):
            step()
    memory = {}
    for name, step in steps.items():
        for other in steps.values():
            other.model.zero_grad(set_to_none=True)
        memory[name] = step.own_bytes() + paired.peak_memory(step, device)
    before = {name: step.updates() for name, step in steps.items()}
    times = paired.paired(
        {name: (lambda step=step: [step() for _ in range(args.steps)])
         for name, step in steps.items()},
        args.rounds, device, warm_up=1)
    times = {name: [t / args.steps for t in spent]
             for name, spent in times.items()}
    made = (1 + args.rounds) * args.steps
    left_out = {
        name: before[name] + made - step.updates()
        for name, step in steps.items()
    }
    visible = {
        name: float(torch.stack(step.visible).float().mean())
        if step.visible else None for name, step in steps.items()
    }
    result = dict(
        settings(args),
        steps_in_a_row=args.steps,
        steps_made=made,
        visible_tokens=visible,
        flops_per_image={
            name: step_flops(args, seen) for name, seen in visible.items()
        },
        time=paired.ratios(times, BASELINE),
        bytes=memory,
        updates_left_out=left_out,
        images_per_second={
            name: args.batch / paired.quartiles(spent).median
            for name, spent in times.items()
        },
        seconds=times)
    if BFLOAT16 in steps:
        result['time_over_bfloat16'] = paired.ratios(
            times, BFLOAT16)
    if device.type == 'cuda':
        result['ceiling'] = ceiling(device)
    return result


def table(result: dict) -> str:
    top = result.get('ceiling')
    lines = [
        '# A pre-training step of MAE', '',
        'Forward, backward and optimizer as the Runner calls them, models and '
        'optimizers from their configs; images per second over mmpretrain\'s '
        f'of the same round, median over {result["rounds"]} rounds of '
        f'{result["steps_in_a_row"]} steps [quartiles]; peak memory with '
        'weights, gradients and optimizer.', '',
        described(dict(result, amp=top is not None)), ''
    ]
    if top:
        lines += [
            f'A product of 8192 x 8192 in bfloat16 reaches '
            f'{top / 1e12:.0f} TFLOP/s in this run.', ''
        ]
    lines += [
        'step | images/s | visible tokens | speed over mmpretrain as shipped '
        '| over its bfloat16 | peak memory | of it | use of the ceiling',
        '---|---|---|---|---|---|---|---'
    ]
    for name, left_out in result['updates_left_out'].items():
        if left_out:
            lines.insert(-2, (
                f'**{name}: the loss scaler left out {left_out} of '
                f'{result["steps_made"]} updates, which makes it faster.**\n'))
    for name, rate in result['images_per_second'].items():
        speeds = []
        for key in ('time', 'time_over_bfloat16'):
            ratio = result.get(key, {}).get(name)
            speeds.append('-' if ratio is None else str(
                paired.Ratio(*(1 / ratio[i] for i in (0, 2, 1)))))
        share = result['bytes'][name] / result['bytes'][BASELINE]
        used = '-'
        if top:
            flops = result['flops_per_image'][name]
            used = f'{100 * rate * flops / top:.1f} %'
        seen = result['visible_tokens'][name]
        lines.append(
            f'{name} | {rate:.2f} | {"-" if seen is None else f"{seen:.1f}"} '
            f'| {speeds[0]} | {speeds[1]} | '
            f'{result["bytes"][name] / 2**20:.0f} MiB | {share:.3f} | {used}')
    return '\n'.join([*lines, ''])


def main() -> None:
    args = parse_args()
    if args.compile:
        check_compiler()
    paired.report(args, measure, table)


if __name__ == '__main__':
    main()
