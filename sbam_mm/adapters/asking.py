# Copyright (c) OpenMMLab. All rights reserved.
"""What all adapters have in common: a masker, asked from a foreign model."""
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import MaskingContext, TokenMask, check_needs

# A function of the context and of what is asked, by name.
Providers = Mapping[str, Callable[..., Any]]


class AskedMasker(nn.Module):
    """A masker, and what it may know beside tokens and images.

    Args:
        masker (nn.Module): Any of :mod:`sbam_mm.masking`.
        providers (Mapping[str, Callable], optional): What the masker asks
            for, by name, such as ``teacher_attention`` or ``attention_map``:
            functions of the :class:`MaskingContext` and of the question.

    Attributes:
        mask (TokenMask): Of the last batch.
        progress (float): How much of the training is done, in [0, 1]. Set it
            for maskers that change over the training.
        epoch (int): Epochs done so far, likewise.
    """
    # Who calls, and where images may have a ratio of their own.
    caller: str
    remedy = 'use sbam_mm.adapters.packed.PackedViT'
    equal_counts = True
    takes_thrown = True

    mask: TokenMask

    def __init__(self,
                 masker: nn.Module,
                 providers: Providers | None = None):
        super().__init__()
        self.masker = masker
        self.providers = dict(providers or {})
        self.progress = 0.
        self.epoch = 0
        name = type(masker).__name__
        check_needs(
            masker, frozenset(self.providers), f'{self.caller} by itself',
            {need: f'pass providers=dict({need}=...) to the adapter'
             for need in masker.needs})
        if self.equal_counts and not masker.uniform:
            raise UserError(
                f'{name} gives every image its own number of tokens, but '
                f'{self.caller} takes equally many of each; {self.remedy} for '
                "a ratio per image, or set scope='batch' where the masker "
                'has it.')

    def decide(self,
               tokens: Tensor,
               grid: tuple[int, int],
               images: Tensor | None = None) -> TokenMask:
        """Ask the masker; see :class:`MaskingContext` for the arguments."""
        context = MaskingContext(
            tokens, grid, images=images, progress=self.progress,
            epoch=self.epoch)
        context.providers = {name: partial(provider, context)
                             for name, provider in self.providers.items()}
        mask = self.masker(context)
        if mask.thrown is not None and not self.takes_thrown:
            raise UserError(
                f'{type(self.masker).__name__} throws tokens away, which '
                f'{self.caller} would predict all the same; choose a masker '
                'that throws none, or set throw=0.')
        self.mask = mask
        return mask


def take(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens (B, K, D) at int64 (B, K) of (B, L, D)."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))
