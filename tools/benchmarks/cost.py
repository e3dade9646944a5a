#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What a training step costs, counted without a GPU.

    python tools/benchmarks/cost.py configs/sbam_mae_vitl_800e.py --batch 512
    python tools/benchmarks/cost.py configs/dino/dino_vits_100e.py --gpu A100

The model of any pre-training config runs forward, backward and an optimizer
step on tensors without numbers, as it would on CUDA, and every operation is
counted: floating-point operations of products (a multiply-add is two) and of
attention, and bytes read and written, as eager PyTorch does it; what stays in
a cache is counted, too. An operation takes the longer of the two times that
the GPU's ceilings give. These are estimates: two thirds of a GPU's nominal
bfloat16 rate, half as much in TF32 and a fifteenth in float32, and four fifths
of its nominal bandwidth; the time between operations is not in them. Writes
OUT.json and OUT.md.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import (
    KeyValues,
    ToolParser,
    parses_first,
    share,
    tool,
    whole,
)

# TFLOP/s in bfloat16 and TB/s.
GPUS = dict(H100=(650., 2.7), H200=(650., 3.9), A100=(210., 1.6))


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('config', help='of a pre-training')
    parser.add_argument(
        '--batch', type=whole(1), help="images (default: the config's)")
    parser.add_argument(
        '--ratio', type=share, help="of masking (default: the config's)")
    parser.add_argument(
        '--gpu', choices=list(GPUS), default='H100', help='its ceilings')
    parser.add_argument(
        '--tflops', type=whole(1), help='another rate, in bfloat16')
    parser.add_argument(
        '--bandwidth', type=float, help='another bandwidth, in TB/s')
    parser.add_argument(
        '--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
        help='override values of the config, e.g. '
        'optim_wrapper.optimizer.fused=True')
    parser.add_argument('--out', default='work_dirs/benchmarks/cost')
    args = parser.parse_args()
    if args.bandwidth is not None and not args.bandwidth > 0:
        parser.error('argument --bandwidth: more than 0 TB/s are wanted')
    return args


import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import paired
import torch
from fake_cuda import (
    HALF,
    Device,
    batch_of,
    faked,
    give_weights,
    made_by,
    running,
)
from mmengine.config import Config
from mmengine.model import BaseAveragedModel
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from sbam_mm.engine.launch import load_config, merge_options
from sbam_mm.engine.replace_masker import masker_owner
from sbam_mm.engine.trial_build import (
    build_without_weights,
    pipeline_of,
    quiet,
)
from sbam_mm.errors import UserError
from sbam_mm.masking.named_maskers import at_ratio, default_of
from sbam_mm.packed.attention import varlen_attn
from sbam_mm.registry import MODELS

# Parts of a model by the names of its children; others have their own.
PARTS = dict(
    backbone='encoder', neck='decoder', masker='masking', head='head and loss',
    cls_loss='head and loss', patch_loss='head and loss',
    momentum_teacher='teacher', target='teacher')
# Which are told apart by what they do.
DIVIDED = ('encoder', 'decoder', 'teacher')
# Without a kernel, or with results that other memory already holds.
FREE = {'empty', 'empty_like', 'new_empty', 'empty_strided',
        'new_empty_strided', 'detach', 'lift_fresh'}
# Of their first argument only what is taken is read, or nothing.
GATHERS = {'index_select', 'gather', 'index', 'embedding'}
OVERWRITES = {'copy_', 'zero_', 'fill_'}


def varlen_flops(q: Tensor, k: Tensor, v: Tensor, ends_q: Tensor,
                 ends_k: Tensor, *args: Any, **kwargs: Any) -> int:
    """Two products of each image's own queries and keys."""
    with _disable_current_modes():  # these are real
        pairs = (ends_q.diff() * ends_k.diff()).sum().item()
    return 4 * int(pairs) * q.shape[1] * q.shape[2]


def varlen_backward_flops(grad: Tensor, q: Tensor, k: Tensor, v: Tensor,
                          out: Tensor, lse: Tensor, ends_q: Tensor,
                          ends_k: Tensor, *args: Any, **kwargs: Any) -> int:
    """Four, and the logits again, as torch counts flash attention."""
    return varlen_flops(q, k, v, ends_q, ends_k) * 5 // 2


FLOPS = dict(flop_registry)
if varlen_attn is not None:
    FLOPS[torch.ops.torch_attn._varlen_attn] = varlen_flops
    FLOPS[torch.ops.torch_attn._varlen_attn_backward] = varlen_backward_flops


@dataclass
class Cost:
    """Of a part of the step, forward or backward."""
    flops: int = 0
    bytes: int = 0
    operations: int = 0
    # Of operations that are bound by the one and the other.
    compute_seconds: float = 0.
    memory_seconds: float = 0.

    @property
    def seconds(self) -> float:
        return self.compute_seconds + self.memory_seconds


class Costs(Device):
    """Counts every operation, by the part of the model that asks for it.

    The part is the module nearest to the operation; in the backward pass,
    that of the operation whose gradient it is.

    Attributes:
        costs (dict): By part and whether the pass is backward.
    """

    def __init__(self, lengths: Any, share: float, tflops: float,
                 bandwidth: float):
        super().__init__(lengths, share)
        self.rate, self.bandwidth = tflops * 1e12, bandwidth * 1e12
        self.costs: dict[tuple[str, bool], Cost] = defaultdict(Cost)
        self.names: dict[int, str] = {}
        self.part_of_node: dict[int, str] = {}

    def saw(self, func: Any, args: Sequence, kwargs: dict, out: Any) -> None:
        name = func.overloadpacket.__name__
        node = torch._C._current_autograd_node()
        if node is None:
            part = self.part()
            # The node of this operation is the latest, if it has one.
            self.part_of_node.setdefault(
                torch._C._autograd._get_sequence_nr() - 1, part)
        else:
            part = self.part_of_node.get(node._sequence_nr(), 'other')
        size = traffic(func, name, args, kwargs, out)
        if not size:
            return
        formula = FLOPS.get(func.overloadpacket)
        flops = formula(*args, **kwargs, out_val=out) if formula else 0
        if part in DIVIDED:
            kind = ('attention' if 'attention' in name or 'attn' in name else
                    'products' if flops else 'norms and the rest')
            part = f'{part}: {kind}'
        cost = self.costs[part, node is not None]
        cost.flops += flops
        cost.bytes += size
        cost.operations += 1
        compute = flops / (self.rate * share_of_rate(out)) if flops else 0.
        memory = size / self.bandwidth
        if compute > memory:
            cost.compute_seconds += compute
        else:
            cost.memory_seconds += memory

    def part(self) -> str:
        """Of the module that is running now."""
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_varnames[:1] == ('self', ):
                owner = frame.f_locals.get('self')
                if isinstance(owner, torch.optim.Optimizer):
                    return 'optimizer'
                if isinstance(owner, BaseAveragedModel):
                    return 'momentum copies'
                if id(owner) in self.names:
                    child, _, rest = self.names[id(owner)].partition('.')
                    if child == 'backbone' and rest.startswith('patch_embed'):
                        return 'patch embedding'
                    return PARTS.get(child, child or 'other')
            frame = frame.f_back
        return 'other'


def share_of_rate(product: Any) -> float:
    """Of the rate in bfloat16, as on GPUs from Ampere to Hopper."""
    # A convolution may have no gradient of its images.
    if next(x for x in tree_leaves(product) if x is not None).dtype in HALF:
        return 1.
    switch = torch.backends.cuda.matmul
    precision = getattr(switch, 'fp32_precision', None)
    tf32 = switch.allow_tf32 if precision is None else precision == 'tf32'
    return 1 / 2 if tf32 else 1 / 15


def traffic(func: Any, name: str, args: Sequence, kwargs: dict,
            out: Any) -> int:
    """Bytes that an operation reads and writes; 0 where no kernel runs."""
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
    held = {x.untyped_storage()._cdata for x in given}
    changes = func._schema.is_mutable
    if name in FREE or not changes and all(
            x.untyped_storage()._cdata in held for x in made):
        return 0
    if name in GATHERS:
        return 2 * sum(map(held_by, made)) + sum(map(held_by, given[1:]))
    if changes and not made:  # lists are, in place
        made = [x for arg, about in zip(args, func._schema.arguments)
                if about.alias_info and about.alias_info.is_write
                for x in tree_leaves(arg) if isinstance(x, Tensor)]
    read = given[1:] if name in OVERWRITES else given
    return sum(map(held_by, (*read, *made)))


def held_by(x: Tensor) -> int:
    """Bytes of a tensor; what is repeated counts once."""
    count = x.element_size()
    for size, stride in zip(x.shape, x.stride()):
        count *= size if stride else 1
    return count


def masking_of(model: nn.Module) -> tuple[float, float]:
    """The share of hidden patches, and how far images differ in it."""
    masker = getattr(model, 'masker', None) or getattr(
        model.backbone, 'masker', None)
    probability = 1.
    while not hasattr(masker, 'ratio'):
        probability *= masker.probability
        masker = masker.masker
    return (masker.ratio.ratio * probability,
            getattr(masker.ratio, 'delta_r', 0.))


def hide(cfg: Config, ratio: float) -> None:
    """Give the config's masker a ratio."""
    owner = masker_owner(cfg)
    own = default_of(MODELS.get(owner['masker']['type']), 'ratio')
    if isinstance(own, tuple):
        owner['masker']['ratio'] = (ratio, ratio)
    else:
        owner['masker'] = at_ratio(owner['masker'], ratio)


def build(cfg: Config, path: str) -> nn.Module:
    """The model without weights.

    Raises:
        UserError: If it masks nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        give_weights(cfg, Path(folder))
        with quiet():
            model = build_without_weights(cfg)
    backbone = getattr(model, 'backbone', None)
    if not hasattr(model, 'masker') and not hasattr(backbone, 'masker'):
        raise UserError(f'{path} trains a {type(model).__name__}, which has '
                        'no masker; give the config of a pre-training.')
    return model


def count(cfg: Config, model: nn.Module, batch: int, tflops: float,
          bandwidth: float) -> Costs:
    """Run a step of the Runner's without numbers."""
    sizes, _ = made_by(pipeline_of(cfg.train_dataloader.dataset))
    if not sizes:
        raise UserError(
            'the pipeline of the config has no crop that says how large the '
            'images are; give the config of a pre-training.')
    grid = getattr(model.backbone, 'grid', None)
    height, width = (model.backbone.patch_resolution if grid is None else
                     grid(torch.empty(1, 3, *sizes[0], device='meta')))
    patches = height * width
    ratio, delta_r = masking_of(model)

    def lengths(number: int) -> list[int]:
        """Evenly spread, with the class token."""
        steps = [(2 * i + 1) / number - 1 for i in range(number)]
        return [1 + round(patches * (1 - ratio + delta_r * step))
                for step in steps]

    costs = Costs(lengths, ratio, tflops, bandwidth)
    options = cfg.optim_wrapper
    amp = getattr(torch, options.get('dtype', 'float16')) if options.get(
        'type') == 'AmpOptimWrapper' else None
    with running(costs, 'cpu', autocast=None):
        model = faked(model, 'cpu').train()
        with quiet():
            wrapper = build_optim_wrapper(model, dict(
                type='OptimWrapper', **{key: options[key] for key in (
                    'optimizer', 'constructor', 'paramwise_cfg', 'clip_grad')
                    if key in options}))
        for group in wrapper.optimizer.param_groups:
            # What CUDA's tensors get by default.
            group['foreach'] = not group.get('fused')
        inputs, samples = batch_of(cfg, batch, 'cpu')
        # The first one makes tables, and what the optimizer keeps.
        for _ in range(2):
            costs.costs.clear()
            costs.part_of_node.clear()
            costs.names = {id(module): name
                           for name, module in model.named_modules()}
            with ExitStack() as stack:
                # What is on the CPU here asks whether CUDA's is on, too.
                for kind in ('cpu', 'cuda') if amp else ():
                    stack.enter_context(torch.autocast(kind, amp))
                losses = model(inputs, samples, mode='loss')
            wrapper.zero_grad()
            model.parse_losses(losses)[0].backward()
            wrapper.step()
    return costs


def measure(args: argparse.Namespace) -> dict:
    """Everything of the result."""
    cfg = load_config(args.config)
    merge_options(cfg, args.cfg_options or {}, args.config)
    if args.ratio is not None:
        hide(cfg, args.ratio)
    batch = args.batch or cfg.train_dataloader.batch_size
    ceilings = GPUS[args.gpu]
    tflops = args.tflops or ceilings[0]
    bandwidth = args.bandwidth or ceilings[1]
    given = args.tflops or args.bandwidth
    model = build(cfg, args.config)
    costs = count(cfg, model, batch, tflops, bandwidth).costs
    seconds = sum(cost.seconds for cost in costs.values())
    return dict(
        config=args.config,
        torch=torch.__version__,
        batch_size=batch,
        ratio=masking_of(model)[0],
        gpu='the given ceilings' if given else args.gpu,
        tflops=tflops,
        bandwidth=bandwidth,
        seconds=seconds,
        images_per_second=batch / seconds,
        parts={
            part: {name: asdict(costs[part, backward])
                   for name, backward in (('forward', False),
                                          ('backward', True))}
            for part in sorted({part for part, _ in costs}, key=in_order)
        })


def in_order(part: str) -> tuple:
    """As a step goes: images, masks, encoder, decoder; then the optimizer."""
    order = ('patch embedding', 'masking', 'encoder', 'decoder')
    last = ('head and loss', 'other', 'teacher', 'momentum copies',
            'optimizer')
    first = part.partition(':')[0]
    place = (order.index(first) if first in order else
             20 + last.index(first) if first in last else 10)
    return place, part


def table(result: dict) -> str:
    """The result as a page."""
    lines = [
        f'# What a step of {result["config"]} costs, counted', '',
        f'Batch {result["batch_size"]}, masking ratio {result["ratio"]:.2f}, '
        f'torch {result["torch"]}. Times are estimates for '
        f'{result["gpu"]}, {result["tflops"]:g} TFLOP/s in bfloat16 and '
        f'{result["bandwidth"]:g} TB/s: of every operation the longer one.',
        '', 'part | TFLOP forward | backward | GB forward | backward | '
        'operations | ms | share | bound by', '---|' * 8 + '---'
    ]
    whole_step = [Cost(), Cost()]
    for part, passes in result['parts'].items():
        pair = [Cost(**passes[name]) for name in ('forward', 'backward')]
        for total, cost in zip(whole_step, pair):
            for name, value in vars(cost).items():
                setattr(total, name, getattr(total, name) + value)
        lines.append(row(part, pair, result['seconds']))
    lines += [
        row('all', whole_step, result['seconds']), '',
        f'{1000 * result["seconds"]:.1f} ms, {result["images_per_second"]:.0f}'
        ' images/s.', ''
    ]
    return '\n'.join(lines)


def row(part: str, pair: Sequence[Cost], seconds: float) -> str:
    """A line of the table, of a part forward and backward."""
    spent = sum(cost.seconds for cost in pair)
    compute = sum(cost.compute_seconds for cost in pair)
    return ' | '.join([
        part, *(f'{cost.flops / 1e12:.3f}' for cost in pair),
        *(f'{cost.bytes / 1e9:.2f}' for cost in pair),
        f'{sum(cost.operations for cost in pair)}', f'{1000 * spent:.2f}',
        f'{spent / seconds:.1%}',
        'compute' if compute > spent / 2 else 'memory'
    ])


@tool
def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
