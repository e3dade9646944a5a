# Copyright (c) OpenMMLab. All rights reserved.
"""Learning rates that decay from the head of a ViT to its first block."""
import re

from mmengine.logging import print_log
from torch import nn

from sbam_mm.errors import UserError
from sbam_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .groups import GroupingOptimWrapperConstructor

# How mmpretrain's, mmseg's and mmdet's ViTs call their blocks.
BLOCKS = ('layers', 'blocks')
# What comes before the first block; the rest of a backbone comes after the
# last one. The second line is ConvMAE's.
STEM = re.compile(r'((cls|dist|mask)_token|register_tokens|pos_embed|'
                  r'patch_embed|pre_norm|'
                  r'merge|convs|proj)(\.|$)')


def layer_depths(model: nn.Module) -> tuple[dict[str, int], int]:
    """Depth of every parameter of a model with a ViT, and the largest depth.

    0 for patch and position embedding, i + 1 for block i, N + 1 for what
    comes after N blocks, neck and head included.

    Args:
        model (nn.Module): One with a ``backbone`` that has a list of blocks
            called "layers" or "blocks" (mmpretrain's, mmseg's, mmdet's), or
            such a backbone itself.

    Raises:
        UserError: If no parameter belongs to a numbered block.

    Example:
        >>> from mmpretrain.models import VisionTransformer
        >>> depths, top = layer_depths(VisionTransformer('deit-tiny'))
        >>> depths['pos_embed'], depths['layers.3.ln1.bias'], top
        (0, 4, 13)
        >>> depths['ln1.weight']
        13
    """
    backbone = getattr(model, 'backbone', model)
    prefix = '' if backbone is model else 'backbone.'
    found = [name for name in BLOCKS
             if isinstance(getattr(backbone, name, None), nn.ModuleList)]
    top = len(getattr(backbone, found[0])) + 1 if found else 0
    depths: dict[str, int] = {}
    matched = 0
    for name, _ in model.named_parameters():
        inside = name[len(prefix):] if name.startswith(prefix) else ''
        block = re.match(rf'{found[0]}\.(\d+)\.', inside) if found else None
        if block:
            matched += 1
            depths[name] = int(block[1]) + 1
        else:
            depths[name] = 0 if STEM.match(inside) else top
    if not matched:
        names = [name for name, _ in backbone.named_parameters()]
        raise UserError(
            'layer decay found no parameter called (backbone.)layers.N.* or '
            f'(backbone.)blocks.N.* in {type(backbone).__name__}, whose '
            f'parameters are called {", ".join(names[:3]) or "nothing"} ...; '
            'use a plain ViT as backbone, or another constructor.')
    return depths, top


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ViTLayerDecayOptimWrapperConstructor(GroupingOptimWrapperConstructor):
    r"""Multiply a block's learning rate by ``rate ** (N + 1 - depth)``.

    Depths are those of :func:`layer_depths`, so head and last norm have the
    full rate and the embeddings :math:`r^{N+1}` of it. For the models of
    mmpretrain, mmseg and mmdet alike; the number of blocks is read from the
    backbone. If no parameter matches, which the stack's own constructors
    ignore, the run stops. Parameters of equal settings share a group.

    Source: Clark et al., *ELECTRA*, ICLR 2020, and for ViTs Bao et al.,
    *BEiT*, ICLR 2022; He et al., *MAE*, CVPR 2022, appendix A.1.

    Args:
        paramwise_cfg (dict): ``layer_decay_rate`` in (0, 1], and any option
            of mmengine's ``DefaultOptimWrapperConstructor``, whose learning
            rates are multiplied. ``flat_decay_mult=0.`` exempts biases and
            norms from weight decay, as MAE does; ``custom_keys`` name
            what else is exempt.

    Example::

        optim_wrapper = dict(
            optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
            constructor='sbam_mm.ViTLayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.65, flat_decay_mult=0.))
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        for key in ('num_layers', 'decay_rate', 'decay_type'):
            if key in self.paramwise_cfg:
                raise UserError(
                    f'paramwise_cfg has {key!r}, which is not used here; set '
                    'layer_decay_rate alone, the number of blocks is the '
                    "backbone's.")
        rate = self.paramwise_cfg.get('layer_decay_rate')
        if rate is None or not 0 < rate <= 1:
            raise UserError(
                'paramwise_cfg needs a layer_decay_rate in (0, 1], got '
                f'{rate!r}; MAE fine-tunes ViT-B with 0.65.')

    def settle(self, groups: list[dict], module: nn.Module) -> list[int]:
        """Scale learning rates; groups of different depths stay apart."""
        depths, top = layer_depths(module)
        names = {id(value): key for key, value in module.named_parameters()}
        rate = self.paramwise_cfg['layer_decay_rate']
        keys = [depths[names[id(group['params'][0])]] for group in groups]
        for depth, group in zip(keys, groups):
            scale = rate**(top - depth)
            group.update(lr=group.get('lr', self.base_lr) * scale,
                         lr_scale=scale)
        print_log(
            f'Layer decay {rate:g} over {top - 1} blocks: learning rates '
            f'from {self.base_lr * rate**top:.3g} (embeddings) to '
            f'{self.base_lr:.3g} (head).',
            logger='current')
        return keys
