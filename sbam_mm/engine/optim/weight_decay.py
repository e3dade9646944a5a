# Copyright (c) OpenMMLab. All rights reserved.
"""Which parameters pre-training exempts from weight decay."""
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from sbam_mm.engine.fsdp import whole_parameters
from sbam_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .groups import GroupingOptimWrapperConstructor


def spared_parameters(model: nn.Module) -> frozenset[str]:
    """Names of the parameters without weight decay.

    These are all vectors: norms, biases of any name, layer scale. Of the
    others, what a part of the model names in ``no_weight_decay``, as the
    official code of the method does: class and mask tokens, tables.

    Args:
        model (nn.Module): With its parameters whole.

    Example:
        >>> from sbam_mm.models import MaskedBEiT
        >>> beit = MaskedBEiT('tiny', img_size=32, patch_size=8)
        >>> spared = spared_parameters(beit)
        >>> 'layers.0.gamma_1' in spared, 'layers.0.attn.q_bias' in spared
        (True, True)
        >>> 'layers.0.attn.qkv.weight' in spared
        False
    """
    parameters = dict(model.named_parameters())
    spared: set[str] = {
        name for name, value in parameters.items() if value.dim() <= 1
    }
    for path, module in model.named_modules():
        named = set(getattr(module, 'no_weight_decay', ()))
        prefix = f'{path}.' if path else ''
        spared |= {
            name for name in parameters if name.startswith(prefix)
            and named & set(name[len(prefix):].split('.'))
        }
    return frozenset(spared)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class WeightDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
    """Weight decay for weights only.

    The rule is :func:`spared_parameters`'s; ``custom_keys`` override it.
    """

    paramwise_cfg: dict[str, Any]

    def __call__(self, model: nn.Module) -> OptimWrapper:
        # A shard of a matrix is a vector.
        with whole_parameters(model):
            self.spared = spared_parameters(getattr(model, 'module', model))
        # Without any such option mmengine makes one group of everything.
        self.paramwise_cfg = dict(self.paramwise_cfg or {})
        self.paramwise_cfg.setdefault('bias_decay_mult', 0.)
        return super().__call__(model)

    def settle(self, groups: list[dict], module: nn.Module) -> list:
        """Spare what is to be spared; groups differ by options alone."""
        if self.base_wd is None:
            return super().settle(groups, module)
        names = {id(value): name for name, value in module.named_parameters()}
        custom = self.paramwise_cfg.get('custom_keys', {})
        decayed = 0
        for group in groups:
            name = names[id(group['params'][0])]
            if name in self.spared and not any(key in name for key in custom):
                group['weight_decay'] = 0.
            decayed += group.get('weight_decay', self.base_wd) != 0
        print_log(
            f'Weight decay {self.base_wd:g} on {decayed} parameters, none on '
            f'{len(groups) - decayed}: vectors, and '
            f'{self._tokens(names.values()) or "no others"}.',
            logger='current')
        return super().settle(groups, module)

    def _tokens(self, names: Any) -> str:
        """Last parts of the names of what is spared and is no vector."""
        last = {name.rpartition('.')[2] for name in names
                if name in self.spared}
        return ', '.join(sorted(
            name for name in last if 'token' in name or 'pos' in name
            or 'table' in name))
