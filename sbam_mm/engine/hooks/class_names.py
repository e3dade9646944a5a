# Copyright (c) OpenMMLab. All rights reserved.
"""Labels mean the same in training, validation, test and checkpoint."""
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.datasets.class_names import (
    check_same_numbers,
    classes_of,
    is_labelled,
)
from sbam_mm.engine.fsdp import unwrapped
from sbam_mm.errors import UserError
from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Compare the classes of a classifier's data sets by name.

    Accuracy compares numbers: if the validation half lacks a class folder, or
    has one more, all later classes would silently be wrong. Data sets without
    names (``metainfo['classes']``) cannot be compared.
    """
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._trained: tuple[str, ...] | None = None

    def before_train(self, runner: Runner) -> None:
        """Compare the training and validation images."""
        if not _classifies(runner):
            return
        dataset = runner.train_dataloader.dataset
        if not is_labelled(dataset):
            raise UserError(
                'the training images have no labels, which a classifier '
                'learns from: sort them into class folders '
                '(train/<class>/), or choose a pre-training config.')
        self._trained = classes_of(dataset)
        if runner.val_loop is not None:
            self._check(runner.val_loop.dataloader.dataset, 'validation')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember the classes of a checkpoint that mmengine has written."""
        meta: Any = checkpoint.get('meta')
        known = meta.get('dataset_meta') if isinstance(meta, dict) else None
        names = known.get('classes') if isinstance(known, dict) else None
        self._trained = tuple(names) if names else None

    def before_test(self, runner: Runner) -> None:
        if _classifies(runner):
            self._check(runner.test_loop.dataloader.dataset, 'test')

    def before_val(self, runner: Runner) -> None:
        if _classifies(runner):
            self._check(runner.val_loop.dataloader.dataset, 'validation')

    def _check(self, dataset: Any, split: str) -> None:
        if not is_labelled(dataset):
            raise UserError(
                f'the {split} images have no labels to compare with: sort '
                f'them into class folders (<class>/), or leave the {split} '
                'out.')
        check_same_numbers(self._trained, dataset, split)


def _classifies(runner: Runner) -> bool:
    # As mmpretrain's ImageClassifier has; pre-training heads have none.
    head = getattr(unwrapped(runner.model), 'head', None)
    return hasattr(head, 'num_classes')
