# Copyright (c) OpenMMLab. All rights reserved.
"""What each selection promises, whatever the draws."""
import pytest
import torch

from sbam_mm.masking import (
    SBM,
    AdaptiveRatio,
    AffinitySalience,
    BlockSelection,
    EasyToHard,
    FixedRatio,
    GridMasker,
    GridSelection,
    HintTopK,
    Masker,
    MaskingContext,
    NoisyTopK,
    NoSalience,
    RandomMasker,
    SoftToHard,
    UniformMasker,
    UniformSelection,
    WeightedOrder,
)
from sbam_mm.masking import functional as F
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
ODD_GRIDS = [(7, 7), (3, 5), (6, 9), (1, 9), (2, 1), (1, 1)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def images(batch_size=3, grid=(14, 14), progress=0.):
    tokens = torch.randn(batch_size, grid[0] * grid[1], 16)
    return MaskingContext(tokens, grid, progress=progress)


def masker(selection, ratio=0.75):
    return Masker(AffinitySalience(), FixedRatio(ratio), selection)


def exponential(*shape):
    return torch.empty(shape).exponential_()


# Weighted order


def test_order_has_the_law_of_drawing_without_replacement():
    weight = torch.tensor([1., 2., 3., 4.])
    order = F.weighted_order(weight.expand(50_000, 4), exponential(50_000, 4))
    first = order[:, 0].bincount(minlength=4) / len(order)
    torch.testing.assert_close(first, weight / 10, rtol=0, atol=0.01)
    # Given that the heaviest came first, the second is drawn from the rest.
    second = order[order[:, 0] == 3, 1].bincount(minlength=4)
    torch.testing.assert_close(
        second / second.sum(),
        torch.tensor([1., 2., 3., 0.]) / 6,
        rtol=0,
        atol=0.015)


def test_order_is_gumbel_top_k_and_multinomial():
    weight, draws = torch.rand(20, 49) + 0.01, exponential(20, 49)
    order = F.weighted_order(weight, draws)
    gumbel = weight.double().log() - draws.double().log()
    assert torch.equal(order, gumbel.argsort(1, descending=True))
    torch.manual_seed(5)
    expected = torch.multinomial(weight, 49)
    torch.manual_seed(5)
    assert torch.equal(
        F.weighted_order(weight, exponential(20, 49)), expected)


@pytest.mark.parametrize('nothing', [0., -1., float('nan'), float('inf')])
def test_weightless_tokens_come_last_at_random(nothing):
    # The smallest positive numbers still come before 0.
    weight = torch.tensor([nothing, 1e-45, nothing, 1., nothing])
    order = F.weighted_order(weight.expand(3000, 5), exponential(3000, 5))
    assert torch.equal(order[:, :2].sort(1).values,
                       torch.tensor([1, 3]).expand(3000, 2))
    last = order[:, -1].bincount(minlength=5) / 3000
    torch.testing.assert_close(
        last, torch.tensor([1., 0., 1., 0., 1.]) / 3, rtol=0, atol=0.04)


def test_exponential_draws():
    draws = F.exponential_draws(torch.rand(100_000))
    assert (draws >= 0).all() and torch.isfinite(draws).all()
    assert draws.mean().item() == pytest.approx(1, abs=0.02)
    assert draws.var().item() == pytest.approx(1, abs=0.05)


def test_share_count_is_exact():
    for count in range(0, 400, 7):
        for percent in range(101):
            assert F.share_count(count,
                                 percent / 100) == count * percent // 100


def test_amt_counts_of_the_official_code():
    """L -> masked, thrown: MAE at .45/.40 rounds down, SimMIM's 49 up."""
    for num_tokens in (36, 64, 144, 196, 256):
        scores = torch.rand(2, num_tokens)
        visible = FixedRatio(0.45, 'ceil')(scores).num_visible
        choice = WeightedOrder(throw=0.4)(scores, visible)
        masked = num_tokens * 45 // 100
        thrown = num_tokens * 85 // 100 - masked
        assert choice.masked.sum(1).tolist() == [masked] * 2
        assert choice.thrown.sum(1).tolist() == [thrown] * 2
        assert choice.num_visible == num_tokens - masked - thrown
    scores = torch.rand(2, 49)
    choice = WeightedOrder(throw=0.26)(scores,
                                       FixedRatio(0.44)(scores).num_visible)
    assert choice.masked.sum(1).tolist() == [22] * 2
    assert choice.thrown.sum(1).tolist() == [13] * 2
    assert choice.num_visible == 14


@pytest.mark.parametrize('keep', [False, True])
def test_thrown_tokens_stand_between_masked_and_visible(keep):
    scores, draws = torch.rand(4, 49), exponential(4, 49)
    order = F.weighted_order(scores, draws)
    choice = WeightedOrder(keep, throw=0.2)(scores, 24, exponential=draws)
    states = (2 * choice.masked + choice.thrown).gather(1, order)
    assert torch.equal(states,
                       states.sort(1, descending=not keep).values)
    assert choice.thrown.sum(1).tolist() == [10] * 4


def test_throwing_leaves_a_token_visible():
    scores = torch.rand(3, 16)
    for count in (4, torch.tensor([1, 4, 16])):
        choice = WeightedOrder(throw=0.9)(scores, count)
        visible = ~(choice.masked | choice.thrown)
        assert (visible.sum(1) >= 1).all()
        assert not (choice.masked & choice.thrown).any()
        assert torch.equal(choice.masked.sum(1),
                           16 - torch.as_tensor(count).expand(3))


def test_high_scores_are_masked_or_kept():
    context = images(16)
    masked = masker(WeightedOrder())(context)
    kept = masker(WeightedOrder(keep=True))(context)

    def lead(mask):
        return (mask.scores[mask.masked].mean() -
                mask.scores[~mask.masked].mean())

    assert lead(masked) > 0 > lead(kept)


def test_noise_is_turned_into_exponential_draws():
    context, noise = images(), torch.rand(3, 196)
    choice = WeightedOrder()(
        AffinitySalience()(context),
        49,
        exponential=F.exponential_draws(noise))
    assert torch.equal(
        masker(WeightedOrder())(context, noise).masked, choice.masked)


# Schedules


def test_hard_only_is_top_k_and_neither_is_random():
    context, noise = images(), torch.rand(3, 196)
    assert torch.equal(
        masker(SoftToHard((1., 1.), (0., 0.)))(context, noise).masked,
        SBM(0.75, noise=0., rounding='floor')(context, noise).masked)
    for selection in (SoftToHard((0., 0.), (0., 0.)), EasyToHard()):
        assert torch.equal(
            masker(selection)(context, noise).masked,
            RandomMasker(0.75)(context, noise).masked)


def test_soft_only_is_the_weighted_order():
    context, noise = images(), torch.rand(3, 196)
    scores, draws = AffinitySalience()(context), exponential(3, 196)
    for count in (49, torch.tensor([20, 49, 100])):
        soft = SoftToHard((0., 0.), (1., 1.))(scores, count, context, noise,
                                              draws)
        order = WeightedOrder()(scores, count, exponential=draws)
        assert torch.equal(soft.masked, order.masked)


@pytest.mark.parametrize('selection', [SoftToHard(), EasyToHard()])
def test_masks_follow_the_scores_more_and_more(selection):
    means = []
    for progress in (0., 0.5, 1.):
        torch.manual_seed(1)
        mask = masker(selection)(images(32, progress=progress))
        means.append(mask.scores[mask.masked].mean().item())
        top = F.top_rank(mask.scores, torch.rand_like(mask.scores))
        # 147 are masked; the hard ones are among them.
        hard = top < int(147 * 0.5 * progress)
        assert mask.masked[hard].all()
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize(
    'selection',
    [SoftToHard(), EasyToHard(), HintTopK(), WeightedOrder(), NoisyTopK()])
def test_per_image_ratios_are_kept(selection):
    """Mix and match: SBAM's ratio on any selection."""
    mix = Masker(AffinitySalience(), AdaptiveRatio(0.5, 0.4, 0.5), selection)
    context = images(8, progress=0.5)
    mask = mix(context)
    expected = mix.ratio(mask.scores, context).num_visible
    assert len(set(expected.tolist())) > 1
    assert torch.equal(mask.visible_counts, expected)
    assert not mix.uniform and mask.num_visible is None


# AttMask


def test_high_and_low_are_the_ends_of_the_order():
    scores = torch.rand(4, 49)
    order = scores.argsort(1)
    high = HintTopK('high')(scores, 29).masked
    low = HintTopK('low')(scores, 29).masked
    assert high.gather(1, order[:, 29:]).all() and (high.sum(1) == 20).all()
    assert low.gather(1, order[:, :20]).all() and (low.sum(1) == 20).all()


def test_hints_are_revealed_from_the_top():
    scores = torch.rand(200, 100)
    high = HintTopK('high')(scores, 70).masked
    hint = HintTopK('hint', show=0.3, show_max=0.2)(scores, 70).masked
    revealed = high & ~hint
    assert not (hint & ~high).any()
    assert (revealed.sum(1) == 6).all()
    top = F.top_rank(scores, scores) < 20
    assert not (revealed & ~top).any()
    # Every rank of the top is as likely.
    share = revealed[top].view(200, 20).float().mean().item()
    assert share == pytest.approx(0.3)


def test_few_tokens_reveal_no_hint():
    scores = torch.rand(2, 9)
    assert torch.equal(
        HintTopK('hint', show=0.5)(scores, 4).masked,
        HintTopK('high')(scores, 4).masked)


def test_the_share_of_hints_is_drawn_per_batch():
    scores = torch.rand(4, 400)
    counts = set()
    for _ in range(20):
        masked = HintTopK('hint')(scores, 100).masked
        count = (300 - masked.sum(1)).unique()
        assert len(count) == 1
        counts.add(int(count))
    assert len(counts) > 3 and min(counts) >= 4 and max(counts) <= 20


def test_some_images_stay_whole():
    views = masker(HintTopK('high', probability=0.3))
    mask = views(images(1000, grid=(4, 4)))
    whole = mask.visible_counts == 16
    assert 0.6 < whole.float().mean() < 0.8
    assert (mask.visible_counts[~whole] == 4).all()
    assert not views.uniform and mask.num_visible is None


def test_equal_scores_are_hidden_at_random():
    scores = torch.zeros(500, 8)
    for selection in (HintTopK('high'), HintTopK('low'),
                      SoftToHard((0.5, 0.5)), WeightedOrder()):
        context = MaskingContext(torch.zeros(500, 8, 2), (2, 4))
        hidden = selection(scores, 4, context).masked.float().mean(0)
        torch.testing.assert_close(
            hidden, torch.full((8, ), 0.5), rtol=0, atol=0.08)


# Shapes


@pytest.mark.parametrize('grid', [(14, 14), (4, 6), *ODD_GRIDS])
def test_one_visible_token_per_block(grid):
    mask = UniformMasker()(images(64, grid))
    height, width = -(-grid[0] // 2), -(-grid[1] // 2)
    assert mask.num_visible == height * width
    visible = torch.zeros(64, 2 * height, 2 * width)
    visible[:, :grid[0], :grid[1]] = mask.visible.view(64, *grid).float()
    per_block = torch.nn.functional.avg_pool2d(visible, 2) * 4
    assert torch.equal(per_block, torch.ones(64, height, width))


@pytest.mark.parametrize('grid', [(14, 14), (8, 8), (6, 6)])
def test_corners_are_balanced_in_every_image(grid):
    visible = UniformMasker()(images(200, grid)).visible.view(200, *grid)
    corners = torch.stack([
        visible[:, i::2, j::2].flatten(1).sum(1)
        for i in range(2) for j in range(2)
    ])
    assert (corners.amax(0) - corners.amin(0) <= 1).all()
    # No corner, and so no token, is preferred over the images.
    torch.testing.assert_close(
        corners.float().mean(1),
        torch.full((4, ), visible[0].numel() / 16),
        rtol=0.05,
        atol=0)
    torch.testing.assert_close(
        visible.float().mean(0), torch.full(grid, 0.25), rtol=0, atol=0.15)


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('grid', [(14, 14), (12, 6), *ODD_GRIDS])
def test_grid_is_regular_at_every_phase(grid, stride):
    mask = GridMasker(stride)(images(64, grid))
    counts = [max(1, side // stride) for side in grid]
    assert mask.num_visible == counts[0] * counts[1]
    assert (mask.visible_counts == mask.num_visible).all()
    visible = mask.visible.view(64, *grid)
    for axis in (0, 1):
        lines = visible.any(2 - axis)
        for line in lines:
            assert line.sum() == counts[axis]
            assert (line.nonzero().diff(dim=0) == stride).all()
        phases = lines.float().argmax(1).unique()
        assert len(phases) == grid[axis] - stride * (counts[axis] - 1)


# Building


@pytest.mark.parametrize('selection', [
    dict(type='sbam_mm.WeightedOrder', throw=0.4),
    dict(type='sbam_mm.SoftToHard', soft=(0.3, 0.)),
    dict(type='sbam_mm.EasyToHard', end=0.6),
    dict(type='sbam_mm.HintTopK', mode='hint', show=0.3),
    dict(type='sbam_mm.UniformSelection'),
    dict(type='sbam_mm.GridSelection', stride=2),
])
def test_selections_are_built_from_configs(selection):
    built = MODELS.build(
        dict(
            type='sbam_mm.Masker',
            salience=dict(type='sbam_mm.AffinitySalience'),
            ratio=dict(type='sbam_mm.FixedRatio'),
            selection=selection))
    assert built(images()).masked.any()
    assert selection['type'].split('.')[1] in repr(built)


def test_presets_take_the_ratio_they_have():
    assert UniformMasker(ratio=0.75).ratio.ratio == 0.75
    assert GridMasker(ratio=0.75).selection.stride == 2
    assert GridMasker(3, ratio=0.89).ratio.ratio == pytest.approx(8 / 9)


def too_much(shape):
    return lambda: Masker(NoSalience(), FixedRatio(0.6), shape)(images())


@pytest.mark.parametrize('make, words', [
    (lambda: WeightedOrder(throw=1.), 'throw is a share'),
    (lambda: WeightedOrder(throw=-.1), 'throw is a share'),
    (lambda: WeightedOrder()(torch.rand(1, 9), 4, noise=torch.rand(1, 8)),
     'draw per token'),
    (lambda: BlockSelection()(torch.rand(1, 9), 4, images(1, (3, 3)),
                              torch.rand(1, 8)), 'draw per token'),
    (lambda: SoftToHard(hard=(0., 1.2)), 'hard holds two shares'),
    (lambda: SoftToHard(soft=(0.5, )), 'soft holds two shares'),
    (lambda: EasyToHard(end=2.), 'hard holds two shares'),
    (lambda: HintTopK('top'), 'mode must be'),
    (lambda: HintTopK(probability=0.), 'probability is that'),
    (lambda: HintTopK(show=(0.5, 0.1)), 'hints want shares'),
    (lambda: HintTopK(show_max=2.), 'hints want shares'),
    (lambda: GridSelection(0), 'stride counts tokens'),
    (lambda: GridMasker(0), 'stride counts tokens'),
    (lambda: GridMasker(3, ratio=0.75), 'hides 0.889 of the tokens'),
    (lambda: UniformMasker(ratio=0.6), 'leave the ratio at 0.75'),
    (too_much(UniformSelection()), 'set ratio=dict'),
    (too_much(GridSelection()), 'set ratio=dict'),
])
def test_bad_input_gets_a_sentence(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert words in str(error.value)
