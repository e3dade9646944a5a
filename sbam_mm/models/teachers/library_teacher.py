# Copyright (c) OpenMMLab. All rights reserved.
"""Teachers whose architecture is the code of another library."""
from collections.abc import Sequence
from functools import cached_property

import torch
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from sbam_mm.attention import (
    RESAMPLE,
    Shape,
    attention_on_grid,
    check_queries,
    has_class_token,
    make_readable,
)
from sbam_mm.errors import UserError, check_choice

from ..channels import SelfSupDataPreprocessor, image_channels
from .teachers import Teacher


class LibraryTeacher(Teacher):
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
        make_readable(model)
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

    @property
    def depth(self) -> int:
        return self.shape.depth

    @property
    def heads(self) -> int:
        return self.shape.heads

    @property
    def patch_size(self) -> tuple[int, int]:
        return self.shape.patch

    @property
    def image_size(self) -> tuple[int, int]:
        return self.size or self.shape.size

    @cached_property
    def has_class_token(self) -> bool:
        return has_class_token(self.model)

    def _try(self) -> None:
        """Stop unless every patch attends to every patch.

        As far as the first block, on the device that the weights are on.
        """
        height, width = self.image_size
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
        return attention_on_grid(
            self.model, self.shape, images, grid, block, queries, softmax,
            own_query, self.size, self.resample, self.checkpoint)


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
