# Copyright (c) OpenMMLab. All rights reserved.
"""A frozen ViT of timm or transformers that says what to hide."""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sbam_mm.attention import (
    attention_on_grid,
    check_queries,
    has_class_token,
    make_readable,
    shape_of,
)
from sbam_mm.errors import UserError
from sbam_mm.masking import MaskingContext


class AttentionOf:
    """The ``teacher_attention`` of a ViT: what its tokens attend to.

    Queries and keys are read where the library calls PyTorch's fused
    attention in the block that is asked for; nothing after it is run.

    Args:
        vit (nn.Module): A Vision Transformer of timm or transformers, on the
            device of the images. It is put into evaluation mode, gets no
            gradient, and masks nothing itself.
        prepare (Callable, optional): From the batch's images to those that
            ``vit`` was trained on, such as another mean and deviation.
            Defaults to None: as they are. They are resized so that it has
            as many patches as the student; a model of one size sees its own,
            and its map is brought to the student's grid by area.

    Raises:
        UserError: If it is no plain Vision Transformer, or has no such block
            or class token, or there are no images.

    Example::

        dropper = use_masker(
            vit, AttMask('high', ratio=0.75, probability=1.),
            providers=dict(teacher_attention=AttentionOf(teacher)))
    """

    def __init__(self,
                 vit: nn.Module,
                 prepare: Callable[[Tensor], Tensor] | None = None):
        self.name = type(vit).__name__
        self.shape = shape_of(vit, self.name)
        self.class_token = has_class_token(vit)
        make_readable(vit)
        self.vit = vit.eval().requires_grad_(False)
        self.prepare = prepare

    @torch.no_grad()
    def __call__(self,
                 context: MaskingContext,
                 block: int,
                 queries: str = 'cls',
                 softmax: bool = True,
                 own_query: bool = True) -> Tensor:
        """Attention that the student's patches receive, (B, heads, L)."""
        check_queries(queries, self.class_token)
        images = context.images
        if images is None:
            raise UserError(
                f'{self.name} is asked what it attends to, but whoever calls '
                'the masker passes no images; use an adapter that does, or '
                'give them to the MaskingContext.')
        if self.prepare is not None:
            images = self.prepare(images)
        return attention_on_grid(
            self.vit, self.shape, images, context.grid, block, queries,
            softmax, own_query,
            self.shape.size if self.shape.fixed else None, name=self.name)
