# Copyright (c) OpenMMLab. All rights reserved.
"""The image-level protocols, each from a frozen encoder to its numbers."""
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.registry import DefaultScope
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.registry import DATASETS

from .encoders import EncoderRecipe, mark_of
from .feature_cache import DrawnPerImage, FrozenEncoder, cached_features
from .few_shot import few_of, read_few_shot_list, write_few_shot_list
from .finetune import finetune, finetune_config, recipe_for
from .guided import StoredSegments
from .image_sets import ImageSet
from .knn import knn_predict
from .linear_heads import HeadSpec, Stream, cached_stream, train_heads
from .linear_probe import linear_probe
from .pooling import blocks_for, pool
from .processes import from_main, own_pieces, own_steps, pieces
from .protocols import (
    KNN,
    FewShot,
    Finetune,
    Linear,
    Sweep,
    eval_pipeline,
    probe_pipeline,
)

# What is written down: numbers in per cent by name, and curves by name.
Found = dict[str, Any]
# Queries times bank images that are compared at once.
SIMILARITIES = 2**27
# Steps times rate of LARS; the published probe has 7020 * 6.4. On 10,000
# images of CIFAR-10 a probe gained until 3,500 (docs/evaluation.md).
SHORT_WAY = 3000.


@dataclass
class Subject:
    """What is evaluated, on what, and how.

    Args:
        recipe (EncoderRecipe): Of the encoder.
        encoder (FrozenEncoder): With its weights.
        images (ImageSet): To learn from and to be judged on.
        checkpoint (str): Path of the weights.
        checkpoint_hash (str): SHA-256 of that file.
        branch (str): "teacher" or "student".
        out (Path): Folder for lists, features and runs.
        configs (Path): The folder ``configs`` with the fine-tuning recipes.
        seed (int): Defaults to 0.
        restart (bool): Delete an earlier fine-tuning run instead of going on
            with it. Defaults to False.
        launcher (str): Who started the processes that share the work, as
            mmengine names it. Defaults to "none", one process.
        method (str, optional): How the encoder was pre-trained, for the
            recipe to fine-tune it with. Defaults to None: not known.
        segments (StoredSegments, optional): Which the encoder is told.
            Defaults to None: none.
    """
    recipe: EncoderRecipe
    encoder: FrozenEncoder
    images: ImageSet
    checkpoint: str
    checkpoint_hash: str
    branch: str
    out: Path
    configs: Path
    seed: int = 0
    restart: bool = False
    launcher: str = 'none'
    method: str | None = None
    segments: StoredSegments | None = None

    def dataset(self, half: str, pipeline: list[dict]) -> Any:
        """A built data set; unreadable test images get a fixed stand-in."""
        if self.segments is not None:
            pipeline = self.segments.follow(half, pipeline)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return DATASETS.build(
                dict(
                    self.images.dataset(half, pipeline, self.out / 'lists',
                                        **self.recipe.decoding),
                    test_mode=True))

    def features(self, half: str, blocks: int = 1
                 ) -> tuple[np.ndarray, Tensor]:
        """Stored features of one half: (N, R, D) float16 and labels (N,)."""
        pipeline = eval_pipeline(self.recipe.size)
        key = mark_of(
            dict(
                checkpoint=self.checkpoint_hash,
                branch=self.branch,
                backbone=self.recipe.backbone,
                normalise=self.recipe.normalise,
                images=self.images.fingerprint,
                # Not where it is empty, so that earlier files stay valid.
                **self.recipe.decoding,
                **({} if self.segments is None else dict(
                    segments=self.segments.mark)),
                half=half,
                pipeline=pipeline,
                amp=self.encoder.amp,
                blocks=blocks))
        return cached_features(self.out / 'features', f'{half}-{key}',
                               self.encoder, self.dataset(half, pipeline),
                               blocks)


def run_knn(subject: Subject, settings: KNN) -> Found:
    """Nearest neighbours with class token and mean patch token.

    Numbers of neighbours above the number of training images are left out.
    """
    bank, bank_labels = subject.features('train')
    queries, labels = subject.features('test')
    ks = [k for k in settings.k if k <= len(bank_labels)]
    if not ks:
        raise UserError(
            f'knn wants {min(settings.k)} or more neighbours of '
            f'{len(bank_labels)} training images; set knn.k to fewer.')
    device = subject.encoder.device
    top1: dict[str, float] = {}
    chunk = max(1, min(1024, SIMILARITIES // len(bank_labels)))
    own = np.array([i for piece in own_pieces(len(labels), chunk)
                    for i in piece], np.int64)
    truth = labels[torch.from_numpy(own)]
    for pooling in ('cls', 'avg')[-bank.shape[1]:]:
        found = knn_predict(
            _vectors(bank, pooling, device),
            bank_labels.to(device),
            _vectors(queries[own], pooling, device),
            ks,
            settings.temperature,
            chunk=chunk)
        for k, predicted in found.items():
            right = (predicted.cpu() == truth).sum()
            all_reduce(right)
            top1[f'{pooling}, k={k}'] = 100 * right.item() / len(labels)
    return dict(top1=top1, left_out=[k for k in settings.k if k not in ks])


def run_linear(subject: Subject, settings: Linear) -> Found:
    """MAE's linear probing, one classifier."""
    batch = _batch(settings.batch, subject.images)
    if batch < 2:
        raise UserError('linear normalises over the images of a step, of '
                        f'which {len(subject.images.train)} training images '
                        'give one; take linear-sweep, or more images.')
    rate = settings.base_lr * batch / 256
    found = _probe(
        subject, [HeadSpec(rate, settings.pooling, 'lars', True)],
        settings.augment, batch, settings.epochs,
        min(settings.warm_up, settings.epochs))
    way = rate * settings.epochs * (len(subject.images.train) // batch)
    if way < SHORT_WAY:
        found['note'] = (
            f'steps times learning rate are {way:.0f} (ImageNet: 45,000), so '
            'LARS has probably not arrived; raise linear.base_lr, or take '
            'linear-sweep.')
    return found


def run_sweep(subject: Subject, settings: Sweep) -> Found:
    """DINO's and iBOT's: every rate and pooling, in one pass."""
    batch = _batch(settings.batch, subject.images)
    specs = [
        HeadSpec(rate * batch / 256, pooling)
        for pooling in settings.poolings for rate in settings.rates
    ]
    return _probe(subject, specs, settings.augment, batch, settings.epochs, 0.)


def tuning_config(subject: Subject, settings: Finetune) -> str:
    """Path of the config to fine-tune with.

    Raises:
        UserError: If none is named and none is known to fit the encoder.
    """
    return settings.config or str(
        subject.configs / recipe_for(_width(subject), subject.recipe.size,
                                     subject.method))


def run_finetune(subject: Subject, settings: Finetune,
                 folder: str = 'finetune') -> Found:
    """All parameters, in a runner that goes on where it was stopped."""
    name = tuning_config(subject, settings)
    # A stopped run goes on only with the settings it was started with.
    # The learning rate follows the number of processes, too.
    mark = mark_of(dict(asdict(settings), images=subject.images.fingerprint,
                        processes=get_world_size()))
    work_dir = subject.out / f'{folder}-{mark}'
    if subject.restart:
        from_main(lambda: shutil.rmtree(work_dir, ignore_errors=True))
    cfg = finetune_config(
        subject.recipe,
        subject.images,
        subject.checkpoint,
        work_dir,
        name,
        _width(subject),
        subject.branch,
        settings.epochs,
        settings.batch,
        subject.encoder.num_workers,
        subject.seed,
        launcher=subject.launcher)
    curve = finetune(cfg)
    if not curve:
        raise UserError(f'{cfg.work_dir} was trained before, but has no '
                        'results; delete it to fine-tune again.')
    return dict(
        top1=dict(last=curve[-1]['top1'],
                  best=max(point['top1'] for point in curve)),
        curves=dict(finetune=curve),
        config=name,
        work_dir=str(work_dir),
        batch=cfg.train_dataloader.batch_size,
        epochs=cfg.train_cfg.max_epochs)


def run_few_shot(subject: Subject, settings: FewShot,
                 tuning: Finetune) -> Found:
    """Few labels; the lists are written beside the results."""
    lists = [Path(path) for path in settings.lists] or from_main(lambda: [
        write_few_shot_list(subject.images, share, settings.list_seed,
                            subject.out / 'few_shot')
        for share in settings.shares
    ])
    chosen = [few_of(subject.images, read_few_shot_list(path))
              for path in lists]
    bank, labels = subject.features('train')
    queries, query_labels = subject.features('test')
    place = {path: i for i, (path, _) in enumerate(subject.images.train)}
    found: Found = dict(
        top1={}, images={}, lists={}, curves={}, finetune_batch={})
    for path, few in zip(lists, chosen):
        rows = np.array([place[name] for name, _ in few.train])
        found['images'][path.stem] = len(rows)
        found['lists'][path.stem] = str(path)
        found['top1'][f'{path.stem}, frozen'] = from_main(
            lambda rows=rows: linear_probe(  # type: ignore[misc]
                _vectors(bank[rows], settings.pooling), labels[rows],
                _vectors(queries, settings.pooling), query_labels,
                settings.c))
        if settings.finetune:
            tuned = run_finetune(
                replace(subject, images=few), tuning,
                f'few_shot/{path.stem}')
            found['top1'][f'{path.stem}, fine-tuned'] = tuned['top1']['last']
            found['curves'][path.stem] = tuned['curves']['finetune']
            found['finetune_batch'][path.stem] = tuned['batch']
    return found


def _probe(subject: Subject, specs: list[HeadSpec], augment: bool, batch: int,
           epochs: int, warm_up: float) -> Found:
    blocks = blocks_for([spec.pooling for spec in specs])
    test = subject.features('test', blocks)
    steps = len(subject.images.train) // batch
    if augment:
        train = _augmented_stream(subject, blocks, batch)
    else:
        train = cached_stream(*subject.features('train', blocks), batch,
                              subject.seed)
    results = train_heads(specs, train, test, len(subject.images.classes),
                          steps, batch, epochs, warm_up, subject.seed,
                          subject.encoder.device)
    named = {
        f'{one.spec.pooling}, lr={one.spec.lr:.3g}': one for one in results
    }
    top1 = {name: one.curve[-1]['top1'] for name, one in named.items()}
    best = max(top1, key=lambda name: top1[name])
    return dict(
        top1=top1,
        best=best,
        top5=named[best].curve[-1]['top5'],
        curves={name: one.curve for name, one in named.items()},
        batch=batch,
        steps=steps)


def _batch(wanted: int, images: ImageSet) -> int:
    """At least sixteen steps an epoch: the batches are ImageNet's."""
    return max(1, min(wanted, len(images.train) // 16))


def _augmented_stream(subject: Subject, blocks: int, batch: int) -> Stream:
    dataset = subject.dataset('train', probe_pipeline(subject.recipe.size))

    def epoch_batches(epoch: int):
        order = np.concatenate(list(
            own_steps(len(dataset), batch, subject.seed, epoch)))
        return subject.encoder.batches(
            DrawnPerImage(dataset, subject.seed, epoch),
            [order[piece.start:piece.stop].tolist() for piece in pieces(
                len(order), subject.encoder.batch_size)], blocks)

    return epoch_batches


def _vectors(rows: np.ndarray, pooling: str, device: str = 'cpu') -> Tensor:
    # Moved before it becomes twice as large.
    return pool(torch.from_numpy(rows), pooling).to(device).float()


def _width(subject: Subject) -> int:
    return int(subject.encoder.backbone.embed_dims)


RUN: dict[str, Callable[[Subject, Any], Found]] = {
    'knn': run_knn,
    'linear': run_linear,
    'linear-sweep': run_sweep,
    'finetune': run_finetune,
}
