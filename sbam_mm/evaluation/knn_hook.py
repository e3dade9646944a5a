# Copyright (c) OpenMMLab. All rights reserved.
"""How good the representation is, while it is being learnt."""
import time
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import Subset

from sbam_mm.datasets.class_names import is_labelled, numbers_in, parts_of
from sbam_mm.engine.fsdp import whole_parameters
from sbam_mm.errors import UserError
from sbam_mm.models.evaluating import unchanged_random_state
from sbam_mm.registry import DATASETS, HOOKS

from .epoch_hook import EpochHook
from .features import extract_features
from .knn import knn_top1

NEIGHBOURS = 20


@HOOKS.register_module()
class KNNHook(EpochHook):
    """Log the k-nearest-neighbour accuracy of the frozen encoder.

    Logged as ``knn_top1`` (per cent) with the ``epoch``, at the iteration
    reached: in the log, in ``vis_data/scalars.json``, and in every other
    visualization back-end; also in the message hub. Training goes on to the
    bit as without the hook: random states and module modes are put back.

    Classes of bank and query are compared by name (``metainfo['classes']``,
    which class folders give); a query may lack some of them. Where one of the
    two has no names, numbers are compared. Without labels in the bank, or
    without the query's folder, the hook says so and stays off.

    ``channels`` and ``value_range`` are those of the training images, where
    bank and query say nothing.

    Args:
        bank (dict): Config of the labelled data set whose images vote, with
            a pipeline that does not augment.
        query (dict): The same of the images to classify.
        k (int, optional): Neighbours. Defaults to None: 20, or all bank
            images where they are fewer.
        feature (str): 'avg' or 'cls', see ``extract_features``.
        interval (int): Epochs between evaluations; the last epoch is always
            evaluated. In a loop over iterations an epoch is as many of them as
            show every image once.
        at_start (bool): Also evaluate the untrained model.
        num_train (int, optional): Bank images, drawn once with ``seed``.
            Defaults to None, all.
        num_test (int, optional): Query images, likewise.

    Example::

        images = dict(
            type='sbam_mm.ImageFolder',
            data_root='data/cifar10',
            pipeline=[dict(type='PackInputs')])
        custom_hooks = [
            dict(
                type='sbam_mm.KNNHook',
                bank=dict(images, data_prefix='train'),
                query=dict(images, data_prefix='test'),
                interval=10)
        ]
    """

    def __init__(self,
                 bank: dict,
                 query: dict,
                 k: int | None = None,
                 temperature: float = .07,
                 feature: str = 'avg',
                 interval: int = 1,
                 at_start: bool = False,
                 num_train: int | None = None,
                 num_test: int | None = None,
                 seed: int = 0,
                 batch_size: int = 256,
                 num_workers: int = 0) -> None:
        super().__init__(interval, at_start)
        if k is not None and k < 1:
            raise UserError(f'KNNHook(k={k}) cannot work: it must be at '
                            'least 1.')
        self.bank = bank
        self.query = query
        self.k = k
        self.temperature = temperature
        self.feature = feature
        self.num_train = num_train
        self.num_test = num_test
        self.seed = seed
        self.batch_size = batch_size
        self.num_workers = num_workers

    def before_train(self, runner: Runner) -> None:
        self._off = False
        decoding = dataset_decoding(runner.train_dataloader.dataset)
        with unchanged_random_state():
            self._bank = self._build({**decoding, **self.bank},
                                     self.num_train)
            if not is_labelled(self._bank):
                self._stay_off(runner, 'the bank images have no labels')
                return
            try:
                self._query = self._build({**decoding, **self.query},
                                          self.num_test)
            except FileNotFoundError as error:
                self._stay_off(runner, str(error).rstrip('.'))
                return
            if not is_labelled(self._query):
                raise UserError(
                    'the query images of KNNHook have no labels to compare '
                    'with: sort them into class folders (test/<class>/), or '
                    'remove the hook.')
            self._numbers = numbers_in(self._bank, self._query)
        if self.k is None:
            self.k = min(NEIGHBOURS, len(self._bank))
        if self.k > len(self._bank):
            raise UserError(
                f'KNNHook(k={self.k}) needs at least as many bank images, '
                f'which are {len(self._bank)}: lower k or raise num_train.')
        self._start(runner)

    def _stay_off(self, runner: Runner, reason: str) -> None:
        self._off = True
        runner.logger.warning(
            f'KNNHook stays off, so there will be no knn_top1: {reason}.')

    def _build(self, config: dict, limit: int | None) -> Subset:
        # A stand-in for an unreadable file is then fixed, not drawn.
        dataset = DATASETS.build({'test_mode': True, **config})
        chosen = np.random.default_rng(self.seed).permutation(len(dataset))
        return Subset(dataset, sorted(chosen[:limit].tolist()))

    def _evaluate(self, runner: Runner, epoch: int) -> None:
        start = time.time()
        with unchanged_random_state(), whole_parameters(runner.model):
            bank = self._extract(runner, self._bank)
            query = self._extract(runner, self._query)
        assert self.k is not None
        if self._numbers is not None:
            query = query[0], torch.tensor(self._numbers)[query[1]]
        top1 = knn_top1(*bank, *query, [self.k], self.temperature)[self.k]
        runner.message_hub.update_scalar('knn_top1', top1)
        runner.visualizer.add_scalars(
            dict(knn_top1=top1, epoch=epoch), step=runner.iter)
        runner.logger.info(
            f'Epoch {epoch}  knn_top1: {top1:.2f}  (k={self.k}, '
            f'{len(query[1])} queries, bank of {len(bank[1])}, '
            f'{time.time() - start:.1f} s)')

    def _extract(self, runner: Runner,
                 dataset: Subset) -> tuple[Tensor, Tensor]:
        rank, world = get_dist_info()
        mine = list(range(rank, len(dataset), world))
        features, labels = extract_features(
            runner.model,
            # An empty share would have nothing to extract; a double is
            # dropped below.
            Subset(dataset, mine or [0]),
            self.feature,
            batch_size=self.batch_size,
            num_workers=self.num_workers)
        if world == 1:
            return features, labels
        parts = all_gather_object((mine, features, labels))
        order = torch.tensor([i for part, _, _ in parts for i in part])
        found = [(f[:len(i)], t[:len(i)]) for i, f, t in parts]
        # Back into the data set's order: equal similarities then resolve as
        # in a run on one process.
        place = order.argsort()
        return (torch.cat([f for f, _ in found])[place],
                torch.cat([t for _, t in found])[place])


def dataset_decoding(dataset: Any) -> dict[str, Any]:
    """``channels`` and ``value_range`` of a data set, if not usual."""
    part = parts_of(dataset)[0]
    return {
        name: getattr(part, name)
        for name, usual in (('channels', 3), ('value_range', None))
        if getattr(part, name, usual) != usual
    }
