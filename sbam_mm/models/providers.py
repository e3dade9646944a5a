# Copyright (c) OpenMMLab. All rights reserved.
"""What maskers may ask a model for, by name.

Something new is a line in :data:`PROVIDERS`: a function of the model, the
batch and the masker's question. It is computed only if a masker asks.
"""
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from .stored_maps import stored_map

# Maps per image that the pipeline may bring, and the transform that does.
STORED_MAPS = {
    'attention_map': 'LoadAttentionMap',
    'part_map': 'LoadPartMap',
    'segment_map': 'LoadSegments',
}


class Batch(NamedTuple):
    """What a provider may look at.

    ``teaching`` is a teacher's pass over these images that the model has made
    anyway, with a method ``attention``.
    """
    tokens: Tensor  # with positions, (B, L, D)
    images: Tensor  # (B, C, H, W)
    grid: tuple[int, int]
    data_samples: list | None = None
    teaching: Any = None


Provider = Callable[..., Tensor | None]


def own_attention(model: Any, batch: Batch, *question: Any) -> Tensor:
    """In a block of the encoder itself, on whole images."""
    return model.backbone.attention(batch.tokens, *question)


def layer_tokens(model: Any, batch: Batch, layer: int) -> Tensor:
    """The encoder's tokens after a block, nothing hidden."""
    return model.backbone.layer_tokens(batch.tokens, layer)


def position(model: Any, batch: Batch) -> Tensor:
    """The positions that are in the tokens."""
    return model.backbone.position(batch.grid)[:, 1:]


def brought(key: str, model: Any, batch: Batch) -> Tensor | None:
    """A map that comes with the images."""
    return stored_map(batch.data_samples, key, batch.grid,
                      batch.tokens.device, STORED_MAPS[key])


def ask_teacher(model: Any, batch: Batch, *question: Any) -> Tensor:
    """Attention of the teacher on whole images."""
    images = model.teacher.as_its_own(batch.images, model)
    return model.teacher.attention(images, batch.grid, *question)


def ask_target(model: Any, batch: Batch, *question: Any) -> Tensor:
    """Attention of the momentum copy that sets the target."""
    if batch.teaching is not None:
        return batch.teaching.attention(*question)
    return model.target.attention(batch.images, batch.grid, *question)


PROVIDERS: dict[str, Provider] = {
    'attention': own_attention,
    'layer_tokens': layer_tokens,
    'position': position,
    **{key: partial(brought, key) for key in STORED_MAPS},
}
# What a user adds when a masker needs what is not there.
REMEDIES = {
    'teacher_attention':
    "add model.teacher=dict(type='sbam_mm.FrozenTeacher', backbone=..., "
    "checkpoint=...) or dict(type='sbam_mm.MomentumTeacher'), or set "
    "source='self' in the masker",
    'predicted_loss':
    "use model.type='sbam_mm.HPM', which predicts the loss of every patch",
}
