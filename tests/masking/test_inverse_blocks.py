# Copyright (c) OpenMMLab. All rights reserved.
"""Inverse blocks: what is visible is data2vec 2.0's squares, CAPI's box."""
import pytest
import torch

from sbam_mm.masking import (
    InverseBlockMasker,
    InverseBlockSelection,
    MaskingContext,
)
from sbam_mm.masking.inverse_blocks import rectangle, squares

pytestmark = pytest.mark.unit


def context_of(batch_size=4, grid=(14, 14)):
    return MaskingContext(
        torch.zeros(batch_size, grid[0] * grid[1], 2), grid)


def test_official_counts():
    """data2vec 2.0 shows int(196 * 0.2), CAPI hides int(196 * 0.65)."""
    assert InverseBlockMasker()(context_of()).num_visible == 39
    capi = InverseBlockMasker(0.65, 'ceil', size=None)
    assert capi(context_of()).masked.sum(1).tolist() == [127] * 4


@pytest.mark.parametrize('size', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('grid', [(14, 14), (5, 8), (2, 3), (1, 1)])
def test_squares_are_around_their_centres(grid, size):
    length = grid[0] * grid[1]
    draws = torch.rand(6, 4)
    number = torch.tensor([[0], [1], [2], [3], [4], [4]])
    shown = squares(draws, number, size, grid).view(6, *grid)
    expected = torch.zeros_like(shown)
    for b in range(6):
        for n in range(int(number[b])):
            row, column = divmod(int(draws[b, n] * length), grid[1])
            top, left = row - size // 2, column - size // 2
            expected[b, max(top, 0):top + size, max(left, 0):left + size] = 1
    assert torch.equal(shown, expected)


def test_exact_counts_hide_part_of_squares_or_show_tokens_beside():
    """5 squares of 3 at 196 tokens; 39 are visible whatever they cover."""
    torch.manual_seed(0)
    draws = torch.rand(500, 23)
    masked = InverseBlockSelection()(
        torch.zeros(500, 196), 39, context_of(500), draws=draws).masked
    shown = squares(draws, torch.full((500, 1), 5), 3, (14, 14))
    covered = shown.sum(dim=1)
    assert covered.max() == 45 and covered.min() < 39
    many = covered >= 39
    assert ((~masked)[many] <= shown[many]).all()  # visible: in a square
    assert (shown[~many] <= (~masked)[~many]).all()  # squares: all visible


@pytest.mark.parametrize('adjust, expected', [(0., 4), (0.07, 5), (0.5, 15)])
def test_number_of_squares(adjust, expected):
    """As many as would cover the visible share plus ``adjust``."""
    draws = torch.linspace(0, .999, 200).expand(1, 200)
    masked = InverseBlockSelection(adjust=adjust)(
        torch.zeros(1, 196), 39, context_of(1), torch.rand(1, 196),
        draws).masked
    shown = squares(draws, torch.tensor([[expected]]), 3, (14, 14))
    inside = (~masked & shown).sum()
    assert inside == min(39, int(shown.sum()))


@pytest.mark.parametrize('visible', [1, 20, 69, 150, 196])
def test_capi_shows_one_rectangle(visible):
    torch.manual_seed(0)
    masked = InverseBlockSelection(size=None, roll=False)(
        torch.zeros(300, 196), visible, context_of(300)).masked
    for image in ~masked.view(300, 14, 14):
        assert image.sum() == visible
        rows, columns = (image.any(axis).nonzero().flatten()
                         for axis in (1, 0))
        box = image[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        # All rows but the last are whole, and the last from the left.
        assert box.flatten()[:visible].all()


def test_roll_moves_the_rectangle_around_the_grid():
    draws, visible = torch.rand(20, 5), torch.full((20, 1), 29.)
    still, rolled = (rectangle(draws, visible, 0.5, roll, (8, 11)).view(
        20, 8, 11) for roll in (False, True))
    for one, two, draw in zip(still, rolled, draws):
        shift = int(draw[3] * 8), int(draw[4] * 11)
        assert torch.equal(one.roll(shift, (0, 1)) < 1, two < 1)
        # The same tokens are those cut off.
        assert torch.equal(
            one.roll(shift, (0, 1)).flatten().argsort(stable=True)[:29]
            .sort().values,
            two.flatten().argsort(stable=True)[:29].sort().values)


def test_aspects_are_log_uniform_as_far_as_the_grid_allows():
    draws = torch.rand(1, 5).repeat(3, 1)
    draws[:, 0] = torch.tensor([0., .5, 1.])
    order = rectangle(draws, torch.full((3, 1), 32.), 0.5, False, (14, 14))
    inside = (order < 1).view(3, 14, 14)
    assert inside.any(2).sum(1).tolist() == [4, 6, 8]
    assert inside.any(1).sum(1).tolist() == [8, 6, 4]
    # 100 tokens at 14 x 14: not flatter than 100 / 196, or 196 / 100.
    order = rectangle(draws, torch.full((3, 1), 150.), 0.5, False, (14, 14))
    assert (order < 1).view(3, 14, 14).any(2).sum(1).tolist() == [11, 13, 14]
    # A line of tokens has but one shape.
    order = rectangle(draws, torch.full((3, 1), 4.), 0.5, False, (1, 9))
    assert (order < 1).sum(1).tolist() == [4, 4, 4]


def test_roll_makes_all_tokens_alike():
    def shares(roll):
        torch.manual_seed(0)
        masked = InverseBlockMasker(0.65, size=None, roll=roll)(
            context_of(3000, (8, 8))).masked
        return masked.float().mean(dim=0).view(8, 8)

    even, middle = shares(True), shares(False)
    assert even.max() - even.min() < .09
    assert middle[0, 0] > .85 and middle[3, 3] < .2


def test_one_token_of_each_image_may_be_wanted():
    """A count of its own for every image."""
    counts = torch.tensor([1, 5, 49, 100])
    for size in (3, None):
        masked = InverseBlockSelection(size=size)(
            torch.zeros(4, 196), counts, context_of()).masked
        assert torch.equal((~masked).sum(1), counts)


@pytest.mark.parametrize('options, words', [
    (dict(size=0), 'tokens per side'),
    (dict(adjust=-.1), 'adjust is a share'),
    (dict(min_aspect=2.), 'min_aspect'),
    (dict(ratio=1.), 'share in'),
    (dict(adjust=float('nan')), 'no finite number'),
])
def test_bad_input_gets_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        InverseBlockMasker(**options)
