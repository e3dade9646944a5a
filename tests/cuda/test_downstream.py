# Copyright (c) OpenMMLab. All rights reserved.
"""Backbones of segmentation and detection on CUDA without a GPU."""
import pytest
import torch
from mmengine.config import Config
from watched import (
    ROOT,
    Watch,
    faked,
    needs_cuda_build,
    running,
)

import sbam_mm.downstream  # noqa: F401
from sbam_mm.registry import MODELS

pytestmark = [pytest.mark.unit, needs_cuda_build]


@pytest.mark.parametrize('config, side, kernels', [
    # Relative positions are a bias, which flash attention does not take.
    ('mmseg/upernet_vitb_160k_ade20k', 512, dict(efficient=12)),
    ('mmseg/upernet_vitb_plain_160k_ade20k', 512, dict(flash=12)),
    # Here they are in channels that the values do not have.
    ('mmdet/vitdet_vitb_100e_coco', 1024, dict(efficient=12)),
])
def test_backbone(config, side, kernels):
    """Nothing waits, and products are in bfloat16."""
    model = Config.fromfile(ROOT / f'configs/{config}.py').model
    parts = [dict(model.backbone, init_cfg=None)]
    if model.neck.type.startswith('sbam_mm.'):
        parts.append(model.neck)
    with torch.device('meta'):
        parts = [MODELS.build(part) for part in parts]
    watch = Watch()
    with running(watch):
        maps = torch.empty(2, 3, side, side, device='cuda')
        for part in map(faked, parts):
            part.train()  # of mmpretrain's it returns nothing
            maps = part(maps)
    assert watch.kernels == kernels
    assert not watch.waited
    assert set(watch.products) == {'bfloat16'}
    assert watch.norms <= {torch.float32} and not watch.wrong
    assert {level.device.type for level in maps} == {'cuda'}
