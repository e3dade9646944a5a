# Copyright (c) OpenMMLab. All rights reserved.
"""One vector per image from a ViT's tokens, in all the ways papers use."""
from typing import Any

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError

# Rows of what `pooled_tokens` returns, joined to one vector: the class token
# of the last block or the last four (DINO's n_last_blocks), the mean of the
# patch tokens, or both (DINO's avgpool).
POOLINGS: dict[str, slice] = {
    'cls': slice(-2, -1),
    'avg': slice(-1, None),
    'cls+avg': slice(-2, None),
    '4cls': slice(-5, -1),
    '4cls+avg': slice(-5, None),
}


def blocks_for(poolings: list[str]) -> int:
    """How many last blocks the poolings look at: 1 or 4.

    Raises:
        UserError: For an unknown pooling.
    """
    unknown = [name for name in poolings if name not in POOLINGS]
    if unknown or not poolings:
        raise UserError(f'pooling {", ".join(unknown) or "of none"} is '
                        f'unknown; choose from {", ".join(POOLINGS)}.')
    return 4 if any(name.startswith('4') for name in poolings) else 1


def pooled_tokens(backbone: nn.Module, images: Tensor,
                  blocks: int = 1) -> Tensor:
    """Class tokens of the last blocks, and the mean of the patch tokens.

    Args:
        backbone (nn.Module): (B, 3, H, W) -> a tuple whose last item is
            (B, 1 + L, D), class token first, or a map (B, D, h, w).
        images (Tensor): (B, 3, H, W), normalised.
        blocks (int): Class tokens of so many last blocks, each through the
            final norm, as DINO has it. Defaults to 1.

    Returns:
        Tensor: (B, blocks + 1, D): the class tokens, last block last, and
        the mean patch token of the last block. Without a class token
        (B, 1, D), the mean alone.

    Raises:
        UserError: If a backbone without class token or with fewer blocks
            should give more.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> vit = VisionTransformer('deit-tiny', 32, 8, out_type='raw')
        >>> pooled_tokens(vit, torch.randn(2, 3, 32, 32), blocks=4).shape
        torch.Size([2, 5, 192])
    """
    kept: list[Tensor] = []
    name = type(backbone).__name__
    layers = getattr(backbone, 'layers', ())
    if blocks - 1 >= max(len(layers), 1):
        raise UserError(f'{name} has {len(layers)} blocks, from which '
                        f'{blocks} class tokens cannot be taken; use the '
                        'last one: pooling "cls" or "avg".')

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        kept.append(output[:, 0])

    hooks = [layer.register_forward_hook(keep)
             for layer in list(layers)[-blocks:-1]]
    try:
        out = backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    out = out[-1] if isinstance(out, (tuple, list)) else out
    if out.ndim == 4:
        out = out.flatten(2).transpose(1, 2)
        extra = 0
    else:
        extra = getattr(backbone, 'num_extra_tokens', 1)
    if not extra:
        if blocks > 1:
            raise UserError(f'{name} has no class token, so class tokens of '
                            f'{blocks} blocks cannot be taken; use "avg".')
        return out.mean(1, keepdim=True)
    norm: Any = getattr(backbone, 'ln1', nn.Identity())
    rows = [*(norm(token) for token in kept), out[:, 0],
            out[:, extra:].mean(1)]
    return torch.stack(rows, 1)


def pool(rows: Tensor, pooling: str) -> Tensor:
    """Rows of :func:`pooled_tokens` as one vector per image.

    Args:
        rows (Tensor): (B, R, D).
        pooling (str): A key of ``POOLINGS``.

    Returns:
        Tensor: (B, D), or with several rows joined (B, n D).

    Raises:
        UserError: If the rows lack what is asked for.

    Example:
        >>> pool(torch.tensor([[[1., 2.], [3., 4.]]]), 'cls+avg')
        tensor([[1., 2., 3., 4.]])
    """
    chosen = POOLINGS[pooling]
    if -(chosen.start or 0) > rows.shape[1]:
        raise UserError(f'the encoder has no class token, so pooling '
                        f'{pooling!r} is not possible; use "avg".')
    return rows[:, chosen].flatten(1)
