#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Ways to make a step of MAE faster, each by itself over the plain step.

    python tools/benchmarks/fast_paths.py --arch base --amp --batch 256

"Masked patches only" is what MAE does unless told to be exact, the optimizers
are options of a config, ``compile_layers`` is there to be called. The patch
embeddings stand in this file alone: they are kept here as long as they do not
pay. Every one is checked to give the plain loss. Writes OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = step_parser(__doc__, 'fast_paths')
    parser.add_argument(
        '--compile', action='store_true', help='compiled layers, too')
    parser.add_argument(
        '--only', nargs='+', metavar='WORD', help='rows with these words')
    return parser.parse_args()


import paired
import torch
import torch.nn.functional as F
from steps import Step, crops, described, mae_parts, settings
from torch import Tensor

from sbam_mm.layers import PackedLayout, run_blocks
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.masking import MaskingContext
from sbam_mm.models import MAE, patchify
from sbam_mm.models.backbones import Latent
from sbam_mm.run_switches import exact

PLAIN = 'plain'


def embed_linear(vit: torch.nn.Module, patches: Tensor) -> Tensor:
    """The patch embedding as a product, (..., P) -> (..., D)."""
    weight = vit.patch_embed.projection.weight
    # Values of a patch run over rows, columns and channels.
    weight = weight.permute(0, 2, 3, 1).flatten(1)
    return F.linear(patches, weight, vit.patch_embed.projection.bias)


class LinearEmbedding(MAE):
    """MAE whose patch embedding is a product instead of a convolution."""

    def embed(self, inputs: Tensor) -> Tensor:
        vit = self.backbone
        patches = patchify(inputs, vit.patch_size)
        return embed_linear(vit, patches) + vit.pos_embed[:, 1:]


class VisibleFirst(MAE):
    """MAE that embeds visible patches only; the masker looks at none."""

    def loss(self, inputs: Tensor, data_samples: object = None) -> dict:
        vit = self.backbone
        grid = vit.grid(inputs)
        nothing = inputs.new_zeros(1).expand(
            len(inputs), grid[0] * grid[1], 1)
        token_mask = self.masker(MaskingContext(nothing, grid))
        visible = PackedLayout(token_mask.visible, token_mask.num_visible)
        x = embed_linear(vit, visible.pack(patchify(inputs, vit.patch_size)))
        place = visible.index % visible.shape[1]
        x = x + vit.pos_embed[0, 1:].index_select(0, place)
        x = vit.prepend_cls(x.unflatten(0, (len(inputs), -1))).flatten(0, 1)
        layout = PackedLayout(
            F.pad(token_mask.visible, (1, 0), value=True),
            1 + token_mask.num_visible)
        latent = Latent(vit.ln1(run_blocks(vit.layers, x, layout)), layout)
        prediction = self.decode(latent, token_mask)
        loss = self.head.loss(prediction, inputs, token_mask)
        return dict(loss=loss, **token_mask.statistics())


class PlainStep(Step):
    """Without the fast path of MAE's own."""

    def __call__(self) -> None:
        with exact():
            super().__call__()


def candidates(args: argparse.Namespace) -> dict:
    """Steps by the name of their row; those that can share weights do."""
    device = torch.device(args.device)
    masker = dict(type='sbam_mm.RandomMasker', ratio=0.75)
    batch = crops(args.batch, args.size).to(device)
    shared = mae_parts(args)

    def adamw(model: MAE, **options) -> torch.optim.Optimizer:
        # Weights stay as they are, and losses can be compared.
        return torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=0., weight_decay=0., **options)

    def built(kind: type = MAE, parts: dict = shared) -> MAE:
        return kind(**parts, masker=masker).to(device)

    plain = built()
    optimizer = adamw(plain)

    def step(model: MAE, kind: type = PlainStep) -> Step:
        return kind(model, batch, optimizer, args.amp)

    steps = {
        PLAIN: step(plain),
        'masked patches only in the last layers': step(plain, Step),
        'patch embedding as a product': step(built(LinearEmbedding)),
        'visible patches embedded only': step(built(VisibleFirst)),
    }
    for name in ('foreach', 'fused'):
        steps[f'AdamW, {name}'] = PlainStep(
            plain, batch, adamw(plain, **{name: True}), args.amp)
    last = built(parts=mae_parts(args))
    last.backbone.patch_embed.to(memory_format=torch.channels_last)
    steps['patch embedding, channels last'] = PlainStep(
        last, batch.to(memory_format=torch.channels_last), adamw(last),
        args.amp)
    if args.compile:
        compiled = built(parts=mae_parts(args))
        compile_layers(compiled)
        steps['layers compiled'] = PlainStep(
            compiled, batch, adamw(compiled), args.amp)
    if args.only:
        steps = {
            name: step for name, step in steps.items()
            if name == PLAIN or any(word in name for word in args.only)
        }
    return steps


def check(steps: dict, amp: bool) -> None:
    """Stop if a fast path does not give the plain loss."""
    want = None
    for step in steps.values():
        torch.manual_seed(0)
        # With gradients, as in the steps: compiled layers would be compiled
        # for their absence, too.
        with step.autocast:
            got = step.model.loss(step.batch)['loss'].detach().float()
        want = got if want is None else want
        torch.testing.assert_close(
            got, want, rtol=1e-2 if amp else 1e-5, atol=0)


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    steps = candidates(args)
    check(steps, args.amp)
    times = paired.paired(steps, args.rounds, device)
    return dict(
        settings(args), step=paired.ratios(times, PLAIN), seconds=times)


def table(result: dict) -> str:
    lines = [
        '# What makes a step of MAE faster', '',
        'A step (forward, backward, AdamW) with one change over the plain '
        f'step: median over {result["rounds"]} rounds [quartiles].', '',
        described(result), '', 'change | step', '---|---'
    ]
    for name, ratio in result['step'].items():
        lines.append(f'{name} | {paired.Ratio(*ratio)}')
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
