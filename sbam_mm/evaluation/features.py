# Copyright (c) OpenMMLab. All rights reserved.
"""Frozen features by name, from whatever an encoder makes of images."""
import inspect
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import default_collate
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sbam_mm.engine.fsdp import unwrapped
from sbam_mm.errors import UserError
from sbam_mm.layers import Attend
from sbam_mm.models.backbones.vit_attention import input_tokens, run_whole
from sbam_mm.models.evaluating import evaluating
from sbam_mm.models.guidance import attending, kernels_for

# Vectors (B, D) by name.
Features = dict[str, Tensor]


@dataclass
class Tokens:
    """What an encoder makes of images.

    The ``patches`` (B, L, D) are of the last block; class tokens (B, D), if
    any, of the last blocks, each through the final norm, the last one last.
    """
    patches: Tensor
    cls: list[Tensor]
    encoder: str

    def class_tokens(self, blocks: int) -> Tensor:
        """Those of the last blocks, joined: (B, blocks D)."""
        if not self.cls:
            raise UserError(
                f'{self.encoder} returns no class token; use the feature '
                '"avg", or set backbone.out_type=\'raw\' if it has one.')
        return torch.cat(self.cls[-blocks:], 1)


# What is kept of the tokens, under the name it is stored with.
FEATURES: dict[str, Callable[[Tokens], Tensor]] = {
    'cls': lambda tokens: tokens.class_tokens(1),
    'avg': lambda tokens: tokens.patches.mean(1),
    # DINO's n_last_blocks.
    '4cls': lambda tokens: tokens.class_tokens(4),
}
# What classifiers take: a feature, or several joined (DINO's avgpool).
POOLINGS = ('cls', 'avg', 'cls+avg', '4cls', '4cls+avg')


def features_for(poolings: Iterable[str]) -> list[str]:
    """Names of the features that some poolings are made of."""
    names = list(dict.fromkeys(
        name for pooling in poolings for name in pooling.split('+')))
    unknown = [name for name in names if name not in FEATURES]
    if unknown or not names:
        raise UserError(f'pooling {", ".join(unknown) or "of none"} is '
                        f'unknown; choose from {", ".join(POOLINGS)}.')
    return names


def pool(features: Mapping[str, Tensor], pooling: str) -> Tensor:
    """Features (B, D) joined to one vector (B, n D) per image."""
    return torch.cat([features[name] for name in pooling.split('+')], 1)


def has_class_token(encoder: nn.Module) -> bool:
    """Whether there is a feature "cls"; networks of feature maps have none."""
    return bool(getattr(encoder, 'num_extra_tokens',
                        getattr(encoder, 'cls_token', None) is not None))


def encode(encoder: nn.Module,
           images: Tensor,
           blocks: int = 1,
           kernels: Sequence[Attend] | None = None) -> Tokens:
    """The tokens of whole, normalised images (B, C, H, W).

    Args:
        encoder (nn.Module): Gives a tuple whose last item is (B, E + L, D),
            extra tokens first, or a map (B, D, h, w).
        kernels (Sequence[Callable], optional): How each layer attends, see
            :mod:`sbam_mm.models.guidance`. Defaults to None: plainly.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> vit = VisionTransformer('deit-tiny', 32, 8, out_type='raw')
        >>> tokens = encode(vit, torch.randn(2, 3, 32, 32), blocks=4)
        >>> len(tokens.cls), tokens.patches.shape
        (4, torch.Size([2, 16, 192]))
    """
    name = type(encoder).__name__
    depth = len(getattr(encoder, 'layers', ()))
    if blocks > max(depth, 1):
        raise UserError(f'{name} has {depth} blocks, from which '
                        f'{blocks} class tokens cannot be taken; use the '
                        'last one: pooling "cls" or "avg".')
    if kernels is None:
        earlier, out = _encode(encoder, images, blocks)
    else:
        with attending(encoder, kernels):
            earlier, out = _encode_guided(encoder, images, blocks)
    if out.ndim == 4:
        return Tokens(out.flatten(2).mT, [], name)
    if out.ndim != 3:
        raise UserError(
            f'{name} returns {tuple(out.shape)}, from which features cannot '
            "be taken: set backbone.out_type='raw'.")
    extra = getattr(encoder, 'num_extra_tokens', 1)
    norm: Any = getattr(encoder, 'ln1', nn.Identity())
    cls = [*map(norm, earlier), out[:, 0]] if extra else []
    return Tokens(out[:, extra:], cls, name)


def _encode(encoder: Any, images: Tensor,
            blocks: int) -> tuple[list[Tensor], Tensor]:
    """Class tokens before the final norm, and what the encoder returns."""
    kept: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(
            lambda layer, inputs, out: kept.append(out[:, 0]))
        for layer in (list(encoder.layers)[-blocks:-1] if blocks > 1 else ())
    ]
    # mmpretrain's masked encoders encode everything only when told mask=None;
    # mask=False still masks.
    takes_mask = 'mask' in inspect.signature(encoder.forward).parameters
    try:
        out = encoder(images, **({'mask': None} if takes_mask else {}))
    finally:
        for hook in hooks:
            hook.remove()
    return kept, out[-1] if isinstance(out, (tuple, list)) else out


def _encode_guided(vit: Any, images: Tensor,
                   blocks: int) -> tuple[list[Tensor], Tensor]:
    """The same of an encoder whose layers attend as they are told."""
    depth = len(vit.layers)
    x, done, kept = input_tokens(vit, images), 0, []
    for end in range(depth - blocks + 1, depth + 1):
        x = run_whole(vit, x, end, done)
        done = end
        kept.append(x[:, 0])
    return kept[:-1], vit.ln1(x)


@dataclass(eq=False)
class FrozenEncoder:
    """An encoder with its preprocessor, and how images are put through it.

    The samples of a ``guided`` one have what its guide wants; without a
    ``device`` nothing is moved.
    """
    encoder: nn.Module
    preprocessor: nn.Module
    device: Any = 'cpu'
    batch_size: int = 256
    num_workers: int = 0
    amp: bool = False
    guided: bool = False

    def __post_init__(self) -> None:
        if self.device is not None:
            self.encoder.to(self.device)
            self.preprocessor.to(self.device)

    @property
    def embed_dims(self) -> int:
        return int(self.encoder.embed_dims)  # type: ignore[arg-type]

    def loader(self, dataset: Dataset,
               batches: Sequence[list[int]] | None = None) -> DataLoader:
        """All samples in order, or the numbers that each batch names."""
        how: dict[str, Any] = dict(batch_size=self.batch_size)
        if batches is not None:
            how = dict(batch_sampler=batches)
        return DataLoader(
            dataset,
            num_workers=self.num_workers,
            collate_fn=default_collate,
            # A loader draws its workers' seed from torch's own generator
            # otherwise, and a training run around this would change.
            generator=torch.Generator(),
            **how)

    @torch.no_grad()
    def features(self, batches: Iterable[Any], names: Sequence[str]
                 ) -> Generator[tuple[Features, Tensor], None, None]:
        """Features (b, D) float32 by name and labels (b,), batch by batch."""
        with evaluating(self.encoder):
            for batch in batches:
                samples = batch['data_samples']
                labels = torch.tensor([_label(sample) for sample in samples])
                images = self.preprocessor(batch, False)['inputs']
                with torch.autocast(
                        images.device.type, torch.bfloat16,
                        enabled=self.amp):
                    found = self._features(images, samples, names)
                yield {
                    name: feature.float() for name, feature in found.items()
                }, labels

    def _features(self, images: Tensor, samples: list[Any],
                  names: Sequence[str]) -> Features:
        if list(names) == ['pixels']:
            return dict(pixels=images.flatten(1))
        kernels = None
        if self.guided:
            kernels = kernels_for(self.encoder, images, samples)
        tokens = encode(
            self.encoder, images, 4 if '4cls' in names else 1, kernels)
        return {name: FEATURES[name](tokens) for name in names}


def extract_features(model: nn.Module,
                     data: Dataset | DataLoader,
                     feature: str = 'avg',
                     data_preprocessor: nn.Module | None = None,
                     batch_size: int = 256,
                     num_workers: int = 0,
                     device: str | torch.device | None = None,
                     progress: bool = False) -> tuple[Tensor, Tensor]:
    """Features of every image, from the encoder without masking.

    The model is in evaluation mode meanwhile; afterwards every module has the
    mode it had. No random number is drawn unless the data set draws one.

    Args:
        model (nn.Module): An algorithm with a ``backbone`` (also wrapped by
            DDP), or a backbone as :func:`encode` takes it. Of DINO and iBOT
            the teacher's is taken, as in the papers: a model says which one
            with ``evaluated_encoder``.
        data (Dataset | DataLoader): Samples as ``PackInputs`` makes them. A
            loader must collate with mmengine's ``default_collate`` and not
            shuffle if the order matters.
        feature (str): Of ``POOLINGS``, e.g. 'avg', the mean of the patch
            tokens, or 'cls', the class token; or 'pixels', the normalised
            image itself, which is the floor for any representation.
        data_preprocessor (nn.Module, optional): Normalises images. Defaults
            to None, the model's own.
        device (str | torch.device, optional): Where to compute; the model is
            moved there and stays. Defaults to None, where the model is.

    Returns:
        tuple[Tensor, Tensor]: Features (N, D) float32 and labels (N,) int64,
        on the CPU.

    Example::

        features, labels = extract_features(mae, dataset, 'cls')
    """
    if feature not in (*POOLINGS, 'pixels'):
        raise UserError(f'feature={feature!r} is unknown: choose one of '
                        f'{", ".join(POOLINGS)} and pixels.')
    model = unwrapped(model)
    encoder = getattr(model, 'backbone', model)
    encoder = getattr(model, 'evaluated_encoder', encoder)
    preprocess = data_preprocessor or getattr(model, 'data_preprocessor', None)
    if preprocess is None:
        raise UserError(
            f'{type(model).__name__} has no data_preprocessor: pass the '
            "pre-training model's as data_preprocessor, so that images are "
            'normalised alike.')
    if device is not None:
        model.to(device)
    frozen = FrozenEncoder(encoder, preprocess, device, batch_size,
                           num_workers)
    if not isinstance(data, DataLoader):
        data = frozen.loader(data)
    names = [feature] if feature == 'pixels' else features_for([feature])
    found = [(pool(features, feature).cpu(), labels)
             for features, labels in frozen.features(
                 track(data, description='Extracting features',
                       disable=not (progress and sys.stdout.isatty())),
                 names)]
    features, labels = zip(*found)
    return torch.cat(features), torch.cat(labels)


def check_finite(*features: Tensor) -> None:
    """An error if a model has diverged."""
    if not all(values.isfinite().all() for values in features):
        raise UserError(
            'The features contain NaN or infinity, so the model has diverged: '
            'evaluate an earlier checkpoint.')


def _label(sample: Any) -> int:
    if 'gt_label' not in sample:
        raise UserError(
            'The images have no labels: use class folders (train/<class>/), '
            'or with_label=True if images lie beside them.')
    return int(sample.gt_label)
