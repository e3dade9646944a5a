# Copyright (c) OpenMMLab. All rights reserved.
"""Selections equal to the official masks, given their random draws."""
import random

import golden_files
import pytest
import torch

from sbam_mm.masking import (
    EasyToHard,
    FixedRatio,
    HintTopK,
    MaskingContext,
    RandomRatio,
    SoftToHard,
    WeightedOrder,
)
from sbam_mm.masking import functional as F

pytestmark = pytest.mark.unit
ATTMASK = golden_files.load('attmask')
AMT = golden_files.load('amt_mask_throw')
GPA = golden_files.load('gpa_score_mask')
HPM = golden_files.load('hpm')
MILAN = golden_files.load('milan')


def context_of(scores, progress=0.):
    return MaskingContext(
        scores[..., None], grid=(1, scores.shape[1]), progress=progress)


def visible(scores, ratio, rounding='floor'):
    return FixedRatio(float(ratio), rounding)(scores).num_visible


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('mode', ['high', 'low', 'hint'])
@pytest.mark.parametrize('variant', ['p', 'all'])
def test_attmask(case, mode, variant):
    scores = ATTMASK['cls_attention']
    key = f'c{case}/attmask_{mode}/{variant}'
    show_max = float(ATTMASK['show_max'])
    selection = HintTopK(
        mode,
        probability=float(ATTMASK['masking_prob']) if variant == 'p' else 1.,
        show=float(ATTMASK['show_ratios'][case]) / show_max,
        show_max=show_max)
    choice = selection(
        scores,
        visible(scores, ATTMASK['ratios'][case], 'ceil'),
        exponential=ATTMASK.get(f'{key}/exp_draws'),
        image_draws=ATTMASK[f'{key}/u_rows'])
    assert torch.equal(choice.masked, ATTMASK[f'{key}/mask'])


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('variant', ['p', 'all'])
def test_attmask_reveals_the_same_hints(case, variant):
    key = f'c{case}/attmask_hint/{variant}'
    order = F.weighted_order(ATTMASK[f'{key}/top_mask'].float(),
                             ATTMASK[f'{key}/exp_draws'])
    revealed = ATTMASK[f'{key}/revealed_ids']
    assert torch.equal(order[:, :revealed.shape[1]], revealed)


def test_ratio_of_attmask_and_ibot():
    """0.3 +- 0.2, one draw of Python's generator per batch."""
    ratio = RandomRatio(0.1, 0.5, scope='batch', rounding='ceil')
    scores = torch.zeros(2, 196)
    for seed, golden in zip(ATTMASK['pred_ratio/seeds'].tolist(),
                            ATTMASK['pred_ratio0/draws']):
        source = random.Random(seed)
        for expected in golden:
            draw = torch.tensor(source.random(), dtype=torch.float64)
            share = ratio(scores, draws=draw)
            assert torch.equal(share.ratio, expected.float().expand(2))
            assert share.num_visible == 196 - int(196 * float(expected))


@pytest.mark.parametrize('run', range(2))
def test_amt(run):
    scores = AMT['patch_weights']
    ratio, throw = AMT['runs'][run].tolist()
    draws = AMT[f'run{run}/exp_draws']
    order = F.weighted_order(scores, draws)
    assert torch.equal(order, AMT[f'run{run}/order'].long())
    assert torch.equal(
        F.order_to_rank(order), AMT[f'run{run}/ids_restore'].long())
    choice = WeightedOrder(throw=throw)(
        scores, visible(scores, ratio, 'ceil'), exponential=draws)
    golden = AMT[f'run{run}/mask']
    assert torch.equal(choice.masked, golden == 1)
    if throw:
        assert torch.equal(choice.thrown, golden == -1)
    else:
        assert choice.thrown is None
    assert (choice.num_visible == (golden == 0).sum(1)).all()


def test_amt_with_a_weight_of_zero():
    weights = torch.nn.functional.avg_pool2d(AMT['mask_weights_zero'],
                                             8).flatten(1) * 64
    assert (weights == 0).sum() == 1
    order = F.weighted_order(weights, AMT['zero/exp_draws'])
    assert torch.equal(order, AMT['zero/order'].long())


@pytest.mark.parametrize('run', range(2))
def test_milan_keeps_what_amt_masks(run):
    scores, draws = MILAN['importance'], MILAN[f'c{run}/exp_draws']
    order = F.weighted_order(scores, draws)
    assert torch.equal(order, MILAN[f'c{run}/ids_shuffle'].long())
    choice = WeightedOrder(keep=True)(
        scores, visible(scores, MILAN['ratios'][run]), exponential=draws)
    assert torch.equal(choice.masked, MILAN[f'c{run}/mask'])


@pytest.mark.parametrize('setting', range(2))
@pytest.mark.parametrize('step', range(4))
@pytest.mark.parametrize('per_image', [False, True])
def test_gpa(setting, step, per_image):
    scores, key = GPA['mask/score'], f'mask/s{setting}t{step}'
    hard_start, hard_end, soft_start, soft_end = GPA['mask/settings'][
        setting].tolist()
    num_visible = visible(scores, GPA['mask/ratio'])
    assert scores.shape[1] - num_visible == int(GPA[f'{key}/n_masked'])
    if per_image:
        num_visible = torch.full((len(scores), ), num_visible)
    choice = SoftToHard((hard_start, hard_end), (soft_start, soft_end))(
        scores,
        num_visible,
        context_of(scores, float(GPA['mask/steps'][step])),
        noise=GPA[f'{key}/noise'],
        exponential=GPA.get(f'{key}/exp_draws'))
    assert torch.equal(choice.masked, GPA[f'{key}/mask'])


@pytest.mark.parametrize('case', range(4))
def test_hpm(case):
    scores, key = HPM['mask/loss_pred'], f'mask/c{case}'
    epoch, epochs = HPM['mask/epochs'][case].tolist()
    if f'{key}/randn' in HPM:
        noise = HPM[f'{key}/randn']
    else:
        # The last of the shuffled rest are masked: the highest noise.
        rest = HPM[f'{key}/shuffled_rest'].long()
        noise = torch.zeros_like(scores).scatter_(
            1, rest,
            torch.arange(1., rest.shape[1] + 1).expand(rest.shape))
    num_visible = visible(scores, HPM['mask/ratio'])
    assert scores.shape[1] - num_visible == int(HPM[f'{key}/n_mask'])
    choice = EasyToHard()(
        scores,
        num_visible,
        context_of(scores, (epoch + 1) / epochs),
        noise=noise)
    assert torch.equal(choice.masked, HPM[f'{key}/mask'])
