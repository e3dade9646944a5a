# Copyright (c) OpenMMLab. All rights reserved.
"""Steps of a config on tensors without numbers, on a machine without a GPU.

Tensors on "cuda" have shapes, types and a device, and nothing else (torch's
FakeTensorMode); those on the CPU are real. What only a device could tell,
such as how many tokens a mask keeps, is made up.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import DefaultScope
from mmpretrain.models.utils.clip_generator_helper import VisionTransformer
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
)
from torch.utils._pytree import tree_leaves

from sbam_mm import to_host
from sbam_mm.engine.trial_build import pipeline_of
from sbam_mm.models.providers import STORED_MAPS
from sbam_mm.registry import MODELS

aten = torch.ops.aten
HALF = (torch.bfloat16, torch.float16)
# Their results have a size that only the data know.
SIZED_BY_DATA = (aten.nonzero.default, aten.masked_select.default)
# What torch asks of a driver that is not there, and a Hopper GPU's answers.
DRIVER = (
    (fake_tensor, 'init_gpu_context', lambda device: None),
    (torch.cuda, 'get_device_capability', lambda device=None: (9, 0)),
    (torch.cuda, 'is_bf16_supported', lambda *args, **kwargs: True),
    # Without which autocast turns itself off.
    (torch.cuda.amp.common, 'amp_definitely_not_available', lambda: False),
    # Memory for copies by the device; a number is asked for instead.
    (to_host, 'sent', lambda values: (values, None)),
)


class Kernels(TorchFunctionMode):
    """Attention by the kernel that CUDA would choose.

    torch asks the GPU before it chooses, and without one multiplies matrices.
    Its rules, for what this package computes: flash attention in half
    precision, without a bias and for values as wide as the queries, else the
    memory-efficient kernel.

    Args:
        claim (bool): Whether tensors on the CPU say that they are on CUDA, so
            that the variable-length kernel is chosen for them, too.
    """

    def __init__(self, claim: bool = False):
        super().__init__()
        self.claim = claim

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            return attention(*args, **(kwargs or {}))
        if func is F.multi_head_attention_forward:
            # What it calls is not told to this mode again.
            with mock.patch.object(F, 'scaled_dot_product_attention',
                                   attention):
                return func(*args, **(kwargs or {}))
        if self.claim and func == torch.Tensor.is_cuda.__get__:
            return True
        return func(*args, **(kwargs or {}))


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None,
              dropout_p: float = 0., is_causal: bool = False,
              scale: float | None = None) -> Tensor:
    """What ``F.scaled_dot_product_attention`` is on CUDA."""
    kind = q.device.type
    if torch.is_autocast_enabled(kind):
        q, k, v = (x.to(torch.get_autocast_dtype(kind)) for x in (q, k, v))
    if bias is None and q.dtype in HALF and q.shape[-1] == v.shape[-1]:
        return aten._scaled_dot_product_flash_attention(
            q, k, v, dropout_p, is_causal, scale=scale)[0]
    if bias is not None:
        bias = bias.to(q.dtype).expand(*q.shape[:-1], k.shape[-2])
    return aten._scaled_dot_product_efficient_attention(
        q, k, v, bias, torch.is_grad_enabled(), dropout_p, is_causal,
        scale=scale)[0]


class Device(TorchDispatchMode):
    """Runs real tensors for real and others without numbers.

    Args:
        lengths (Callable): A number of images to how many tokens of each are
            kept.
        share (float): How many entries of a mask are true.
    """

    def __init__(self, lengths: Callable[[int], list[int]], share: float):
        super().__init__()
        self.lengths = lengths
        self.share = share

    def saw(self, func: Any, args: Sequence, kwargs: dict, out: Any) -> None:
        """Called after every operation on tensors without numbers."""

    def waits(self, what: str) -> None:
        """Called where the host waits for the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return func(*args)
        tensors = [x for x in tree_leaves((args, kwargs))
                   if isinstance(x, Tensor)]
        to = torch.device(kwargs.get('device') or 'cpu').type
        fakes = [x for x in tensors if isinstance(x, FakeTensor)]
        if not fakes and to == 'cpu':
            with _disable_current_modes():
                return func(*args, **kwargs)
        if func is aten._local_scalar_dense.default:
            if args[0].device.type == 'cuda':
                self.waits('a number')
            return made_up(args[0])
        if func in SIZED_BY_DATA:
            self.waits(func.overloadpacket.__name__)
            return self._true(*args)
        if func is aten.index.Tensor or 'index_put' in func.name():
            args = (args[0], [*self._numbered(args[1])], *args[2:])
        out = func(*args, **kwargs)
        if func in (aten._to_copy.default, aten.copy_.default):
            self._copied(tensors[-1], out, args, kwargs)
        if isinstance(out, Tensor) and not out.dim() and len(fakes) > 0:
            # How many are true, wherever the number goes.
            if fakes[-1].dtype == torch.bool and fakes[-1].dim():
                out.count = round(self.share * fakes[-1].numel())
            elif hasattr(fakes[-1], 'count'):
                out.count = fakes[-1].count
        self.saw(func, args, kwargs, out)
        return out

    def _true(self, mask: Tensor, *others: Tensor) -> Tensor:
        """Where a mask is true, or of another tensor what stands there."""
        if others:
            return mask.new_empty(round(self.share * mask.numel()))
        return mask.new_empty(
            (round(self.share * mask.numel()), mask.dim()), dtype=torch.int64)

    def _numbered(self, indices: Sequence[Tensor | None]
                  ) -> Iterator[Tensor | None]:
        """Masks among the indices as numbers, as the device has to do."""
        for index in indices:
            if index is not None and index.dtype == torch.bool:
                self.waits('an index of booleans')
                yield from self._true(index).unbind(1)
            else:
                yield index

    def _copied(self, source: Tensor, out: Tensor, args: Sequence,
                kwargs: dict) -> None:
        """Note a copy from one device to another, unless it is in passing."""
        away = source.device.type, out.device.type
        # From the device the numbers are wanted at once.
        passing = away[1] != 'cpu' and (
            kwargs.get('non_blocking') or args[2:3] == (True, ))
        if away[0] != away[1] and not passing:
            self.waits(f'a copy from {away[0]} to {away[1]}')

    def tolist(self, tensor: FakeTensor) -> Any:
        """In place of ``FakeTensor.tolist``, which asks for each number."""
        if tensor.device.type == 'cuda':
            self.waits('a list')
        return self.lengths(tensor.numel()) if tensor.dim() else made_up(
            tensor)


def made_up(number: FakeTensor) -> float | int:
    """In place of a number that is not known; true, if it is a boolean."""
    if number.is_floating_point():
        return 0.5
    return getattr(number, 'count', 2)


@contextmanager
def running(device: Device, kind: str = 'cuda',
            autocast: torch.dtype | None = torch.bfloat16
            ) -> Iterator[None]:
    """While it lasts, ``device`` runs all operations, maybe in autocast.

    Args:
        kind (str): "cuda"; or "cpu", where the backward pass runs, too, for
            which torch wants a driver of CUDA's tensors.
    """
    with ExitStack() as stack:
        for owner, name, value in DRIVER:
            stack.enter_context(mock.patch.object(owner, name, value))
        stack.enter_context(mock.patch.object(
            FakeTensor, 'tolist', lambda tensor: device.tolist(tensor)))
        stack.enter_context(
            DefaultScope.overwrite_default_scope('mmpretrain'))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(device)
        stack.enter_context(Kernels(claim=kind == 'cpu'))
        for one in {kind, 'cuda'} if autocast else ():
            stack.enter_context(torch.autocast(one, autocast))
        yield


def faked(module: nn.Module, kind: str = 'cuda') -> nn.Module:
    """A copy of a module without numbers; call it inside :func:`running`."""
    memo: dict[int, Any] = {}
    for tensor in chain(module.parameters(), module.buffers()):
        fake: Any = torch.empty(tensor.shape, dtype=tensor.dtype,
                                device='cuda')
        if kind == 'cpu':
            fake = fake.cpu()
        if isinstance(tensor, nn.Parameter):
            fake = nn.Parameter(fake, tensor.requires_grad)
        memo[id(tensor)] = fake
    copy = deepcopy(module, memo)
    for part in copy.modules():
        if isinstance(part, BaseDataPreprocessor):
            part._device = torch.device(kind)  # as its method "to" does
    return copy


def give_weights(cfg: Config, folder: Path) -> None:
    """Let teachers and tokenizers start from files that are there.

    Args:
        cfg (Config): Changed in place.
        folder (Path): For files with weights of the right shapes, all 0.
    """
    teacher, head = (cfg.model.get(name) or {} for name in ('teacher', 'head'))
    kind = teacher.get('type', '').rpartition('.')[2]
    parts: dict[str, nn.Module] = {}
    with DefaultScope.overwrite_default_scope(
            'mmpretrain'), torch.device('meta'):
        if kind == 'CLIPTeacher':
            parts['visual'] = VisionTransformer(224, 16, 768, 12, 12, 512)
        elif 'checkpoint' in teacher:
            parts = {name: MODELS.build(teacher[name])
                     for name in ('backbone', 'head') if name in teacher}
        tokenizer = 'checkpoint' in head and MODELS.build(
            dict(head.get('tokenizer') or {}, type='DALL-E'))
    if parts:
        write(teacher, nn.ModuleDict(parts), folder)
    if tokenizer:
        write(head, tokenizer, folder)


def write(part: dict, module: nn.Module, folder: Path) -> None:
    """Let a part of a config start from weights of a module's shapes."""
    path = folder / f'{len(list(folder.iterdir()))}.pth'
    torch.save({name: torch.zeros((), dtype=value.dtype).expand(value.shape)
                for name, value in module.state_dict().items()}, path)
    part['checkpoint'] = str(path)


def batch_of(cfg: Config, number: int, kind: str = 'cuda'
             ) -> tuple[Any, list[DataSample] | None]:
    """A batch as the config's pipeline makes it: pictures, and their maps.

    Call it inside :func:`running`.
    """
    sizes, maps = made_by(pipeline_of(cfg.train_dataloader.dataset))
    pictures = [torch.empty(number, 3, *size, device='cuda')
                for size in sizes]
    if kind == 'cpu':
        pictures = [picture.cpu() for picture in pictures]
    if not maps:
        return pictures if len(pictures) > 1 else pictures[0], None
    samples = [DataSample() for _ in range(number)]
    for sample in samples:
        for key in {key for key, _ in maps}:
            found = [np.ones(grid, 'f4' if key == 'attention_map' else 'u1')
                     for name, grid in maps if name == key]
            sample.set_field(found if len(found) > 1 else found[0], key)
    return pictures if len(pictures) > 1 else pictures[0], samples


def made_by(pipeline: Sequence[dict]) -> tuple[list[tuple], list[tuple]]:
    """Pixels of each picture, (height, width), and each map's key and grid."""
    loaders = {kind: key for key, kind in STORED_MAPS.items()}
    sizes: list[tuple] = []
    maps: list[tuple] = []
    for step in pipeline:
        kind = step['type'].rpartition('.')[2]
        if kind == 'MultiView':
            for times, steps in zip(step['num_views'], step['transforms']):
                views, own = made_by(steps)
                sizes += times * views
                maps += times * own
        elif kind == 'PixelShift':
            sizes = 2 * [pair(step['size'])]
        elif kind == 'RandomResizedCropAndInterpolationWithTwoPic':
            sizes = [pair(step['size']), pair(step['second_size'])]
        elif kind.endswith('RandomResizedCrop'):
            sizes = [pair(step['scale'])]
        elif kind in loaders:
            maps.append((loaders[kind], pair(step['grid'])))
    return sizes, maps


def pair(size: int | Sequence[int]) -> tuple:
    return (size, size) if isinstance(size, int) else tuple(size)
