# Copyright (c) OpenMMLab. All rights reserved.
"""The two data types that maskers and models exchange."""
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from .functional import order_to_rank


@dataclass(eq=False)
class TokenMask:
    """Which patch tokens are hidden, for a batch of ``B`` images.

    A token is in one of three states: *visible* (goes through the encoder),
    *masked* (hidden, to be predicted) or *thrown* (in neither encoder, decoder
    nor loss; AMT). Everything else is derived from these booleans on demand.

    Args:
        masked (Tensor): Boolean, (B, L). True = hidden and to be predicted.
        thrown (Tensor, optional): Boolean, (B, L), disjoint from ``masked``.
        ratio (Tensor, optional): Masking ratio each image asked for, before
            rounding to tokens, float32 (B,).
        scores (Tensor, optional): The scores the choice was made from,
            float32 (B, L), for pictures and logs.
        salient (Tensor, optional): Share of the image's tokens above the
            salience threshold, float32 (B,).
        num_visible (int, optional): The number of visible tokens when it is
            the same for every image *and known without asking the device*;
            it selects the dense path of the encoder.
        targets (Tensor, optional): Boolean, (B, T, L). Parts of ``masked``,
            which may overlap, for methods that predict one at a time
            (I-JEPA). Defaults to None: ``masked`` is the only one.

    Example:
        >>> masked = torch.tensor([[True, False, True, True],
        ...                        [False, False, True, True]])
        >>> mask = TokenMask(masked)
        >>> mask.visible_counts.tolist(), mask.uniform
        ([1, 2], False)
    """
    masked: Tensor
    thrown: Tensor | None = None
    ratio: Tensor | None = None
    scores: Tensor | None = None
    salient: Tensor | None = None
    num_visible: int | None = None
    targets: Tensor | None = None

    def __post_init__(self):
        if self.masked.dtype != torch.bool or self.masked.dim() != 2:
            raise UserError(
                'TokenMask wants `masked` as a boolean (B, L) tensor, got '
                f'{self.masked.dtype} {tuple(self.masked.shape)}.')
        if self.thrown is not None and self.thrown.shape != self.masked.shape:
            raise UserError(
                f'`thrown` {tuple(self.thrown.shape)} must have the shape of '
                f'`masked` {tuple(self.masked.shape)}.')

    @property
    def uniform(self) -> bool:
        """Whether every image is known to keep the same number of tokens."""
        return self.num_visible is not None

    @cached_property
    def visible(self) -> Tensor:
        """Boolean (B, L): neither masked nor thrown."""
        hidden = self.masked
        if self.thrown is not None:
            hidden = hidden | self.thrown
        return ~hidden

    @cached_property
    def visible_counts(self) -> Tensor:
        """Visible tokens per image, int64 (B,)."""
        return self.visible.sum(dim=1)

    @cached_property
    def ids_restore(self) -> Tensor:
        """MAE's inverse permutation, int64 (B, L).

        With the visible tokens first and the others after them, both in grid
        order, ``ids_restore[b, l]`` is where patch ``l`` stands.
        """
        return order_to_rank(self.ids_shuffle)

    @cached_property
    def ids_shuffle(self) -> Tensor:
        """MAE's permutation, int64 (B, L): visible patches, then the rest."""
        return torch.argsort((~self.visible).byte(), dim=1, stable=True)

    @property
    def ids_keep(self) -> Tensor:
        """Where the visible patches are, int64 (B, K), in grid order.

        Raises:
            UserError: If images keep unequally many.
        """
        if self.num_visible is None:
            raise UserError(
                'ids_keep is for masks with equally many visible tokens in '
                'every image; use `visible`, or a masker with one ratio per '
                'batch.')
        return self.ids_shuffle[:, :self.num_visible]

    def statistics(self) -> dict[str, Tensor]:
        """Scalars for the log.

        ``mask_ratio`` is the share of an image's tokens that is masked: whole
        tokens, so at a ratio of 0.9 it is 57 / 64 or 58 / 64. No name contains
        "loss", so mmengine leaves them out of the sum that is minimised.
        """
        ratio = self.masked.float().mean(dim=1)
        stats = dict(
            mask_ratio=ratio.mean(),
            mask_ratio_min=ratio.min(),
            mask_ratio_max=ratio.max(),
            visible_tokens=self.visible_counts.float().mean())
        if self.thrown is not None:
            stats['thrown_tokens'] = self.thrown.sum(dim=1).float().mean()
        if self.salient is not None:
            stats['salient_fraction'] = self.salient.mean()
        return stats


@dataclass
class MaskingContext:
    """All that a masker may look at. A model fills in what it has.

    Args:
        tokens (Tensor): Patch tokens after position embedding, without class
            token, (B, L, D), row by row over the grid.
        grid (tuple[int, int]): Patches per column and per row, h * w = L.
        images (Tensor, optional): As the model sees them, (B, C, H, W).
        progress (float): How much of the training is done, in [0, 1].
        epoch (int): Epochs done so far.
        providers (Mapping[str, Callable]): What is computed only if a masker
            asks for it, by name; see :meth:`ask`.
    """
    tokens: Tensor
    grid: tuple[int, int]
    images: Tensor | None = field(default=None, kw_only=True)
    progress: float = 0.
    epoch: int = 0
    providers: Mapping[str, Callable[..., Tensor | None]] = field(
        default_factory=dict)
    _answers: dict[tuple, Tensor | None] = field(
        default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        if self.grid[0] * self.grid[1] != self.tokens.shape[1]:
            raise UserError(
                f'a grid of {self.grid[0]} x {self.grid[1]} patches does not '
                f'have the {self.tokens.shape[1]} tokens given; pass the '
                'patch tokens without class token.')

    @property
    def batch_size(self) -> int:
        return self.tokens.shape[0]

    @property
    def num_tokens(self) -> int:
        return self.tokens.shape[1]

    def ask(self, name: str, *args) -> Any:
        """What is provided as ``name``, computed once per ``args``."""
        if name not in self.providers:
            raise KeyError(
                f'the masker asks for {name!r}, which this model does not '
                f'provide (it provides: {sorted(self.providers) or "nothing"})'
            )
        question = (name, *args)
        if question not in self._answers:
            self._answers[question] = self.providers[name](*args)
        return self._answers[question]


def check_needs(masker,
                provides: frozenset[str],
                model: str,
                remedies: Mapping[str, str] | None = None) -> None:
    """Stop at build time when a model cannot give a masker what it needs.

    Args:
        model (str): The model's name, for the message.
        remedies (Mapping[str, str], optional): What to do, by what is
            missing.
    """
    missing = sorted(set(getattr(masker, 'needs', ())) - set(provides))
    if missing:
        remedies = remedies or {}
        known = [remedies[name] for name in missing if name in remedies]
        remedy = '; '.join(known) or (
            'choose a masker with `model.masker=dict(type=...)` that does '
            'not need it, or a model that provides it')
        raise UserError(
            f'{type(masker).__name__} needs {", ".join(map(repr, missing))}, '
            f'which {model} cannot give (it gives '
            f'{", ".join(map(repr, sorted(provides))) or "tokens only"}); '
            f'{remedy}.')
