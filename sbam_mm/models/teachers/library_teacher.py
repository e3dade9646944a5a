# Copyright (c) OpenMMLab. All rights reserved.
"""Teachers whose architecture is the code of another library."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sbam_mm.errors import UserError, check_choice
from sbam_mm.layers.received_attention import received_from

from ..backbones.vit_attention import check_queries, which_block
from ..channels import SelfSupDataPreprocessor, image_channels
from .teachers import Teacher, resized

RESAMPLE = ('area', 'nearest', 'bilinear', 'bicubic')
CLASS_TOKENS = ('cls_token', 'class_token', 'class_embedding')
# The extra of this package that installs a library.
EXTRAS = dict(timm='timm', transformers='hf')


def library(name: str) -> Any:
    """A library that only some users have."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and lacks something itself
            raise
        raise UserError(
            f'this teacher wants {name}, which is not installed; run `pip '
            f"install 'sbam_mm[{EXTRAS[name]}]'`.") from error


class Shape(NamedTuple):
    """What has to be known of a library's ViT.

    ``patch`` and ``size`` are height and width in pixels, ``size`` that of
    the images its positions are made for; a ``fixed`` one takes no others.
    """
    depth: int
    heads: int
    patch: tuple[int, int]
    size: tuple[int, int]
    fixed: bool = False


class AttentionCall(NamedTuple):
    """What a layer gave to PyTorch's attention, q and k (B, heads, N, d)."""
    q: Tensor
    k: Tensor
    bias: Tensor | None
    scale: float


class Reached(Exception):
    """The layer that was asked for attends; nothing after it is wanted."""


class StopAtAttention(TorchFunctionMode):
    """While it lasts, the pass ends where a block attends, and q, k are kept.

    Queries and keys are those that the fused kernel would get: normalised,
    rotated, and with the bias that the architecture adds. The blocks before
    keep their fused attention.
    """

    def __init__(self, block: int):
        super().__init__()
        self.blocks_left = block
        self.call: AttentionCall | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            if not self.blocks_left:
                self.call = attention_call(*args, **(kwargs or {}))
                raise Reached
            self.blocks_left -= 1
        return func(*args, **(kwargs or {}))


def attention_call(query: Tensor,
                   key: Tensor,
                   value: Tensor,
                   attn_mask: Tensor | None = None,
                   dropout_p: float = 0.,
                   is_causal: bool = False,
                   scale: float | None = None,
                   enable_gqa: bool = False) -> AttentionCall:
    """The arguments of ``scaled_dot_product_attention``, by its names."""
    if attn_mask is not None and not attn_mask.is_floating_point():
        attn_mask = query.new_zeros(attn_mask.shape).masked_fill(
            ~attn_mask, -torch.inf)
    return AttentionCall(
        query, key, attn_mask,
        query.shape[-1]**-0.5 if scale is None else scale)


class LibraryTeacher(Teacher, ABC):
    """A frozen ViT that runs by its own library's code.

    Args:
        model (nn.Module): With its weights.
        name (str): Of its weights, for messages.
        shape (Shape): Of the model.
        mean, std (Sequence[float]): What its images were normalised with, in
            values from 0 to 255.
        size (int or tuple[int, int], optional): Pixels of the images it sees,
            a multiple of its patches. Defaults to None: so many that its
            patches are the student's; of a fixed model its own size.
        resample (str): How its map is brought to the student's grid where
            they differ: "area" lets every patch of the student have what the
            teacher's patches under it receive, by the shares that overlap;
            or one of ``torch.nn.functional.interpolate``.
    """

    def __init__(self,
                 model: nn.Module,
                 name: str,
                 shape: Shape,
                 mean: Sequence[float],
                 std: Sequence[float],
                 size: int | tuple[int, int] | None = None,
                 resample: str = 'area'):
        super().__init__()
        check_choice('resample', resample, RESAMPLE)
        self.model = model
        self.checkpoint = name
        self.shape = shape
        self.normalised = SelfSupDataPreprocessor(mean, std)
        self.resample = resample
        self.size: tuple[int, int] | None = None
        if size is not None or shape.fixed:
            height, width = to_2tuple(size or shape.size)
            self.size = (height, width)
            if height % self.patch_size[0] or width % self.patch_size[1]:
                raise UserError(
                    f'size={size} is no multiple of the patches of {name}, '
                    f'{self.patch_size[0]} x {self.patch_size[1]} pixels; '
                    'give one that is, or leave it out.')
        self.requires_grad_(False)
        self.eval()
        self._try()

    @abstractmethod
    def run(self, images: Tensor) -> Any:
        """One pass of the library's model over images of any size."""

    @property
    def depth(self) -> int:
        return self.shape.depth

    @property
    def heads(self) -> int:
        return self.shape.heads

    @property
    def patch_size(self) -> tuple[int, int]:
        return self.shape.patch

    @cached_property
    def has_class_token(self) -> bool:
        return any(name.rpartition('.')[2] in CLASS_TOKENS
                   for name, _ in self.model.named_parameters())

    def _try(self) -> None:
        """Stop unless every patch attends to every patch.

        As far as the first block, on the device that the weights are on.
        """
        height, width = self.size or self.shape.size
        with torch.device(next(self.model.parameters()).device):
            self.attention(
                torch.zeros(1, image_channels(self.model) or 3, height, width),
                (height // self.patch_size[0], width // self.patch_size[1]), 0,
                'all', softmax=False)

    @torch.no_grad()
    def attention(self,
                  images: Tensor,
                  grid: tuple[int, int],
                  block: int,
                  queries: str = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """Attention that patches receive; see :func:`patch_attention`.

        ``images`` are normalised for this teacher, ``grid`` is the student's.
        """
        check_queries(queries, self.has_class_token)
        stop = StopAtAttention(which_block(block, self.depth))
        images = (self.at_grid(images, grid) if self.size is None else
                  resized(images, self.size))
        try:
            with stop:
                self.run(images)
        except Reached:
            pass
        own = (images.shape[2] // self.patch_size[0],
               images.shape[3] // self.patch_size[1])
        call = stop.call
        extra = -1 if call is None else call.k.shape[2] - own[0] * own[1]
        if (call is None or extra < 0 or call.q.shape != call.k.shape
                or len(call.q) != len(images)):
            raise UserError(
                f'{self.checkpoint} is no plain Vision Transformer, whose '
                'patches all attend to one another; name one that is.')
        q, k = (part.float().transpose(1, 2) for part in (call.q, call.k))
        received = received_from(q * call.scale, k, queries, softmax,
                                 own_query, call.bias, extra)
        return on_grid(received[..., extra:], own, grid, self.resample)


def on_grid(received: Tensor,
            own: tuple[int, int],
            grid: tuple[int, int],
            resample: str = 'area') -> Tensor:
    """What patches receive, (B, heads, h * w), on another grid of patches.

    By "area" their sum stays the same.

    Example:
        >>> on_grid(torch.ones(1, 1, 6), (2, 3), (1, 2)).tolist()
        [[[3.0, 3.0]]]
    """
    if own == grid:
        return received
    maps = received.unflatten(-1, own)
    if resample == 'area':
        rows, columns = (overlaps(*sides).to(maps)
                         for sides in zip(own, grid))
        return (rows @ maps @ columns.T).flatten(-2)
    smooth = resample != 'nearest'
    return F.interpolate(
        maps, grid, mode=resample, antialias=smooth,
        **(dict(align_corners=False) if smooth else {})).flatten(-2)


def overlaps(source: int, target: int) -> Tensor:
    """Which share of each of ``source`` equal parts of a line lies in each
    of ``target``, (target, source).

    Example:
        >>> overlaps(3, 2)
        tensor([[1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000]])
    """
    ours = torch.arange(source, dtype=torch.float64) * target
    theirs = torch.arange(target, dtype=torch.float64)[:, None] * source
    shared = (torch.minimum(ours + target, theirs + source) -
              torch.maximum(ours, theirs)).clamp(min=0)
    return (shared / target).float()


def why_refused(error: Exception, model: str,
                checkpoint: str | None) -> UserError:
    """One sentence for what a library says when it cannot build a model."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith('Error(s) in loading'):
        reason = ' '.join(lines[1:])
    else:
        reason = (lines or [''])[0].split('. ')[0]
    reason = reason[:160].rstrip('. ') or type(error).__name__
    if checkpoint is None:
        return UserError(
            f'{model} cannot be loaded ({reason}); check the name, or give '
            'a file or a folder that is there.')
    return UserError(
        f'{checkpoint} does not hold the weights of {model} ({reason}); give '
        'weights of this model.')
