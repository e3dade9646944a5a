# Copyright (c) OpenMMLab. All rights reserved.
"""The segment bias by FlexAttention on CUDA without a GPU.

The kernel is compiled for a GPU, so that something else stands for it here.
"""
from collections import Counter

import pytest
import torch
from mmengine.config import Config
from watched import (
    ROOT,
    Watch,
    batch_of,
    faked,
    needs_cuda_build,
    running,
)

from sbam_mm.engine.trial_build import build_without_weights
from sbam_mm.segments import bias, flex

pytestmark = [pytest.mark.unit, needs_cuda_build]


@pytest.mark.parametrize('config, masked, waits', [
    ('mae_vitb16_bias_1600e', False, 0),
    ('mae_vitb16_bias_sbam_1600e', True, 1),  # lengths, packed/layout.py
])
def test_flex(config, masked, waits, monkeypatch):
    calls = Counter()

    def kernel(q, k, v, score_mod, block_mask):
        place = torch.zeros(1, dtype=torch.int64, device='cuda')
        score = score_mod(torch.empty(1, device='cuda'), *[place] * 4)
        assert score.device.type == 'cuda'
        calls[q.dtype, k.dtype, v.dtype, block_mask is not None] += 1
        return torch.empty_like(q)

    monkeypatch.setattr(bias, 'flex_available', lambda: True)
    monkeypatch.setattr(flex, '_compiled', lambda function: function)
    monkeypatch.setattr(flex, 'flex_attention', kernel)
    cfg = Config.fromfile(ROOT / f'configs/segment_bias/{config}.py')
    cfg.model.backbone.segment_bias.kernel = 'flex'
    watch = Watch()
    with running(watch):
        model = faked(build_without_weights(cfg)).train()
        batch = batch_of(cfg, 3)
        model(*batch, mode='loss')
        watch.clear()
        calls.clear()
        model(*batch, mode='loss')
    assert calls == {(*[torch.bfloat16] * 3, masked): 12}
    assert watch.waited.total() == waits, watch.waited
    assert not watch.wrong
