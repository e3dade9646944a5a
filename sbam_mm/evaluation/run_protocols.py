# Copyright (c) OpenMMLab. All rights reserved.
"""The image-level protocols, each from a frozen encoder to its numbers."""
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import all_reduce, get_world_size
from mmengine.registry import DefaultScope
from torch import Tensor
from torch.utils.data import Dataset

from sbam_mm.errors import UserError
from sbam_mm.registry import DATASETS

from .encoders import EncoderRecipe
from .feature_cache import cached_features
from .features import FrozenEncoder, features_for, has_class_token, pool
from .few_shot import few_shot_subset, read_few_shot_list, write_few_shot_list
from .finetune import finetune, finetune_config
from .image_sets import ImageSet, eval_pipeline, probe_pipeline
from .knn import knn_predict
from .linear_heads import HeadSpec, Stream, cached_stream, train_heads
from .linear_probe import linear_probe
from .processes import broadcast_from_main, chunks, local_batches, local_chunks
from .protocols import KNN, FewShot, Finetune, Linear, Sweep

# What is written down: numbers in per cent by name, and curves by name.
Results = dict[str, Any]
# Queries times bank images that are compared at once.
SIMILARITIES = 2**27
# Steps times rate of LARS; the published probe has 7020 * 6.4. On 10,000
# images of CIFAR-10 a probe gained until 3,500 (docs/evaluation.md).
SHORT_TRAVEL = 3000.


@dataclass
class Evaluation:
    """What is evaluated, on what, and how.

    ``out`` holds lists, features and runs; ``restart`` deletes an earlier
    fine-tuning run instead of going on with it; ``segments`` (StoredSegments)
    is what a guide of the encoder wants of the images; few labels are
    fine-tuned on by ``tuning``, with the config file ``tuning_config``.
    """
    recipe: EncoderRecipe
    encoder: FrozenEncoder
    images: ImageSet
    checkpoint: str
    checkpoint_hash: str
    branch: str
    out: Path
    seed: int = 0
    restart: bool = False
    launcher: str = 'none'
    segments: Any = None
    tuning: Finetune = field(default_factory=Finetune)
    tuning_config: str = ''

    def dataset(self, split: str, pipeline: list[dict]) -> BaseDataset:
        """A built data set; unreadable test images get a fixed stand-in."""
        if self.segments is not None:
            pipeline = self.segments.follow(split, pipeline)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return DATASETS.build(
                dict(
                    self.images.dataset(split, pipeline, self.out / 'lists',
                                        **self.recipe.decoding),
                    test_mode=True))

    def features(self, split: str, poolings: Iterable[str]
                 ) -> tuple[dict[str, np.ndarray], Tensor]:
        """Stored features (N, D) of one split by name, and labels (N,)."""
        pipeline = eval_pipeline(self.recipe.size)
        key = settings_hash(
            dict(
                checkpoint=self.checkpoint_hash,
                branch=self.branch,
                backbone=self.recipe.backbone,
                normalise=self.recipe.normalise,
                images=self.images.fingerprint,
                **self.recipe.decoding,
                segments=self.segments and self.segments.fingerprint,
                half=split,
                pipeline=pipeline,
                amp=self.encoder.amp))
        return cached_features(self.out / 'features', f'{split}-{key}',
                               self.encoder, self.dataset(split, pipeline),
                               features_for(poolings))


def settings_hash(values: Mapping[str, Any]) -> str:
    """Sixteen characters that differ for different settings."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_knn(evaluation: Evaluation, settings: KNN) -> Results:
    """Nearest neighbours with class token and mean patch token.

    Numbers of neighbours above the number of training images are left out.
    """
    poolings = ['avg']
    if has_class_token(evaluation.encoder.encoder):
        poolings.insert(0, 'cls')
    bank, bank_labels = evaluation.features('train', poolings)
    queries, labels = evaluation.features('test', poolings)
    ks = [k for k in settings.k if k <= len(bank_labels)]
    if not ks:
        raise UserError(
            f'knn wants {min(settings.k)} or more neighbours of '
            f'{len(bank_labels)} training images; set knn.k to fewer.')
    device = evaluation.encoder.device
    top1: dict[str, float] = {}
    chunk = max(1, min(1024, SIMILARITIES // len(bank_labels)))
    own = np.array([i for part in local_chunks(len(labels), chunk)
                    for i in part], np.int64)
    truth = labels[torch.from_numpy(own)]
    for pooling in poolings:
        found = knn_predict(
            # Moved before it becomes twice as large.
            torch.from_numpy(bank[pooling]).to(device).float(),
            bank_labels.to(device),
            torch.from_numpy(queries[pooling][own]).to(device).float(),
            ks,
            settings.temperature,
            chunk=chunk)
        for k, predicted in found.items():
            right = (predicted.cpu() == truth).sum()
            all_reduce(right)
            top1[f'{pooling}, k={k}'] = 100 * right.item() / len(labels)
    return dict(top1=top1, left_out=[k for k in settings.k if k not in ks])


def run_linear(evaluation: Evaluation, settings: Linear) -> Results:
    """MAE's linear probing, one classifier."""
    images = evaluation.images
    batch = _batch(settings.batch, images)
    if batch < 2:
        raise UserError('linear normalises over the images of a step, of '
                        f'which {len(images.train)} training images '
                        'give one; take linear-sweep, or more images.')
    rate = settings.base_lr * batch / 256
    found = _probe(
        evaluation, [HeadSpec(rate, settings.pooling, 'lars', True)],
        settings.augment, batch, settings.epochs,
        min(settings.warm_up, settings.epochs))
    travel = rate * settings.epochs * (len(images.train) // batch)
    if travel < SHORT_TRAVEL:
        found['note'] = (
            f'steps times learning rate are {travel:.0f} (ImageNet: 45,000), '
            'so LARS has probably not arrived; raise linear.base_lr, or take '
            'linear-sweep.')
    return found


def run_sweep(evaluation: Evaluation, settings: Sweep) -> Results:
    """DINO's and iBOT's: every rate and pooling, in one pass."""
    batch = _batch(settings.batch, evaluation.images)
    specs = [
        HeadSpec(rate * batch / 256, pooling)
        for pooling in settings.poolings for rate in settings.rates
    ]
    return _probe(evaluation, specs, settings.augment, batch,
                  settings.epochs, 0.)


def run_finetune(evaluation: Evaluation, settings: Finetune,
                 folder: str = 'finetune') -> Results:
    """All parameters, in a runner that goes on where it was stopped."""
    # A stopped run goes on only with the settings it was started with.
    # The learning rate follows the number of processes, too.
    key = settings_hash(dict(
        asdict(settings), images=evaluation.images.fingerprint,
        processes=get_world_size()))
    work_dir = evaluation.out / f'{folder}-{key}'
    if evaluation.restart:
        broadcast_from_main(
            lambda: shutil.rmtree(work_dir, ignore_errors=True))
    cfg = finetune_config(
        evaluation.recipe,
        evaluation.images,
        evaluation.checkpoint,
        work_dir,
        evaluation.tuning_config,
        evaluation.encoder.embed_dims,
        evaluation.branch,
        settings.epochs,
        settings.batch,
        evaluation.encoder.num_workers,
        evaluation.seed,
        launcher=evaluation.launcher)
    curve = finetune(cfg)
    if not curve:
        raise UserError(f'{cfg.work_dir} was trained before, but has no '
                        'results; delete it to fine-tune again.')
    return dict(
        top1=dict(last=curve[-1]['top1'],
                  best=max(point['top1'] for point in curve)),
        curves=dict(finetune=curve),
        config=evaluation.tuning_config,
        work_dir=str(work_dir),
        batch=cfg.train_dataloader.batch_size,
        epochs=cfg.train_cfg.max_epochs)


def run_few_shot(evaluation: Evaluation, settings: FewShot) -> Results:
    """Few labels; the lists are written beside the results."""
    images = evaluation.images
    lists = [Path(path) for path in settings.lists]
    if not lists:
        lists = broadcast_from_main(lambda: [
            write_few_shot_list(images, share, settings.list_seed,
                                evaluation.out / 'few_shot')
            for share in settings.shares
        ])
    chosen = [few_shot_subset(images, read_few_shot_list(path))
              for path in lists]
    bank, labels = evaluation.features('train', [settings.pooling])
    queries, query_labels = evaluation.features('test', [settings.pooling])
    place = {path: i for i, (path, _) in enumerate(images.train)}
    found: Results = dict(
        top1={}, images={}, lists={}, curves={}, finetune_batch={})

    def vectors(features: Mapping[str, np.ndarray], rows: Any) -> Tensor:
        return pool({name: torch.from_numpy(values[rows]).float()
                     for name, values in features.items()}, settings.pooling)

    for path, few in zip(lists, chosen):
        rows = np.array([place[name] for name, _ in few.train])
        found['images'][path.stem] = len(rows)
        found['lists'][path.stem] = str(path)
        found['top1'][f'{path.stem}, frozen'] = broadcast_from_main(
            lambda rows=rows: linear_probe(  # type: ignore[misc]
                vectors(bank, rows), labels[rows],
                vectors(queries, slice(None)), query_labels, settings.c))
        if settings.finetune:
            tuned = run_finetune(
                replace(evaluation, images=few), evaluation.tuning,
                f'few_shot/{path.stem}')
            found['top1'][f'{path.stem}, fine-tuned'] = tuned['top1']['last']
            found['curves'][path.stem] = tuned['curves']['finetune']
            found['finetune_batch'][path.stem] = tuned['batch']
    return found


def _probe(evaluation: Evaluation, specs: list[HeadSpec], augment: bool,
           batch: int, epochs: int, warm_up: float) -> Results:
    images, seed = evaluation.images, evaluation.seed
    poolings = [spec.pooling for spec in specs]
    test = evaluation.features('test', poolings)
    steps = len(images.train) // batch
    if augment:
        train = _augmented_stream(evaluation, poolings, batch)
    else:
        train = cached_stream(*evaluation.features('train', poolings), batch,
                              seed)
    results = train_heads(specs, train, test, len(images.classes), steps,
                          batch, epochs, warm_up, seed,
                          evaluation.encoder.device)
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


class SeededPerImage(Dataset):
    """A data set whose augmentation depends on seed, epoch and image alone.

    So it is the same however many processes and workers share the images. Its
    transforms draw from NumPy's generator.
    """

    def __init__(self, dataset: Dataset, seed: int, epoch: int):
        self.dataset = dataset
        self.draw = [seed, epoch]

    def __getitem__(self, index: int) -> Any:
        np.random.seed([*self.draw, index])
        return self.dataset[index]


def _augmented_stream(evaluation: Evaluation, poolings: list[str],
                      batch: int) -> Stream:
    encoder, seed = evaluation.encoder, evaluation.seed
    dataset = evaluation.dataset(
        'train', probe_pipeline(evaluation.recipe.size))
    names = features_for(poolings)

    def epoch_batches(epoch: int):
        order = np.concatenate(
            list(local_batches(len(dataset), batch, seed, epoch)))
        loader = encoder.loader(
            SeededPerImage(dataset, seed, epoch),
            [order[chunk.start:chunk.stop].tolist()
             for chunk in chunks(len(order), encoder.batch_size)])
        return encoder.features(loader, names)

    return epoch_batches


RUN: dict[str, Callable[[Evaluation, Any], Results]] = {
    'knn': run_knn,
    'linear': run_linear,
    'linear-sweep': run_sweep,
    'finetune': run_finetune,
    'fewshot': run_few_shot,
}
