# Copyright (c) OpenMMLab. All rights reserved.
"""Frozen features of a data set, computed once and mapped from disk."""
import sys
from pathlib import Path
from typing import Iterator, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import default_collate
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sbam_mm.files import replacing

from .features import evaluating
from .pooling import pooled_tokens


class FrozenEncoder:
    """A backbone with its preprocessor, and how images are put through it.

    Args:
        backbone (nn.Module): Moved to ``device``.
        preprocessor (nn.Module): Normalises batches of uint8 images.
        device (str): Defaults to "cpu".
        batch_size (int): Images at a time. Defaults to 256.
        num_workers (int): Processes that decode. Defaults to 0.
        amp (bool): Compute in bfloat16. Defaults to False.
    """

    def __init__(self,
                 backbone: nn.Module,
                 preprocessor: nn.Module,
                 device: str = 'cpu',
                 batch_size: int = 256,
                 num_workers: int = 0,
                 amp: bool = False):
        self.backbone = backbone.to(device)
        self.preprocessor = preprocessor.to(device)
        self.device = device
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.amp = amp

    @torch.no_grad()
    def batches(self, dataset: Dataset, blocks: int = 1, seed: int = 0,
                shuffle: bool = False) -> Iterator[Tuple[Tensor, Tensor]]:
        """Pooled tokens (b, R, D) float32 and labels (b,), batch by batch.

        Args:
            dataset (Dataset): Samples as ``PackInputs`` makes them.
            blocks (int): See :func:`pooled_tokens`. Defaults to 1.
            seed (int): Of the order and of the workers' augmentation.
                Defaults to 0.
            shuffle (bool): Defaults to False.
        """
        loader = DataLoader(
            dataset,
            self.batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            collate_fn=default_collate,
            worker_init_fn=_SeedWorker(seed),
            generator=torch.Generator().manual_seed(seed))
        with evaluating(self.backbone):
            for batch in loader:
                labels = torch.tensor(
                    [int(sample.gt_label) for sample in batch['data_samples']])
                images = self.preprocessor(batch, False)['inputs']
                with torch.autocast(
                        torch.device(self.device).type, torch.bfloat16,
                        enabled=self.amp):
                    rows = pooled_tokens(self.backbone, images, blocks)
                yield rows.float(), labels


class _SeedWorker:
    """Augmentation draws from NumPy, which forked workers would share."""

    def __init__(self, seed: int):
        self.seed = seed

    def __call__(self, worker: int) -> None:
        import random
        random.seed(self.seed * 1000 + worker)
        np.random.seed((self.seed * 1000 + worker) % 2**32)


def cached_features(folder: Union[str, Path], key: str,
                    encoder: FrozenEncoder, dataset: Dataset,
                    blocks: int = 1) -> Tuple[np.ndarray, Tensor]:
    """Features from a file, which is made if it is not there.

    Args:
        folder (str or Path): Of the cache; files are complete or not there.
        key (str): Differs for every checkpoint, data set and setting.
        encoder (FrozenEncoder): Computes them.
        dataset (Dataset): N samples, not augmented.
        blocks (int): See :func:`pooled_tokens`. Defaults to 1.

    Returns:
        tuple[np.ndarray, Tensor]: (N, R, D) float16, mapped from the file,
        and labels (N,). ImageNet-1K with ViT-B and one block takes 4 GB.

    Raises:
        ValueError: If a feature is not finite in half precision.
    """
    features = Path(folder) / f'{key}.npy'
    labels = Path(folder) / f'{key}.labels.npy'
    if not (features.is_file() and labels.is_file()):
        _extract(features, labels, encoder, dataset, blocks)
    return (np.load(features, mmap_mode='r'),
            torch.from_numpy(np.load(labels)))


def _extract(features: Path, labels: Path, encoder: FrozenEncoder,
             dataset: Dataset, blocks: int) -> None:
    total = len(dataset)  # type: ignore[arg-type]
    with replacing(features) as name, replacing(labels) as label_name:
        known = np.empty(total, np.int64)
        found, start = None, 0
        steps = -(-total // encoder.batch_size)
        for rows, classes in track(
                encoder.batches(dataset, blocks), 'Features', steps,
                disable=not sys.stdout.isatty()):
            half = rows.half()
            if not half.isfinite().all():
                raise ValueError(
                    'the features contain numbers that are not finite in '
                    'half precision, so the model has diverged; evaluate an '
                    'earlier checkpoint.')
            if found is None:
                found = np.lib.format.open_memmap(
                    name, 'w+', np.float16, (total, *rows.shape[1:]))
            found[start:start + len(half)] = half.cpu().numpy()
            known[start:start + len(half)] = classes.numpy()
            start += len(half)
        found.flush()  # type: ignore[union-attr]
        with open(label_name, 'wb') as file:
            np.save(file, known)
