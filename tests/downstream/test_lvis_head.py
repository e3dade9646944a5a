# Copyright (c) OpenMMLab. All rights reserved.
"""LVIS: boxes are scored by the sigmoids that they were trained with."""
import math
from pathlib import Path

import dense_configs
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSES = 1203
pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def recipe():
    """The config of the model, and its initialised classifier of boxes."""
    dense_configs.require('mmdet')
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / 'mmdet/vitdet_vitb_100e_lvis.py').model
    cfg.roi_head.bbox_head.update(
        in_channels=8, conv_out_channels=8, fc_out_channels=16,
        roi_feat_size=2)
    torch.manual_seed(0)
    head = MODELS.build(cfg.roi_head.bbox_head)
    head.init_weights()
    return cfg, head


def test_scores_are_sigmoids(recipe):
    cfg, head = recipe
    assert head.fc_cls.out_features == CLASSES
    logits = torch.full((2, CLASSES), -7.)
    # Two classes of one box: a softmax would give each a half.
    logits[0, 3], logits[0, 5], logits[1, 1202] = 3., 2.5, -1.
    found = head._predict_by_feat_single(
        roi=torch.tensor([[0, 0, 0, 100, 100.], [0, 200, 200, 300, 300]]),
        cls_score=logits,
        bbox_pred=torch.zeros(2, 4 * CLASSES),
        img_meta=dict(img_shape=(400, 400)),
        rcnn_test_cfg=cfg.test_cfg.rcnn)
    assert found.labels.tolist() == [3, 5, 1202]
    torch.testing.assert_close(
        found.scores, torch.tensor([3., 2.5, -1.]).sigmoid())


def test_loss_is_that_of_the_classes_alone(recipe):
    _, head = recipe
    labels = torch.tensor([3, CLASSES, CLASSES])
    logits = torch.randn(3, CLASSES, generator=torch.Generator()
                         .manual_seed(0))
    losses = head.loss(
        logits, torch.zeros(3, 4 * CLASSES), torch.zeros(3, 5), labels,
        torch.ones(3), torch.zeros(3, 4), torch.zeros(3, 4))
    # Background is no class: all 1203 are wrong there.
    other = -torch.nn.functional.logsigmoid(-logits)
    other[0, 3] = -torch.nn.functional.logsigmoid(logits[0, 3])
    torch.testing.assert_close(losses['loss_cls'], other.sum() / 3)


def test_first_step_is_of_a_usual_size(recipe):
    _, head = recipe
    logits, _ = head(torch.randn(
        4, 8, 2, 2, generator=torch.Generator().manual_seed(0)))
    loss = head.loss_cls(
        logits, torch.full((4, ), CLASSES), torch.ones(4), avg_factor=4)
    assert loss.item() == pytest.approx(-CLASSES * math.log(0.99), rel=0.02)
    # As mmdet initialises them.
    assert head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.fc_reg.weight.std().item() == pytest.approx(0.001, rel=0.05)
    bound = math.sqrt(6 / (8 * 2 * 2 + 16))
    assert head.shared_fcs[0].weight.abs().max().item() == pytest.approx(
        bound, rel=0.05)
