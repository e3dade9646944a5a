# Copyright (c) OpenMMLab. All rights reserved.
"""Images and a model, and the masks that maskers make of them.

What does not depend on a masker is computed once: the tokens of an image, and
what maskers ask an encoder or a teacher.
"""
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.evaluation.mask_metrics import mask_metrics
from sbam_mm.evaluation.object_masks import ObjectMasks, token_coverage
from sbam_mm.masking import MaskingContext, TokenMask
from sbam_mm.masking import functional as F
from sbam_mm.visualization import center_crop, draw_mask
from sbam_mm.visualization.fitted_maskers import fit_all, labelled_maskers
from sbam_mm.visualization.masks import mask_grids, on_grid
from sbam_mm.visualization.pixels import as_picture, to_inputs, to_pixels

# Pixels of a picture's side on the page, at least.
SHARP = 448
# Images that are compared at once, and those that are kept.
MOST, KEPT = 16, 200


class Kept:
    """The newest results, computed once each."""

    def __init__(self, size: int):
        self.size = size
        self._found: OrderedDict[Hashable, Any] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._found

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = make()
        self._found.move_to_end(key)
        while len(self._found) > self.size:
            self._found.popitem(last=False)
        return self._found[key]


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is shown and as the model sees it.

    Args:
        key (str): A digest of its pixels.
        shown, seen (np.ndarray): uint8, (H, W, C).
        objects (Tensor, optional): Share of every patch that is object,
            (1, L).
    """
    key: str
    name: str
    shown: np.ndarray
    seen: np.ndarray
    objects: Tensor | None = None


class Masked(NamedTuple):
    """What a masker makes of some pictures.

    Attributes:
        label (str): Of masker and ratio.
        hidden, thrown (np.ndarray): Boolean, (B, h, w); thrown ones are
            hidden, too.
        scores (np.ndarray, optional): (B, h, w) in [0, 1].
        facts (list[dict[str, float]]): Of every picture: ``hidden`` (share of
            its tokens), ``ratio`` (asked for), ``visible``, ``tokens``, and
            where they are known ``thrown``, ``salient``, ``object_hidden``
            and ``background_hidden``.
        note (str): What was changed to fit the model.
        token_mask (TokenMask): All of it.
    """
    label: str
    hidden: np.ndarray
    thrown: np.ndarray
    scores: np.ndarray | None
    facts: list[dict[str, float]]
    note: str
    token_mask: TokenMask


class Session:
    """One model, and pictures by their keys; safe in several threads.

    Args:
        model (MaskedImageModel): In evaluation mode. It may be exchanged, see
            :meth:`use`.
        decoding (Mapping): ``channels`` and ``value_range`` of its images.
    """

    def __init__(self, model: Any, decoding: Mapping[str, Any] | None = None):
        self.model = model
        self.decoding = dict(decoding or {})
        height, width = map(int, model.backbone.img_size)
        self.size = (height, width)
        self.scale = max(1, -(-SHARP // max(self.size)))
        self.lock = RLock()
        self._pictures = Kept(KEPT)
        self._weights: Hashable = None
        self._tokens = Kept(64)
        self._contexts = Kept(4)
        self._masks = Kept(64)
        self._made = Kept(16)

    @property
    def encoder(self) -> tuple[int, int]:
        """Blocks and heads of the encoder, 0 where they are not known."""
        layers = getattr(self.model.backbone, 'layers', None)
        if not layers:
            return 0, 0
        return len(layers), getattr(
            getattr(layers[0], 'attn', None), 'num_heads', 0)

    def use(self, weights: Hashable, load: Callable[[Any], Any]) -> None:
        """Let other weights be loaded, unless they are there already."""
        with self.lock:
            if weights != self._weights:
                self._weights = None
                load(self.model)
                self._weights = weights

    def add(self, name: str, image: np.ndarray,
            objects: ObjectMasks | None = None,
            path: str | Path | None = None) -> str:
        """Keep an image; returns its key."""
        height, width = self.size
        shown = center_crop(image, (self.scale * height, self.scale * width))
        cover = None
        if objects is not None:
            mask = objects(path or name, image.shape[:2])
            cover = token_coverage([mask], self.size,
                                   self.model.backbone.patch_size)
        digest = hashlib.sha256(
            repr((name, shown.shape)).encode() + shown.tobytes())
        key = digest.hexdigest()[:16]
        with self.lock:
            self._pictures.get(key, lambda: Picture(
                key, name, shown, center_crop(shown, self.size), cover))
        return key

    def kept(self, keys: Sequence[str]) -> list[Picture]:
        """Those of the pictures that are there."""
        with self.lock:
            return [self._pictures.get(key, lambda: None) for key in keys
                    if key in self._pictures]

    def pictures(self, keys: Sequence[str]) -> list[Picture]:
        """Pictures that were added, to be compared."""
        if not keys:
            raise UserError('no image is chosen; click one of the row above, '
                            'or drop one in.')
        if len(keys) > MOST:
            raise UserError(f'{len(keys)} images are chosen, and at most '
                            f'{MOST} are compared; click some of them away.')
        found = self.kept(keys)
        if len(found) < len(keys):
            raise UserError('an image is no longer kept; drop it in again.')
        return found

    @torch.no_grad()
    def context(self, keys: Sequence[str], progress: float
                ) -> MaskingContext:
        """What maskers may look at; shared, so hold :attr:`lock`."""

        def make() -> MaskingContext:
            pictures = self.pictures(keys)
            inputs = to_inputs(self.model, [one.seen for one in pictures])
            tokens = [
                self._tokens.get((self._weights, one.key),
                                 partial(self.model.embed, inputs[i:i + 1]))
                for i, one in enumerate(pictures)
            ]
            return self.model.context(torch.cat(tokens), inputs)

        found = self._contexts.get((self._weights, tuple(keys)), make)
        found.progress = progress
        return found

    def mask(self, config: Mapping, keys: Sequence[str], seed: int = 0,
             progress: float = 1.) -> Masked:
        """Mask pictures with a masker of a config.

        Raises:
            UserError: If an option is wrong, or the model cannot give what
                the masker needs.
        """
        known = json.dumps(config, sort_keys=True, default=repr)
        with self.lock:
            return self._masks.get(
                (self._weights, known, tuple(keys), seed, progress),
                lambda: self._mask(config, keys, seed, progress))

    def _mask(self, config: Mapping, keys: Sequence[str], seed: int,
              progress: float) -> Masked:
        maskers = labelled_maskers([config])
        note = fit_all(maskers, self.model)
        (label, masker), = maskers.items()
        found = draw_mask(masker, self.context(keys, progress), seed)
        pictures = self.pictures(keys)
        hidden, scores = mask_grids(self.model, found, pictures[0].seen)
        thrown = np.zeros_like(hidden)
        if found.thrown is not None:
            thrown = on_grid(self.model, found.thrown, pictures[0].seen)
        facts = [_facts(found, i, one.objects)
                 for i, one in enumerate(pictures)]
        return Masked(label, hidden, thrown,
                      scores if scores.any() else None, facts,
                      note.partition(': ')[2], found)

    @torch.no_grad()
    def reconstruct(self, masked: Masked,
                    keys: Sequence[str]) -> list[np.ndarray]:
        """Predictions where patches are masked, the image elsewhere."""

        def make() -> tuple[Masked, list[np.ndarray]]:
            pictures = self.pictures(keys)
            inputs = to_inputs(self.model, [one.seen for one in pictures])
            made = self.model.reconstruct(inputs, masked.token_mask)
            predicted = to_pixels(self.model, made.images)
            # With the mask, so that nothing else gets its id.
            return masked, [as_picture(one) for one in predicted]

        with self.lock:
            return self._made.get(
                (self._weights, id(masked), tuple(keys)), make)[1]

    def attention(self, key: str, patch: int | None, block: int,
                  head: int | None) -> np.ndarray:
        """Attention of one patch, or the class token, to all: (h, w).

        Args:
            patch (int, optional): Row by row; None is the class token.
            head (int, optional): None is the mean over heads.

        Returns:
            np.ndarray: Scaled to [0, 1].
        """
        with self.lock:
            context = self.context([key], 1.)
            found = context.ask('attention', block,
                                'cls' if patch is None else patch, True, True)
            found = found[0].mean(0) if head is None else found[0, head]
            return on_grid(self.model, F.min_max(found[None]),
                           self.pictures([key])[0].seen)[0]


def _facts(found: TokenMask, i: int, objects: Tensor | None
           ) -> dict[str, float]:
    facts: dict[str, float] = dict(
        hidden=float((~found.visible[i]).float().mean()),
        visible=int(found.visible_counts[i]),
        tokens=found.masked.shape[1])
    for name in ('ratio', 'salient'):
        value = getattr(found, name)
        if value is not None:
            facts[name] = float(value[i])
    if found.thrown is not None:
        facts['thrown'] = float(found.thrown[i].float().mean())
    if objects is not None and 0 < objects.sum() < objects.numel():
        one = TokenMask(found.masked[i:i + 1], None if found.thrown is None
                        else found.thrown[i:i + 1])
        measured = mask_metrics(one, objects)
        for name in ('object_hidden', 'background_hidden'):
            facts[name] = float(measured[name])
    return facts
