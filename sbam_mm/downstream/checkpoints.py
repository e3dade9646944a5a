# Copyright (c) OpenMMLab. All rights reserved.
"""Strict loading of pre-trained encoders as backbones."""
from typing import Any

from mmengine.logging import print_log
from torch import nn

from sbam_mm.errors import UserError
from sbam_mm.models.pretrained_encoder import load_encoder


class FromEncoder:
    """A backbone whose ``init_cfg=dict(type='Pretrained')`` is strict.

    mmseg's and mmdet's backbones load with ``strict=False``: a file of
    another project, or ours with its prefix, loads nothing and training goes
    on from random weights. Here every parameter comes from the file, or the
    run stops. Goes before mmpretrain's class in the list of bases.

    Attributes:
        begins_anew (tuple[str, ...]): Patterns of the parameters that the
            class adds to an encoder.
    """
    begins_anew: tuple[str, ...] = ()
    init_cfg: Any
    is_init: bool

    def init_weights(self) -> None:
        """Start from a complete checkpoint, or from random weights.

        Raises:
            UserError: See :func:`load_encoder`; also if the name of the
                checkpoint is empty, or options other than "checkpoint" are
                given.
        """
        cfg = self.init_cfg
        if not (isinstance(cfg, dict) and cfg.get('type') == 'Pretrained'):
            super().init_weights()  # type: ignore[misc]
            return
        path = str(cfg.get('checkpoint') or '')
        if not path:
            raise UserError(
                'the backbone has no checkpoint to start from; give it with '
                '--cfg-options model.backbone.init_cfg.checkpoint=FILE or '
                'the environment variable CHECKPOINT, or set '
                'model.backbone.init_cfg=None to train from random weights.')
        unknown: list[str] = sorted(set(cfg) - {'type', 'checkpoint'})
        if unknown:
            raise UserError(
                f'init_cfg has {", ".join(unknown)}, which has no effect '
                'here: prefixes and formats are recognised; remove it.')
        # What begins anew needs its random start first.
        self.init_cfg = None
        super().init_weights()  # type: ignore[misc]
        self.init_cfg = cfg
        assert isinstance(self, nn.Module)
        report = load_encoder(self, path, begins_anew=self.begins_anew)
        print_log(
            f'Encoder from {path}: {len(report.matched)} weights loaded, '
            f'{len(report.missing)} begin anew.',
            logger='current')
