# Copyright (c) OpenMMLab. All rights reserved.
"""Few groups of parameters, and the fused optimizer where there is one."""
from inspect import signature
from typing import Any

from mmengine.hooks import RuntimeInfoHook
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.optim import Optimizer

from sbam_mm.models.progress import extend
from sbam_mm.run_switches import is_exact

# How an optimizer computes, which is a matter of this machine.
IMPLEMENTATION = ('foreach', 'fused', 'capturable')


class GroupingOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with one group for all equal options.

    mmengine makes a group of every parameter, and an optimizer works group by
    group. Within a group parameters have the model's order. Checkpoints with
    a group of every parameter are resumed from as well.

    On CUDA the optimizer is torch's fused one, unless its config says
    otherwise or exact results are asked for.
    """

    def settle(self, groups: list[dict], module: nn.Module) -> list:
        """Give the groups, of one parameter each, their last options.

        Returns:
            list: A key for every group; different ones are kept apart.
        """
        return [None] * len(groups)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        options: dict = self.optimizer_cfg  # type: ignore[has-type]
        self.optimizer_cfg = fused_where_possible(options, model) | options
        self.single: list[nn.Parameter] = []
        wrapper = super().__call__(model)
        single = self.single

        def regroup(optimizer: Optimizer, state: dict) -> dict:
            return {**state, 'param_groups': regrouped(
                optimizer, state['param_groups'], single)}

        wrapper.optimizer.register_load_state_dict_pre_hook(regroup)
        return wrapper

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   **kwargs: Any) -> None:
        """Fill ``params`` with one group for each set of equal options."""
        if prefix:
            super().add_params(params, module, prefix, **kwargs)
            return
        groups: list[dict] = []
        super().add_params(groups, module)
        self.single = [group['params'][0] for group in groups]
        params.extend(merged(groups, self.settle(groups, module)))


def merged(groups: list[dict], keys: list) -> list[dict]:
    """Groups of equal keys and options become one, where the first stood."""
    found: list[tuple[Any, dict, dict]] = []
    for key, group in zip(keys, groups):
        options = {k: v for k, v in group.items() if k != 'params'}
        for other, its_options, into in found:
            if (key, options) == (other, its_options):
                into['params'] += group['params']
                break
        else:
            found.append(
                (key, options, dict(options, params=[*group['params']])))
    return [group for _, _, group in found]


def regrouped(optimizer: Optimizer, stored: list[dict],
              single: list[nn.Parameter]) -> list[dict]:
    """The groups of a checkpoint as those of an optimizer.

    Args:
        stored (list[dict]): Of the checkpoint: those of the optimizer, or a
            group for each of ``single``, in this order.
    """
    groups = optimizer.param_groups
    if len(stored) == len(single) and all(
            len(group['params']) == 1 for group in stored):
        of = {id(value): group for value, group in zip(single, stored)}
        stored = [
            dict(
                of[id(group['params'][0])],
                params=[of[id(p)]['params'][0] for p in group['params']])
            for group in groups
        ]
    return [{
        **before,
        **{name: now[name] for name in IMPLEMENTATION if name in now}
    } for before, now in zip(stored, groups)] if len(stored) == len(
        groups) else stored


def fused_where_possible(options: dict, model: nn.Module) -> dict:
    """The option that makes an optimizer of some config a fused one."""
    kind = options['type']
    if isinstance(kind, str):
        with OPTIMIZERS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    trained = [p for p in model.parameters() if p.requires_grad]
    if (kind is None or is_exact() or 'fused' not in signature(kind).parameters
            or {*IMPLEMENTATION, 'differentiable'} & options.keys()
            or not all(p.is_cuda and p.is_floating_point()
                       for p in trained)):
        return {}
    return dict(fused=True)


@extend('before_train')
def _regroup_schedules(hook: RuntimeInfoHook, runner: Any) -> None:
    """Schedules of a checkpoint list a value for each of its groups."""
    schedulers = runner.param_schedulers or []
    if isinstance(schedulers, dict):
        schedulers = [one for some in schedulers.values() for one in some]
    for scheduler in schedulers:
        groups = scheduler.optimizer.param_groups
        if len(scheduler.base_values) != len(groups):
            name = scheduler.param_name
            scheduler.base_values = [
                group[f'initial_{name}'] for group in groups
            ]
            scheduler._last_value = [group[name] for group in groups]
