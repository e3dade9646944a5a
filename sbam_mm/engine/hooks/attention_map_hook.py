# Copyright (c) OpenMMLab. All rights reserved.
"""Store what the encoder attends to, for every image of the training set."""
import copy
import hashlib
import os.path as osp
import shutil
import sys
import time
from itertools import chain
from pathlib import Path
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
from sbam_mm.errors import UserError
from sbam_mm.files import replacing
from sbam_mm.masking import AttentionSalience
from sbam_mm.masking.attention import join_heads
from sbam_mm.models.evaluating import evaluating, unchanged_random_state
from sbam_mm.registry import HOOKS, build_part
from sbam_mm.run_switches import RESUME_ANYWAY


@HOOKS.register_module()
class AttentionMapHook(Hook):
    r"""Store the attention maps that AM, AMT and ``StoredSalience`` mask by.

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

    With a ``teacher`` the maps are its own, made once, before the first
    epoch: a frozen teacher says the same of an image every time, and asked
    in every step it may cost more than the training. What differs from
    asking it in every step is that it sees the whole image, and the map is
    cropped, in place of the crop.

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
            none. A teacher is asked once.
        block, head, normalize, queries, softmax, own_query: See
            :class:`sbam_mm.masking.AttentionSalience`. The paper of AMT
            normalises "mean", its code "head".
        teacher (dict, optional): Whose attention it is, e.g. of a
            ``FrozenTeacher``. Defaults to None: the encoder that is trained.
        keep (str, optional): Folder in which a teacher's maps are kept for
            other trainings, which take them instead of asking it again: of
            the same images, grid, weights and question. Defaults to None.

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
                 interpolation: str = 'bicubic',
                 queries: str = 'cls',
                 softmax: bool = True,
                 own_query: bool = True,
                 teacher: dict | nn.Module | None = None,
                 keep: str | None = None) -> None:
        if interval < 1:
            raise UserError(
                f'AttentionMapHook(interval={interval}) collects nothing: '
                'give at least 1 epoch.')
        if keep and teacher is None:
            raise UserError(
                f'AttentionMapHook(keep={keep!r}) keeps what a teacher says '
                'for other trainings, and there is none; set teacher=..., or '
                'leave keep out.')
        # What a masker may ask, it may ask: the same words, the same checks.
        self.asks = AttentionSalience(block, head, queries, softmax,
                                      own_query, normalize)
        self.teacher = None if teacher is None else build_part(teacher)
        self.keep = Path(keep) if keep else None
        self.interval = interval
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
        if self.teacher:  # it knows its blocks and heads, and says so
            channels = encoder.patch_embed.projection.in_channels
            with torch.no_grad():
                self.maps(runner.model, torch.zeros(
                    1, channels, *encoder.img_size,
                    device=next(encoder.parameters()).device))
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
        wanted = 0 if self.teacher else epoch // self.interval * self.interval
        # Before the first epoch there are none, but a teacher's.
        known = epoch > 0 and wanted in self._versions.epochs() and (
            wanted > 0 or self.teacher is not None)
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
        if known or epoch >= runner.max_epochs:
            return
        if self.teacher:
            self._ask_teacher(runner)
        elif wanted:
            runner.logger.warning(
                f'No attention maps of epoch {wanted} are left in '
                f'{self._versions.folder}: they are made from the resumed '
                'weights.')
            self._collect(runner, epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch + 1
        again = epoch % self.interval == 0 and epoch != runner.max_epochs
        if again and self.teacher is None:
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
        block, head = self.asks.block, self.asks.head
        if self.teacher is None and not -depth <= block < depth:
            raise UserError(
                f'AttentionMapHook(block={block}) is not one of the '
                f"encoder's blocks 0 to {depth - 1}.")
        if self.teacher is None and isinstance(head, int) and not (
                -heads <= head < heads):
            raise UserError(
                f'AttentionMapHook(head={head}) is not one of the '
                f"encoder's heads 0 to {heads - 1}.")
        return encoder

    def maps(self, model: nn.Module, images: Tensor) -> Tensor:
        """One map per image, as they are normalised for the model.

        Returns:
            Tensor: In [0, 1], (B, h, w).
        """
        model, asks = unwrapped(model), self.asks
        encoder = self._encoder(model)
        grid = tuple(encoder.patch_resolution)
        question = asks.block, asks.queries, asks.softmax, asks.own_query
        if self.teacher:
            self.teacher.to(images.device)
            received = self.teacher.attention(
                self.teacher.as_its_own(images, model), grid, *question)
        else:
            received = encoder.attention(encoder.embed(images), *question)
        maps = join_heads(received, asks.head, asks.normalize)
        constant = maps.amax(dim=1, keepdim=True) == 0
        return torch.where(constant, 1., maps).unflatten(1, grid)

    # How

    def _ask_teacher(self, runner: Runner) -> None:
        """Take its maps from those that are kept, or make them."""
        if self.keep is None:
            return self._collect(runner, 0)
        kept = self.keep / f'{self._answer(runner)}.npy'
        made = self._versions.path(0)
        # Every process decides before the first one writes.
        known = kept.is_file()
        barrier()
        if not known:
            self._collect(runner, 0)
            if get_dist_info()[0] == 0:
                copy_maps(made, kept)
        else:  # refused by every process, or by none
            StoredMaps(kept, self._grid, self._image_list)
            if get_dist_info()[0] == 0:
                copy_maps(kept, made)
                self._versions.use(0)
                runner.logger.info(f'Attention maps taken from {kept}')
        barrier()

    def _answer(self, runner: Runner) -> str:
        """Stands for all that a teacher's maps depend on."""
        encoder, asks = self._encoder(runner.model), self.asks
        assert self.teacher is not None
        digest = hashlib.sha256(repr((
            self._image_list.fingerprint, self._grid, encoder.img_size,
            self.interpolation, asks.block, asks.head, asks.normalize,
            asks.queries, asks.softmax, asks.own_query,
            # Its own pixels, where it is not shown the student's.
            getattr(self.teacher, 'size', None),
            getattr(self.teacher, 'resample', None))).encode())
        # Weights, and the means and deviations of both.
        for part in (self.teacher, unwrapped(runner.model).data_preprocessor):
            for name, value in chain(part.named_parameters(),
                                     part.named_buffers()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().flatten().view(
                    torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]

    def _collect(self, runner: Runner, epoch: int) -> None:
        start = time.monotonic()
        rank, world = get_dist_info()
        whose = getattr(self.teacher, 'checkpoint', 'the encoder')
        made_by = (f'AttentionMapHook: {whose}, block {self.asks.block}, '
                   f'head {self.asks.head}, normalize {self.asks.normalize}')
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
                    made = self.maps(model, inputs)
                maps[readable] = made.float().cpu().numpy()
            writer.write(first, maps)
            first += len(readable)
        if self.teacher:  # not asked again
            self.teacher.cpu()


def copy_maps(source: Path, target: Path) -> None:
    """Copy a file of maps, with what describes it: whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for ending in ('.json', '.npy'):
        with replacing(target.with_suffix(ending)) as part:
            shutil.copyfile(source.with_suffix(ending), part)


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
