# Copyright (c) OpenMMLab. All rights reserved.
"""What a step asks of CUDA, seen on tensors without numbers."""
import sys
import traceback
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / 'tools/benchmarks'))

from fake_cuda import (  # noqa: E402,F401
    Device,
    aten,
    batch_of,
    faked,
    give_weights,
    running,
)

needs_cuda_build = pytest.mark.skipif(
    torch.version.cuda is None,
    reason='torch is built without CUDA; install a build with CUDA, which '
    'runs these tests without a GPU')
PRODUCTS = {'mm', 'addmm', 'bmm', 'baddbmm', 'convolution'}
KERNELS = {
    '_varlen_attn': 'varlen',
    '_scaled_dot_product_flash_attention': 'flash',
    '_scaled_dot_product_efficient_attention': 'efficient',
}
NORMS = {'native_layer_norm', 'native_group_norm'}
# Ratios and counts of images and their parts, which maskers work out in
# float64.
FEW = 1024
# Whose lines are told: the nearest ones to what happened.
OURS = ('sbam_mm/', 'mmengine/', 'mmpretrain/', 'tests/')


def lengths(number):
    """Kept tokens of each image, unequal."""
    return [20 + 7 * image % 50 for image in range(number)]


def line():
    """The line of the package or the stack that is being run."""
    for frame in reversed(traceback.extract_stack()[:-2]):
        for name in OURS:
            if f'/{name}' in frame.filename and (
                    'cuda/watched' not in frame.filename):
                path = frame.filename.rpartition(f'/{name}')[2]
                return f'{name}{path}:{frame.lineno}'
    return 'elsewhere'


class Watch(Device):
    """Counts what a test wants to know.

    Attributes:
        waited (Counter): Lines at which the host waits for the device.
        kernels (Counter): Calls of each attention kernel.
        products (Counter): Types in which matrices are multiplied.
        norms (set): Types that norms read and write.
        wrong (Counter): Lines with float64 on the device, beyond a few
            numbers of each image, or with tensors of the CPU among those of
            the device.
    """

    def __init__(self, lengths=lengths, share=0.25):
        super().__init__(lengths, share)
        self.clear()

    def clear(self):
        self.waited, self.kernels = Counter(), Counter()
        self.products, self.wrong = Counter(), Counter()
        self.norms = set()

    def waits(self, what):
        self.waited[f'{what} at {line()}'] += 1

    def saw(self, func, args, kwargs, out):
        name = func.overloadpacket.__name__
        given = [x for x in tree_leaves((args, kwargs))
                 if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        on_device = [x for x in (*given, *made) if x.device.type == 'cuda']
        if not on_device:
            return
        if any(x.dtype == torch.float64 and x.numel() > FEW
               for x in on_device):
            self.wrong[f'float64 at {line()}'] += 1
        if func not in (aten._to_copy.default, aten.copy_.default) and len(
                on_device) < len(given) + len(made):
            self.wrong[f'a tensor of the CPU in {name} at {line()}'] += 1
        if name in KERNELS:
            self.kernels[KERNELS[name]] += 1
        elif name in PRODUCTS:
            self.products[str(made[0].dtype).removeprefix('torch.')] += 1
        elif name in NORMS:
            self.norms |= {given[0].dtype, made[0].dtype}

    @property
    def counts(self):
        """Waits, kernels and float32 products, as the tables have them."""
        return dict(
            waits=self.waited.total(),
            **{name: self.kernels[name] for name in KERNELS.values()},
            float32=self.products['float32'])
