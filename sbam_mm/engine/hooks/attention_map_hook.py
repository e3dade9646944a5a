# Copyright (c) OpenMMLab. All rights reserved.
"""Store what the encoder attends to, for every image of the training set."""
import copy
import os.path as osp
import sys
import time
from typing import Any

import numpy as np
import torch
from mmcv.transforms import (
    BaseTransform,
    Compose,
    LoadImageFromFile,
    Resize,
)
from mmengine.dataset import default_collate
from mmengine.dist import barrier, get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.datasets import PackInputs
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sbam_mm.datasets.image_folder import ImageFolder
from sbam_mm.datasets.reading.stored_maps import (
    ImageList,
    MapInfo,
    MapVersions,
    MapWriter,
    StoredMaps,
    innermost,
)
from sbam_mm.datasets.transforms import (
    LoadRandomResizedCrop,
    attention_loaders,
)
from sbam_mm.engine.fsdp import unwrapped, whole_parameters
from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import functional as F
from sbam_mm.models.evaluating import evaluating, unchanged_random_state
from sbam_mm.registry import HOOKS
from sbam_mm.run_switches import RESUME_ANYWAY

NORMALIZATIONS = ('mean', 'head')


@HOOKS.register_module()
class AttentionMapHook(Hook):
    r"""Renew the attention maps that AM and AMT mask by.

    After every ``interval`` epochs the class token's attention to the patches
    is taken for each whole image of the training set, resized to the model's
    input size and not masked, and stored in float16 by sample index (0.5 GB
    for ImageNet at 14 x 14) in ``work_dir/attention_maps``. The pipeline's
    ``LoadAttentionMap`` reads it from there. Training goes on to the bit as
    without the hook: module modes and random states are put back.

    .. math:: a = N\Bigl(\frac{1}{H} \sum_h a_h\Bigr)

    is the paper's map of H heads, with N(.) scaling it to [0, 1]; the
    official code takes the mean of the N(a_h). An image that cannot be read
    or has a constant map gets a map of ones.

    A resumed run takes the maps that it had when its checkpoint was saved.
    If they are missing they are made anew, provided the checkpoint is of the
    epoch after which they were made; otherwise the run is refused. A fresh
    run deletes those that an earlier one left in its ``work_dir``. In a
    distributed run every rank writes its own share of the one file, so
    ``work_dir`` must be on a file system that all of them see.

    Source: Liu et al., *Good Helper Is around You: Attention-driven Masked
    Image Modeling*, AAAI 2023, Eq. 3 and 4, section 4.1.

    Args:
        interval (int): Epochs between two collections; the last epoch makes
            none.
        block (int): Which block, from 0; negative counts from the end.
        head (int or str): Which head, or "mean".
        normalize (str): With ``head='mean'``, scale to [0, 1] after the mean
            ("mean", the paper) or each head before it ("head", the official
            code).

    Raises:
        UserError: At the start of the training, if the pipeline has no
            ``LoadAttentionMap`` or one of another grid, the encoder has no
            such block, head or attention, the training does not count
            epochs, or stored maps do not fit.
    """

    def __init__(self,
                 interval: int = 40,
                 block: int = -1,
                 head: int | str = 'mean',
                 normalize: str = 'mean',
                 batch_size: int = 256,
                 num_workers: int = 0,
                 interpolation: str = 'bicubic') -> None:
        if interval < 1:
            raise UserError(
                f'AttentionMapHook(interval={interval}) collects nothing: '
                'give at least 1 epoch.')
        check_choice('normalize', normalize, NORMALIZATIONS)
        if isinstance(head, str) and head != 'mean':
            raise UserError(f'head must be a number or "mean", got {head!r}.')
        self.interval = interval
        self.block = block
        self.head = head
        self.normalize = normalize
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.interpolation = interpolation

    # When

    def before_train(self, runner: Runner) -> None:
        """Tell the pipeline where the maps are, before workers start."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise UserError(
                'AttentionMapHook renews the maps after epochs, which this '
                'training does not count; set train_cfg=dict(by_epoch=True, '
                'max_epochs=...) or remove the hook.')
        encoder = self._encoder(runner.model)
        self._grid = tuple(encoder.patch_resolution)
        dataset = runner.train_dataloader.dataset
        loaders = list(attention_loaders(dataset))
        if not loaders:
            raise UserError(
                'AttentionMapHook makes maps that nobody reads; add '
                f"dict(type='sbam_mm.LoadAttentionMap', grid={self._grid}) "
                'before PackInputs of the train pipeline, or remove the hook.')
        for loader in loaders:
            if loader.grid != self._grid:
                raise UserError(
                    f'LoadAttentionMap has the grid {loader.grid}, but the '
                    f'encoder cuts the images into {self._grid} patches; set '
                    f'its grid={self._grid}.')
        image_list = ImageList.of(dataset)
        self._versions = MapVersions(
            osp.join(runner.work_dir, 'attention_maps'))
        self._image_list = image_list
        self._choose_maps(runner)
        for loader in loaders:
            loader.bind(self._versions, image_list)

    def _choose_maps(self, runner: Runner) -> None:
        """Choose the maps to begin with, by the epochs already done."""
        epoch = runner.epoch
        # Those that the run had when it saved the checkpoint.
        wanted = epoch // self.interval * self.interval
        known = wanted in self._versions.epochs()
        lost = wanted and wanted != epoch and not known
        if lost and not RESUME_ANYWAY.is_on():
            raise UserError(
                f'the run that is resumed after epoch {epoch} had attention '
                f'maps of epoch {wanted}, which are not in '
                f'{self._versions.folder}; resume from epoch {wanted}, after '
                'which they are made again, or add --resume-anyway to make '
                'other ones now.')
        if get_dist_info()[0] == 0:
            if known:
                StoredMaps(
                    self._versions.path(wanted), self._grid, self._image_list)
            removed = self._versions.remove_after(epoch)
            self._versions.use(wanted if known else None)
            if removed:
                runner.logger.info(
                    f'Deleted attention maps of an earlier run in '
                    f'{self._versions.folder} that are newer than epoch '
                    f'{epoch}, where this one begins.')
        barrier()
        if wanted and not known and epoch < runner.max_epochs:
            runner.logger.warning(
                f'No attention maps of epoch {wanted} are left in '
                f'{self._versions.folder}: they are made from the resumed '
                'weights.')
            self._collect(runner, epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        if epoch % self.interval == 0 and epoch != runner.max_epochs:
            self._collect(runner, epoch)

    # What

    def _encoder(self, model: nn.Module) -> Any:
        model = unwrapped(model)
        encoder = getattr(model, 'backbone', model)
        if not hasattr(encoder, 'attention'):
            raise UserError(
                'AttentionMapHook asks the encoder for the attention of its '
                f'class token, which {type(encoder).__name__} does not give; '
                "use backbone.type='sbam_mm.MaskedViT'.")
        depth, heads = len(encoder.layers), encoder.layers[0].attn.num_heads
        if not -depth <= self.block < depth:
            raise UserError(
                f'AttentionMapHook(block={self.block}) is not one of the '
                f"encoder's blocks 0 to {depth - 1}.")
        if isinstance(self.head, int) and not -heads <= self.head < heads:
            raise UserError(
                f'AttentionMapHook(head={self.head}) is not one of the '
                f"encoder's heads 0 to {heads - 1}.")
        return encoder

    def _scaled(self, attention: Tensor) -> Tensor:
        """One map per image in [0, 1] from (B, heads, L)."""
        if isinstance(self.head, int):
            maps = F.min_max(attention[:, self.head])
        elif self.normalize == 'head':
            heads = attention.shape[1]
            maps = F.min_max(attention.flatten(0, 1)).unflatten(
                0, (-1, heads)).mean(dim=1)
        else:
            maps = F.min_max(attention.mean(dim=1))
        constant = maps.amax(dim=1, keepdim=True) == 0
        return torch.where(constant, 1., maps)

    # How

    def _collect(self, runner: Runner, epoch: int) -> None:
        start = time.monotonic()
        rank, world = get_dist_info()
        made_by = (f'AttentionMapHook: block {self.block}, head {self.head}, '
                   f'normalize {self.normalize}')
        writer = MapWriter(
            self._versions.path(epoch),
            MapInfo(self._grid, self._image_list, made_by, epoch))
        if rank == 0:
            writer.create()
        barrier()
        images = self._image_list.images
        mine = range(images * rank // world, images * (rank + 1) // world)
        with unchanged_random_state(), evaluating(
                runner.model), whole_parameters(
                    runner.model), torch.no_grad():
            self._write_share(runner, writer, mine)
        barrier()
        if rank == 0:
            self._versions.publish(writer)
        barrier()
        seconds = time.monotonic() - start
        runner.logger.info(
            f'Attention maps of {images} images after epoch {epoch}: '
            f'{seconds:.1f} s, {writer.path}')

    def _write_share(self, runner: Runner, writer: MapWriter,
                     mine: range) -> None:
        encoder = self._encoder(runner.model)
        model = runner.model
        preprocess = unwrapped(model).data_preprocessor
        loader = DataLoader(
            WholeImages(runner.train_dataloader.dataset, mine,
                        tuple(encoder.img_size), self.interpolation),
            self.batch_size,
            num_workers=self.num_workers,
            collate_fn=collate_readable,
            # Otherwise it draws its seed from torch's own generator.
            generator=torch.Generator())
        quiet = get_dist_info()[0] != 0 or not sys.stdout.isatty()
        first = mine.start
        for readable, batch in track(
                loader, description='Attention maps', disable=quiet,
                transient=True):
            maps = np.ones((len(readable), *self._grid), np.float32)
            if batch is not None:
                inputs = preprocess(batch, False)['inputs']
                with runner.optim_wrapper.optim_context(model):
                    attention = encoder.attention(
                        encoder.embed(inputs), self.block)
                scaled = self._scaled(attention).unflatten(1, self._grid)
                maps[readable] = scaled.cpu().numpy()
            writer.write(first, maps)
            first += len(readable)


class WholeImages(Dataset):
    """The images of a training set, resized instead of augmented."""

    def __init__(self,
                 dataset: Any,
                 indices: range,
                 size: tuple[int, int],
                 interpolation: str = 'bicubic'):
        original = innermost(dataset)
        # Pixels kept in memory and counters are shared with the original.
        self.dataset = copy.copy(original)
        self.dataset.pipeline = Compose([
            *loaders(original),
            Resize(
                scale=size[::-1],
                interpolation=interpolation,
                backend='pillow'),
            PackInputs(),
        ])
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict | None:
        """One packed image; None if it cannot be read."""
        return self.dataset.prepare_data(self.indices[position])


def loaders(dataset: Any) -> list[BaseTransform]:
    """What reads whole images, if the data set leaves that to its pipeline."""
    first = next(iter(dataset.pipeline.transforms), None)
    if isinstance(first, LoadImageFromFile):
        return [first]
    # ImageFolder reads by itself for everything but this transform.
    if (isinstance(first, LoadRandomResizedCrop)
            and not isinstance(dataset, ImageFolder)):
        return [LoadImageFromFile(backend_args=first.backend_args)]
    return []


def collate_readable(
        samples: list[dict | None]) -> tuple[np.ndarray, dict | None]:
    """Which samples could be read, and the batch of those."""
    readable = np.array([sample is not None for sample in samples])
    packed = [sample for sample in samples if sample is not None]
    return readable, default_collate(packed) if packed else None
