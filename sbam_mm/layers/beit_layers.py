# Copyright (c) OpenMMLab. All rights reserved.
"""Options of mmpretrain's BEiT layers that it loses or applies twice."""
from typing import Any


def beit_layer_cfgs(layer_cfgs: Any = (), drop_rate: float = 0.) -> Any:
    """``layer_cfgs`` of a ``BEiTViT`` with which dropout is as in BEiT.

    mmpretrain hands ``attn_drop_rate`` and ``drop_rate`` to the attention
    under names that it does not know, so they are lost; and it applies
    stochastic depth to the feed-forward branch twice, so that the branch
    survives with the squared probability.

    Args:
        layer_cfgs (dict or Sequence[dict]): Of all layers, or of each.
        drop_rate (float): Of the whole encoder.

    Example:
        >>> beit_layer_cfgs(dict(attn_drop_rate=.1))['attn_cfg']
        {'attn_drop_rate': 0.1, 'proj_drop_rate': 0.0}
    """
    if layer_cfgs and not isinstance(layer_cfgs, dict):
        return [beit_layer_cfgs(one, drop_rate) for one in layer_cfgs]
    cfg = dict(layer_cfgs or {})
    attn = dict(
        attn_drop_rate=cfg.get('attn_drop_rate', 0.),
        proj_drop_rate=cfg.get('drop_rate', drop_rate))
    ffn = dict(add_identity=False, dropout_layer=None)
    return dict(
        cfg,
        attn_cfg={**attn, **cfg.get('attn_cfg', {})},
        ffn_cfg={**ffn, **cfg.get('ffn_cfg', {})})
