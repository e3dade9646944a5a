# Copyright (c) OpenMMLab. All rights reserved.
"""Frozen features of a labelled image set."""
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.dataset import default_collate
from mmengine.model import is_model_wrapper
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sbam_mm.errors import UserError
from sbam_mm.layers.compiled import plain_layers

FEATURES = ('avg', 'cls', 'pixels')


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
            DDP), or a backbone; images (B, 3, H, W) go in, a tuple whose last
            item is (B, 1 + L, D) tokens, the class token first, or a feature
            map (B, D, h, w) comes out. Of DINO and iBOT the teacher's is
            taken, as in the papers: a model says which one with
            ``evaluated_encoder``.
        data (Dataset | DataLoader): Samples as ``PackInputs`` makes them. A
            loader must collate with mmengine's ``default_collate`` and not
            shuffle if the order matters.
        feature (str): 'avg', the mean of the patch tokens; 'cls', the class
            token; 'pixels', the normalised image itself, which is the floor
            for any representation. Defaults to 'avg'.
        data_preprocessor (nn.Module, optional): Normalises images. Defaults
            to None, the model's own.
        batch_size (int): For a data set. Defaults to 256.
        num_workers (int): For a data set. Defaults to 0.
        device (str | torch.device, optional): Where to compute; the model is
            moved there and stays. Defaults to None, where the model is.
        progress (bool): Show a bar on a terminal. Defaults to False.

    Returns:
        tuple[Tensor, Tensor]: Features (N, D) float32 and labels (N,) int64,
        on the CPU.

    Raises:
        UserError: Unknown ``feature``, samples without labels, no data
            preprocessor, or a backbone that returns something else.

    Example::

        features, labels = extract_features(mae, dataset, 'cls')
    """
    if feature not in FEATURES:
        raise UserError(
            f'feature={feature!r} is unknown: choose one of {FEATURES}.')
    if is_model_wrapper(model):
        model = model.module
    backbone = getattr(model, 'backbone', model)
    backbone = getattr(model, 'evaluated_encoder', backbone)
    preprocess = data_preprocessor or getattr(model, 'data_preprocessor', None)
    if preprocess is None:
        raise UserError(
            f'{type(model).__name__} has no data_preprocessor: pass the '
            "pre-training model's as data_preprocessor, so that images are "
            'normalised alike.')
    if device is not None:
        model.to(device)
        preprocess.to(device)
    if not isinstance(data, DataLoader):
        data = DataLoader(
            data,
            batch_size,
            num_workers=num_workers,
            collate_fn=default_collate,
            # A loader draws its workers' seed from torch's own generator
            # otherwise, and a training run around this call would change.
            generator=torch.Generator())
    features, labels = [], []
    hidden = not (progress and sys.stdout.isatty())
    with evaluating(model), torch.no_grad():
        for batch in track(
                data, description='Extracting features', disable=hidden):
            labels += [_label(sample) for sample in batch['data_samples']]
            images = preprocess(batch, False)['inputs']
            if feature == 'pixels':
                pooled = images.flatten(1)
            else:
                pooled = _pool(backbone, images, feature)
            features.append(pooled.float().cpu())
    return torch.cat(features), torch.tensor(labels)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then every module has its own mode back.

    ``model.train()`` would not do: it also switches on what was frozen.
    Compiled layers run as they were written meanwhile, or each size of an
    evaluation's batches would be one more to compile for.

    Args:
        model (nn.Module): Any module.

    Example::

        with evaluating(model):
            model(images)
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with plain_layers(model):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _pool(backbone: nn.Module, images: Tensor, feature: str) -> Tensor:
    # mmpretrain's masked encoders (MAEViT and others) encode everything only
    # when told mask=None; mask=False still masks.
    accepts = inspect.signature(backbone.forward).parameters
    options = {'mask': None} if 'mask' in accepts else {}
    out = backbone(images, **options)
    out = out[-1] if isinstance(out, (tuple, list)) else out
    name = type(backbone).__name__
    if out.ndim == 4 and feature == 'avg':
        return out.mean((2, 3))
    if out.ndim != 3:
        raise UserError(
            f'{name} returns {tuple(out.shape)}, from which {feature!r} '
            "features cannot be taken: set backbone.out_type='raw'.")
    extra = getattr(backbone, 'num_extra_tokens', 1)
    if feature == 'cls' and not extra:
        raise UserError(
            f"{name} has no class token: use feature='avg'.")
    return out[:, 0] if feature == 'cls' else out[:, extra:].mean(1)


def _label(sample) -> int:
    if 'gt_label' not in sample:
        raise UserError(
            'The images have no labels: use class folders (train/<class>/), '
            'or with_label=True if images lie beside them.')
    return int(sample.gt_label)
