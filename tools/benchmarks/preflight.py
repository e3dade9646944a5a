#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What a GPU and its software can do, in seconds, before anything is measured.

    python tools/benchmarks/preflight.py

Names the card, measures its two ceilings (a large bfloat16 product, a large
copy), and tries the parts that a fast training needs: variable-length
attention, fused AdamW, compiled layers with gradients, a JPEG decoder on the
device. What fails is named with its error and the rest goes on. Writes
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
    parser.add_argument('--device', type=device, default='auto')
    parser.add_argument('--out', default='work_dirs/benchmarks/preflight')
    return parser.parse_args()


import io

import numpy as np
import paired
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torch import Tensor

from sbam_mm.layers import Block, PackedLayout, packed_attention
from sbam_mm.layers.block import plain_layer
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.packed.attention import runs_varlen
from sbam_mm.registry import MODELS
from sbam_mm.visualization import photographs


def product_rate(device: torch.device, size: int) -> float:
    """Operations per second of a large product in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16)
            for _ in range(2))
    times = paired.paired({'': lambda: a @ b}, 10, device, 3)['']
    return 2 * size**3 / paired.quartiles(times).median


def copy_rate(device: torch.device, numbers: int) -> float:
    """Bytes per second of a large copy, read and written."""
    a = torch.randn(numbers, device=device)
    b = torch.empty_like(a)
    times = paired.paired({'': lambda: b.copy_(a)}, 10, device, 3)['']
    return 2 * 4 * numbers / paired.quartiles(times).median


def ragged(device: torch.device) -> tuple[PackedLayout, Tensor]:
    keep = torch.rand(8, 196, generator=torch.Generator().manual_seed(0))
    layout = PackedLayout((keep < 0.3).to(device))
    return layout, torch.randn(len(layout.index), 64, device=device)


def varlen(device: torch.device) -> str:
    layout, x = ragged(device)
    qkv = x.bfloat16().view(-1, 1, 64)
    out = packed_attention(qkv, qkv, qkv, layout)
    if not runs_varlen(qkv):
        raise RuntimeError('the fallback runs instead')
    return f'{tuple(out.shape)}'


def fused_adamw(device: torch.device) -> str:
    weight = torch.nn.Parameter(torch.ones(8, device=device))
    weight.sum().backward()
    torch.optim.AdamW([weight], fused=True).step()
    return f'first step {1 - weight[0].item():.4f}'


def compiled_block(device: torch.device) -> str:
    """Gradients of packed tokens of two lengths, compiled and plain."""
    torch.manual_seed(0)
    block = Block(plain_layer(64, 2)).to(device)
    layout, x = ragged(device)

    def gradient() -> Tensor:
        block.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            out = block(x, None, layout)
        out.float().square().sum().backward()
        return block.ffn.layers[1].weight.grad.clone()

    plain = gradient()
    compile_layers(block)
    error = (gradient() - plain).norm() / plain.norm()
    if not error < 2e-2:
        raise RuntimeError(f'gradients differ by {error:.1e}')
    return f'gradients differ by {error:.1e}'


def jpegs_on_device(device: torch.device) -> str:
    from torchvision.io import decode_jpeg
    picture = next(iter(photographs().values()))
    file = io.BytesIO()
    Image.fromarray(picture).save(file, 'JPEG', quality=95)
    data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    decoded, = decode_jpeg([data], device=device)
    error = np.abs(decoded.cpu().permute(1, 2, 0).numpy().astype(float)
                   - picture).mean()
    if not error < 4:
        raise RuntimeError(f'pixels differ by {error:.1f} of 255')
    return f'pixels differ by {error:.2f} of 255'


def pretraining_step(device: torch.device) -> str:
    """SBAM in a small MAE, all types as on the way to a long training."""
    size = dict(img_size=64, patch_size=8)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(
            type='sbam_mm.MAE',
            backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **size),
            masker=dict(type='sbam_mm.SBAM'),
            neck=dict(type='sbam_mm.MAEDecoder', embed_dim=192, **size),
            head=dict(type='sbam_mm.PixelHead', patch_size=8))).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        losses = model.loss(torch.randn(8, 3, 64, 64, device=device))
    losses['loss'].backward()
    return (f'loss {losses["loss"].item():.3f}, '
            f'{losses["visible_tokens"].item():.1f} of 64 tokens visible')


CHECKS = {
    'variable-length attention': varlen,
    'fused AdamW': fused_adamw,
    'a compiled block': compiled_block,
    'JPEGs decoded on the device': jpegs_on_device,
    'a step of MAE with SBAM': pretraining_step,
}


def told(check: Callable[[torch.device], str], device: torch.device) -> str:
    """What a check found, or its error; nothing stops the others."""
    try:
        return check(device)
    except Exception as error:
        text = (str(error).strip().splitlines() or [''])[0]
        return f'FAILED: {type(error).__name__}: {text}'


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    cuda = device.type == 'cuda'
    card: dict = {}
    if cuda:
        found = torch.cuda.get_device_properties(device)
        card = dict(
            name=found.name, memory=found.total_memory,
            processors=found.multi_processor_count,
            capability=f'{found.major}.{found.minor}')
    return dict(
        environment=paired.environment(device),
        card=card,
        flops=product_rate(device, 8192 if cuda else 256),
        bandwidth=copy_rate(device, 2**28 if cuda else 2**20),
        checks={name: told(check, device) for name, check in CHECKS.items()})


def table(result: dict) -> str:
    card = result['card']
    lines = ['# What the machine can do', '',
             paired.where(result['environment'])]
    if card:
        lines.append(
            f'{card["processors"]} multiprocessors of capability '
            f'{card["capability"]}, {card["memory"] / 2**30:.0f} GiB.')
    lines += [
        '', 'what | found', '---|---',
        f'product in bfloat16 | {result["flops"] / 1e12:.3g} TFLOP/s',
        f'copy, read and written | {result["bandwidth"] / 1e12:.3g} TB/s',
        *(f'{name} | {found}' for name, found in result['checks'].items()), ''
    ]
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    paired.report(args, measure, table)


if __name__ == '__main__':
    main()
