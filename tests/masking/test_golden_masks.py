# Copyright (c) OpenMMLab. All rights reserved.
"""Masks equal to the official implementations', given their random draws."""
from math import inf

import golden_files
import pytest
import torch

from sbam_mm.masking import SBAM, SBM, MaskingContext, RandomMasker
from sbam_mm.masking import functional as F
from sbam_mm.masking.blocks import block_mask

pytestmark = pytest.mark.unit
SBM_GOLDEN = golden_files.load('sbm_mask')
SETS = sorted({
    key.split('/')[0]
    for key in SBM_GOLDEN if key.endswith('/tokens')
    and not key.startswith('degenerate')
})
COMBOS = [tuple(row) for row in SBM_GOLDEN['combos'].tolist()]


def context_of(tokens):
    return MaskingContext(tokens, grid=(1, tokens.shape[1]))


def test_random_masking_equals_mae():
    golden = golden_files.load('mae_forward')
    masker = RandomMasker(float(golden['mask_ratio']))
    mask = masker(
        context_of(golden['tokens_after_pos']), noise=golden['noise'])
    assert torch.equal(mask.masked, golden['mask'])
    assert mask.num_visible == int(golden['len_keep'])


def test_there_are_four_token_sets():
    assert len(SETS) == 4


@pytest.mark.parametrize('name', SETS)
def test_salience(name):
    tokens = SBM_GOLDEN[f'{name}/tokens']
    column_sums = F.outgoing_weight(F.affinity(tokens))
    torch.testing.assert_close(
        column_sums, SBM_GOLDEN[f'{name}/colsum'], rtol=0, atol=2e-4)
    torch.testing.assert_close(
        F.min_max(column_sums), SBM_GOLDEN[f'{name}/S'], rtol=0, atol=2e-5)
    # The mean outgoing weight is 1: all rows of the softmax sum to 1.
    torch.testing.assert_close(column_sums.mean(1),
                               torch.ones(len(tokens)))


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('case', range(len(COMBOS)))
def test_released_code_bit_for_bit(name, case):
    """float32 rounding: batch ratio, and the same routine image by image."""
    ratio, delta_r, delta = COMBOS[case]
    context = context_of(SBM_GOLDEN[f'{name}/tokens'])
    noise = SBM_GOLDEN[f'{name}/noise']
    for scope in ('batch', 'sample'):
        masker = SBAM(
            ratio, delta_r, delta, scope=scope, rounding='float32')
        mask = masker(context, noise)
        key = f'{name}/c{case}'
        assert torch.equal(mask.masked, SBM_GOLDEN[f'{key}/mask_{scope}'])
        kept = SBM_GOLDEN[f'{key}/keep_{scope}'].expand(len(noise))
        assert torch.equal(mask.visible_counts, kept)
        torch.testing.assert_close(
            mask.ratio,
            SBM_GOLDEN[f'{key}/R_{scope}'].expand(len(noise)),
            rtol=0,
            atol=1e-6)
        torch.testing.assert_close(mask.salient, SBM_GOLDEN[f'{key}/frac'])
        assert mask.uniform == (scope == 'batch')


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('case', range(len(COMBOS)))
def test_exact_rounding(name, case):
    """Ceil as in the paper and exact floor, from the salient counts."""
    ratio, delta_r, delta = COMBOS[case]
    context = context_of(SBM_GOLDEN[f'{name}/tokens'])
    key = f'{name}/c{case}'
    clear = ~SBM_GOLDEN[f'{key}/ambiguous_sample']
    for rounding, golden in (('ceil', 'keep_sample_ceil'),
                             ('floor', 'keep_sample64')):
        mask = SBAM(ratio, delta_r, delta, rounding=rounding)(context)
        # Where L (1 - R) is an integer the golden float64 may be one off;
        # the test below covers those.
        assert torch.equal(mask.visible_counts[clear],
                           SBM_GOLDEN[f'{key}/{golden}'][clear])


def test_table_of_counts():
    """480 (L, r, delta_r, share) cases, the exact integers included."""
    checked = 0
    for length, r, dr, share, _, released, _, ceil in SBM_GOLDEN[
            'len_keep_table'].tolist():
        length, salient = int(length), round(share * length)
        if (salient != pytest.approx(share * length, abs=1e-6) or r < dr
                or r + dr >= 1):
            continue
        checked += 1
        count = {
            rounding: SBAM(r, dr, rounding=rounding).ratio.visible_count(
                salient, length)
            for rounding in ('ceil', 'floor', 'float32')
        }
        assert count['float32'] == max(1, released)
        assert count['ceil'] == max(1, ceil)
        exact = length * (1 - (r - dr + 2 * dr * salient / length))
        if abs(exact - round(exact)) < 1e-9:
            assert count['floor'] == count['ceil'] == max(1, round(exact))
        else:
            assert count['floor'] == max(1, int(exact))
    assert checked > 100


def test_plain_sbm_is_amr_without_range():
    name, case = SETS[0], 0
    ratio, delta_r, _ = COMBOS[case]
    assert delta_r == 0
    mask = SBM(
        ratio, rounding='floor')(
            context_of(SBM_GOLDEN[f'{name}/tokens']),
            SBM_GOLDEN[f'{name}/noise'])
    assert torch.equal(mask.masked, SBM_GOLDEN[f'{name}/c{case}/mask_batch'])


@pytest.mark.parametrize(
    'case', sorted({
        key.split('/')[1]
        for key in SBM_GOLDEN
        if key.startswith('degenerate/') and key.count('/') == 2
    }))
def test_degenerate_tokens_give_zero_salience(case):
    """Official: S = NaN, R = r - delta_r, a finite count. Ours: S = 0."""
    tokens = SBM_GOLDEN[f'degenerate/{case}/tokens']
    mask = SBAM(
        0.75, 0.15, 0.1, scope='batch', rounding='float32')(
            context_of(tokens), SBM_GOLDEN['degenerate/noise'])
    assert torch.equal(mask.scores, torch.zeros(tokens.shape[:2]))
    assert mask.ratio.tolist() == pytest.approx([0.6] * len(tokens))
    assert mask.num_visible == int(SBM_GOLDEN[f'degenerate/{case}/keep_batch'])


class ReplayedDraws:
    """Recorded draws; checks that each is asked for with the same bounds."""

    def __init__(self, rows):
        self.rows = iter(rows.tolist())

    def _next(self, kind, low, high):
        expected_kind, expected_low, expected_high, value = next(self.rows)
        assert kind == expected_kind
        assert (low, high) == pytest.approx((expected_low, expected_high))
        return value

    def uniform(self, low, high):
        return self._next(0, low, high)

    def integer(self, low, high):
        return int(self._next(1, low, high))

    def used_up(self):
        return next(self.rows, None) is None


BLOCKS = golden_files.load('blockwise_masks')


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('seed', range(4))
def test_blocks_equal_ibot(case, seed):
    key = f'ibot/c{case}/block/s{seed}'
    starts = BLOCKS[f'{key}/draw_start'].tolist() + [None]
    for g, grid in enumerate(BLOCKS['ibot/grids'].tolist()):
        draws = ReplayedDraws(
            BLOCKS[f'{key}/draws64'][starts[g]:starts[g + 1]])
        mask = block_mask(
            tuple(grid),
            target=float(BLOCKS[f'{key}/ratios'][g]) * grid[0] * grid[1],
            draws=draws,
            min_area=(min(grid) // 3)**2)
        assert torch.equal(mask, BLOCKS[f'{key}/mask{g}'])
        assert draws.used_up()


@pytest.mark.parametrize('case', range(3))
@pytest.mark.parametrize('seed', range(4))
def test_blocks_equal_beit(case, seed):
    side, count, low, high, aspect = BLOCKS['beit/params'][case].tolist()
    draws = ReplayedDraws(BLOCKS[f'beit/c{case}/s{seed}/draws64'])
    mask = block_mask((int(side), int(side)),
                      count,
                      draws,
                      min_area=low,
                      max_area=count if high < 0 else high,
                      min_aspect=aspect,
                      attempts=inf)
    assert torch.equal(mask, BLOCKS[f'beit/c{case}/s{seed}/mask'])
    assert int(mask.sum()) == count
    assert draws.used_up()
