# Copyright (c) OpenMMLab. All rights reserved.
"""What every masked-image-modelling method shares: a masker and its view."""
from functools import partial
from typing import FrozenSet, Tuple

from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from sbam_mm.masking import MaskingContext, RandomMasker, check_needs
from sbam_mm.models.progress import training_progress
from sbam_mm.registry import build_part


class MaskedImageModel(BaseSelfSupervisor):
    """A self-supervised method with an exchangeable masker.

    Args:
        backbone (dict or nn.Module): The encoder, e.g. ``MaskedViT``.
        masker (dict or nn.Module): Decides which patches to hide. Defaults
            to random masking at 0.75.
        neck (dict or nn.Module, optional): The decoder. Defaults to None.
        head (dict or nn.Module, optional): Target and loss. Defaults to None.
        **kwargs: Other options of mmpretrain's ``BaseSelfSupervisor``.

    Raises:
        ValueError: At build time, if the masker needs what this method
            cannot give.
    """
    # What `context` can answer when a masker asks.
    provides: FrozenSet[str] = frozenset(
        {'attention', 'layer_tokens', 'position'})

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 neck: dict | nn.Module | None = None,
                 head: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone=build_part(backbone),
            neck=None if neck is None else build_part(neck),
            head=None if head is None else build_part(head),
            **kwargs)
        masker = RandomMasker() if masker is None else build_part(masker)
        check_needs(masker, self.provides, type(self).__name__)
        drop_path_rate = getattr(self.backbone, 'drop_path_rate', 0.)
        if not masker.uniform and drop_path_rate > 0:
            raise ValueError(
                f'{type(masker).__name__} gives every image its own ratio, '
                'and stochastic depth would drop single tokens of the packed '
                'sequence; set backbone.drop_path_rate=0 for pre-training.')
        self.masker = masker

    def context(self, tokens: Tensor, grid: Tuple[int, int]) -> MaskingContext:
        """What the masker may look at.

        Args:
            tokens (Tensor): Patch tokens with positions, (B, L, D).
            grid (tuple[int, int]): Patches per column and per row.
        """
        progress, epoch = training_progress()
        return MaskingContext(
            tokens,
            grid,
            progress=progress,
            epoch=epoch,
            providers=dict(
                attention=partial(self.backbone.attention, tokens),
                layer_tokens=partial(self.backbone.layer_tokens, tokens),
                position=lambda: self.backbone.position(grid)[:, 1:]))
