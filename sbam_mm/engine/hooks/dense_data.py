# Copyright (c) OpenMMLab. All rights reserved.
"""A data set without samples, or of other classes, stops the run at once."""
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from sbam_mm.engine.fsdp import unwrapped
from sbam_mm.errors import UserError
from sbam_mm.registry import HOOKS

HEADS = ('decode_head', 'roi_head.bbox_head')


def head_classes(model: nn.Module) -> int | None:
    """How many classes a segmentor or detector tells apart, if it says so."""
    for name in HEADS:
        head: Any = model
        for part in name.split('.'):
            head = getattr(head, part, None)
        if isinstance(getattr(head, 'num_classes', None), int):
            return head.num_classes
    return None


@HOOKS.register_module()
class DenseDataHook(Hook):
    """Check the data of segmentation and detection before the first step.

    With an empty split mmengine's endless sampler would wait for ever, and
    one class too many fails in a CUDA kernel.
    """
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        self.check(runner, runner.train_dataloader.dataset, 'training')
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        self.check(runner, runner.val_loop.dataloader.dataset, 'validation')

    def before_test(self, runner: Runner) -> None:
        self.check(runner, runner.test_loop.dataloader.dataset, 'test')

    @staticmethod
    def check(runner: Runner, dataset: BaseDataset, split: str) -> None:
        """Stop if a data set is empty or of other classes than the model."""
        if not len(dataset):
            raise UserError(
                f'the {split} split has no sample: the folder or annotation '
                'file is empty, or filter_cfg drops every image (images '
                'without boxes); check data_root, data_prefix and ann_file.')
        wanted = head_classes(unwrapped(runner.model))
        classes = getattr(dataset, 'metainfo', {}).get('classes')
        if wanted and classes and len(classes) != wanted:
            raise UserError(
                f'the {split} split has {len(classes)} classes and the model '
                f"{wanted}; set the heads' num_classes={len(classes)}.")
