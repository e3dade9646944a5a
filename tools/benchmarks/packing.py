#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Per-image ratios: packed sequences against dense and padded ones.

    python tools/benchmarks/packing.py --arch base --amp

Every image keeps its own number of tokens, with ratios spread evenly over
[0.60, 0.90]. Two questions: does a packed token cost what a token of a dense
batch with the fixed ratio 0.75 costs, and what does the usual way cost, to
pad every image to the longest and to hide the padding from the keys? Writes
OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    return step_parser(__doc__, 'packing').parse_args()


import paired
import torch
import torch.nn.functional as F
from steps import Step, described, random_with, settings, steps_of
from torch import Tensor, nn

from sbam_mm.layers import PackedLayout
from sbam_mm.masking import TokenMask
from sbam_mm.models import MAE
from sbam_mm.models.backbones import Latent

LOWEST, HIGHEST = 0.60, 0.90


def padded_block(layer: nn.Module, x: Tensor, keys: Tensor) -> Tensor:
    """mmpretrain's transformer layer with a key mask, (B, 1, 1, n)."""
    attn = layer.attn
    q, k, v = attn.qkv(layer.ln1(x)).unflatten(
        -1, (3, attn.num_heads, attn.head_dims)).permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(q, k, v, keys)
    x = x + attn.proj(out.transpose(1, 2).flatten(2))
    return layer.ffn(layer.ln2(x), identity=x)


class PaddedMAE(MAE):
    """MAE whose encoder pads every image to the longest of the batch."""

    def encode(self, tokens: Tensor, token_mask: TokenMask, inputs: Tensor,
               attend: object = None) -> Latent:
        vit = self.backbone
        x = vit.prepend_cls(tokens)
        keep = F.pad(token_mask.visible, (1, 0), value=True)
        length = int(keep.sum(dim=1).max())
        # Kept tokens in grid order, then others as padding.
        order = keep.byte().argsort(dim=1, descending=True, stable=True)
        order = order[:, :length]
        real = keep.gather(1, order)
        x = x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))
        for layer in vit.layers:
            x = padded_block(layer, x, real[:, None, None])
        # As packed tokens from here on: the decoders are the same.
        layout = PackedLayout(keep)
        inside = PackedLayout(real, counted=(layout.lengths, layout.order))
        return Latent(inside.pack(vit.ln1(x)), layout)


def spread_counts(batch: int, tokens: int) -> Tensor:
    """Visible tokens for ratios spread evenly, in a random order."""
    ratios = torch.linspace(LOWEST, HIGHEST, batch)
    counts = (tokens * (1 - ratios)).round().long()
    order = torch.randperm(
        batch, generator=torch.Generator().manual_seed(0))
    return counts[order]


def encoding(step: Step) -> None:
    """Forward and backward of the encoder alone."""
    model = step.model
    with torch.no_grad(), step.autocast:
        tokens = model.backbone.embed(step.batch)
        token_mask = model.mask(tokens, step.batch)
    with step.autocast:
        latent = model.encode(tokens, token_mask, step.batch)
    latent.packed.float().sum().backward()


def same_loss(first: Step, second: Step) -> None:
    """Stop if two ways to compute one thing do not agree."""
    losses = []
    for step in (first, second):
        torch.manual_seed(0)
        with torch.no_grad(), step.autocast:
            losses.append(step.model.loss(step.batch)['loss'].float())
    tolerance = 1e-2 if first.autocast._enabled else 1e-4
    torch.testing.assert_close(*losses, rtol=tolerance, atol=0)


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    tokens = (args.size // args.patch)**2
    counts = spread_counts(args.batch, tokens).to(device)
    ragged = random_with(counts)
    maskers = dict(
        dense=dict(type='sbam_mm.RandomMasker', ratio=0.75), packed=ragged)
    steps = steps_of(args, maskers)
    parts = {key: getattr(steps['packed'].model, key)
             for key in ('backbone', 'neck', 'head')}
    steps['padded'] = Step(
        PaddedMAE(**parts, masker=ragged), steps['packed'].batch,
        steps['packed'].optimizer, args.amp)
    same_loss(steps['packed'], steps['padded'])
    candidates = dict(steps)
    candidates.update({
        f'{name}, encoder': lambda step=step: encoding(step)
        for name, step in steps.items()
    })
    times = paired.paired(candidates, args.rounds, device)
    # Class tokens are encoded, too.
    share = (1 + float(counts.float().mean())) / (1 + tokens // 4)
    result = dict(
        settings(args),
        counts=sorted(counts.tolist()),
        packed_over_dense={},
        padded_over_packed={},
        seconds=times)
    for what, suffix in (('step', ''), ('encoder', ', encoder')):
        packed, dense, padded = (
            times[f'{name}{suffix}'] for name in ('packed', 'dense', 'padded'))
        result['packed_over_dense'][what] = paired.quartiles(
            [p / d / share for p, d in zip(packed, dense)])
        result['padded_over_packed'][what] = paired.quartiles(
            [o / p for o, p in zip(padded, packed)])
    return result


def table(result: dict) -> str:
    counts = result['counts']
    lines = [
        '# Per-image ratios: packed, dense and padded', '',
        f'Ratios spread evenly over [{LOWEST:.2f}, {HIGHEST:.2f}]: '
        f'{counts[0]} to {counts[-1]} visible tokens per image. Median over '
        f'{result["rounds"]} rounds [quartiles]; a step is forward, backward '
        'and AdamW, "encoder" its forward and backward alone.', '',
        described(result), '',
        'time | whole step | encoder', '---|---|---'
    ]
    for name, row in (
        ('packed over dense (ratio 0.75), per visible token',
         result['packed_over_dense']),
        ('padded to the longest over packed', result['padded_over_packed'])):
        lines.append(f'{name} | {paired.Ratio(*row["step"])} | '
                     f'{paired.Ratio(*row["encoder"])}')
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
