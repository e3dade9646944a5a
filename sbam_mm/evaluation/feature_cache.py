# Copyright (c) OpenMMLab. All rights reserved.
"""Frozen features of a data set, computed once and mapped from disk."""
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.dist import barrier, get_dist_info, is_main_process
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sbam_mm.errors import UserError
from sbam_mm.files import new_array, read_array, replacing

from .features import evaluating
from .pooling import pooled_tokens
from .processes import from_main, gathered, own_pieces, pieces

# Features (b, R, D) float16 and labels (b,) of a batch.
Batch = tuple[np.ndarray, np.ndarray]


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
    def batches(self, dataset: Dataset, groups: Sequence[list[int]],
                blocks: int = 1
                ) -> Generator[tuple[Tensor, Tensor], None, None]:
        """Pooled tokens (b, R, D) float32 and labels (b,), batch by batch.

        Args:
            dataset (Dataset): Samples as ``PackInputs`` makes them.
            groups (Sequence[list[int]]): Numbers of the samples of each
                batch.
            blocks (int): See :func:`pooled_tokens`. Defaults to 1.
        """
        loader = DataLoader(
            dataset,
            batch_sampler=groups,
            num_workers=self.num_workers,
            collate_fn=default_collate,
            # Otherwise the loader draws from torch's own generator.
            generator=torch.Generator())
        with evaluating(self.backbone):
            for batch in loader:
                labels = torch.tensor(
                    [int(sample.gt_label) for sample in batch['data_samples']])
                images = self.preprocessor(batch, False)['inputs']
                with torch.autocast(
                        torch.device(self.device).type, torch.bfloat16,
                        enabled=self.amp):
                    rows = self.pooled(images, batch['data_samples'], blocks)
                yield rows.float(), labels

    def pooled(self, images: Tensor, samples: list[Any],
               blocks: int) -> Tensor:
        """What is kept of a batch; see :func:`pooled_tokens`.

        Args:
            images (Tensor): Normalised, (B, C, H, W).
            samples (list[DataSample]): What comes with them.
            blocks (int): Class tokens of so many last blocks.
        """
        return pooled_tokens(self.backbone, images, blocks)


class DrawnPerImage(Dataset):
    """A data set whose augmentation depends on seed, epoch and image alone.

    So it is the same however many processes and workers share the images.

    Args:
        dataset (Dataset): Its transforms draw from NumPy's generator.
        seed (int): From 0.
        epoch (int): From 0.

    Example:
        >>> class Drawn(Dataset):
        ...     def __getitem__(self, index):
        ...         return np.random.rand()
        >>> images = DrawnPerImage(Drawn(), seed=0, epoch=3)
        >>> images[5] == images[5] != images[6]
        True
    """

    def __init__(self, dataset: Dataset, seed: int, epoch: int):
        self.dataset = dataset
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        np.random.seed([self.seed, self.epoch, index])
        return self.dataset[index]


def cached_features(folder: str | Path, key: str,
                    encoder: FrozenEncoder, dataset: Dataset,
                    blocks: int = 1) -> tuple[np.ndarray, Tensor]:
    """Features from a file, which is made if it is not there.

    Several processes share the batches, and rank 0 writes; all have to call
    this, and to see the folder.

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
        UserError: If a feature is not finite in half precision.
    """
    features = Path(folder) / f'{key}.npy'
    labels = Path(folder) / f'{key}.labels.npy'
    if from_main(lambda: not (features.is_file() and labels.is_file())):
        rounds = _rounds(encoder, dataset, blocks)
        if is_main_process():
            _write(features, labels, len(dataset),  # type: ignore[arg-type]
                   rounds, encoder.batch_size)
        else:
            for _ in rounds:
                pass
        barrier()
    return (read_array(features, 'c'),
            torch.from_numpy(read_array(labels)))


def _rounds(encoder: FrozenEncoder, dataset: Dataset,
            blocks: int) -> Iterator[list[Batch]]:
    """Batch by batch, as many at a time as there are processes."""
    rank, world = get_dist_info()
    total: int = len(dataset)  # type: ignore[arg-type]
    count = len(pieces(total, encoder.batch_size))
    groups = [list(own) for own in own_pieces(total, encoder.batch_size)]
    with closing(encoder.batches(dataset, groups, blocks)) as stream:

        def encode() -> list[Batch]:
            rows, labels = next(stream)
            half = rows.half()
            if not half.isfinite().all():
                raise UserError(
                    'the features contain numbers that are not finite in '
                    'half precision, so the model has diverged; evaluate an '
                    'earlier checkpoint.')
            return [(half.cpu().numpy(), labels.numpy())]

        for first in range(0, count, world):
            work = encode if first + rank < count else list
            yield [batch for part in gathered(work) for batch in part]


def _write(features: Path, labels: Path, total: int,
           rounds: Iterator[list[Batch]], batch_size: int) -> None:
    steps = -(-total // (batch_size * get_dist_info()[1]))
    with replacing(features) as name, replacing(labels) as label_name:
        known = np.empty(total, np.int64)
        found, start = None, 0
        for batches in track(rounds, 'Features', steps,
                             disable=not sys.stdout.isatty()):
            for rows, classes in batches:
                if found is None:
                    found = new_array(
                        name, np.float16, (total, *rows.shape[1:]))
                found[start:start + len(rows)] = rows
                known[start:start + len(rows)] = classes
                start += len(rows)
        found.flush()  # type: ignore[attr-defined, union-attr]
        with open(label_name, 'wb') as file:
            np.save(file, known)
