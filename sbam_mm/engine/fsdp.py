# Copyright (c) OpenMMLab. All rights reserved.
"""Fully sharded data parallel training of models that mask."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine._strategy import FSDPStrategy as Base
from mmengine.model import BaseAveragedModel, is_model_wrapper
from mmengine.optim import BaseOptimWrapper
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from sbam_mm.errors import UserError
from sbam_mm.registry import STRATEGIES

FULL_ON_CPU = dict(
    state_dict_type='FULL_STATE_DICT',
    state_dict_config=dict(type='FullStateDictConfig'),
    optim_state_dict_config=dict(type='FullOptimStateDictConfig'))


@STRATEGIES.register_module()
class FSDPStrategy(Base):
    """mmengine's strategy, adapted to models that mask.

    The model is sharded as one unit: maskers, teachers and packed sequences
    run single parts of it, which would find their parameters missing if
    every block were a unit of its own. Parameters are gathered for a step and
    divided again after it; gradients and optimizer states are never whole.

    Momentum teachers stay whole on every process. They move inside the step,
    where the student is whole too, and what is written to gathered parameters
    would be lost. Works on CPU processes (gloo) as well.

    Args:
        model_wrapper (dict, optional): Options of mmengine's
            ``MMFullyShardedDataParallel``, such as ``sharding_strategy``:
            "FULL_SHARD", "SHARD_GRAD_OP" or "NO_SHARD". Defaults to None:
            FULL_SHARD.
        state_dict_cfg (str or dict): See mmengine. Defaults to "full":
            checkpoints hold the weights of a run on one device.

    Raises:
        UserError: At build time, for an ``auto_wrap_policy`` or for
            ``clip_grad``, which would see a shard's norm.
    """

    def __init__(self,
                 *,
                 model_wrapper: dict | None = None,
                 state_dict_cfg: str | dict = 'full',
                 **kwargs) -> None:
        model_wrapper = dict(model_wrapper or {})
        if model_wrapper.get('auto_wrap_policy') is not None:
            raise UserError(
                'sbam_mm.FSDPStrategy shards the model as one unit, because '
                'maskers and packed sequences run single parts of it: leave '
                'strategy.model_wrapper.auto_wrap_policy out.')
        if state_dict_cfg == 'full' and not torch.cuda.is_available():
            # mmengine's "full" moves weights to the CPU and frees the others;
            # where both are one, torch 2.11 reads freed memory.
            state_dict_cfg = FULL_ON_CPU
        super().__init__(state_dict_cfg=state_dict_cfg, **kwargs)
        self.wrapper_options = model_wrapper

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        device = torch.device('cpu')
        if torch.cuda.is_available():
            device = torch.device('cuda', int(os.environ['LOCAL_RANK']))
        averages = [
            module for module in model.modules()
            if isinstance(module, BaseAveragedModel)
        ]
        for average in averages:
            average.to(device)
        self.model_wrapper = dict(
            dict(
                type='MMFullyShardedDataParallel',
                device_id=device,
                ignored_modules=averages), **self.wrapper_options)
        return super()._wrap_model(model)

    def build_optim_wrapper(self,
                            optim_wrapper: Any,
                            model: nn.Module | None = None
                            ) -> BaseOptimWrapper:
        if isinstance(optim_wrapper, dict) and optim_wrapper.get('clip_grad'):
            raise UserError(
                'optim_wrapper.clip_grad would clip each shard by its own '
                'norm: set optim_wrapper.clip_grad=None to train with '
                'sbam_mm.FSDPStrategy.')
        return super().build_optim_wrapper(optim_wrapper, model)

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Resume; mmengine passes torch the arguments in an old order."""
        self.optim_wrapper.load_state_dict(
            FullyShardedDataParallel.optim_state_dict_to_load(
                self.model, self.optim_wrapper.optimizer, state_dict))


def unwrapped(model: nn.Module) -> Any:
    """The model inside a wrapper such as DDP, or the model itself."""
    return model.module if is_model_wrapper(model) else model


@contextmanager
def whole_parameters(model: nn.Module) -> Iterator[None]:
    """All parameters in full for a while, where they are sharded.

    For what looks at parts of a model outside a training step; changes are
    lost. A collective call: all processes have to make it.
    """
    if not isinstance(model, FullyShardedDataParallel):
        yield
        return
    with FullyShardedDataParallel.summon_full_params(model, writeback=False):
        yield
