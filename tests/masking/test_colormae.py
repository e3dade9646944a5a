# Copyright (c) OpenMMLab. All rights reserved.
"""ColorMAE: the spectra of filtered noise, and masks made of it."""
import pytest
import torch

from sbam_mm.masking import ColorMAEMasker, FilteredNoise, MaskingContext
from sbam_mm.masking.colormae import SIGMAS, filter_noise, gaussian_rows

pytestmark = pytest.mark.unit


def context_of(batch_size=4, grid=(14, 14)):
    return MaskingContext(
        torch.zeros(batch_size, grid[0] * grid[1], 2), grid)


def test_the_blur_is_a_gaussian():
    """Equal to a convolution with the truncated kernel."""
    margin, sigma = 6, 1.5
    white = torch.rand(2, 1, 10 + 2 * margin, 7 + 2 * margin)
    offset = torch.arange(-margin, margin + 1).float()
    kernel = torch.exp(-0.5 * (offset / sigma)**2)
    kernel = torch.outer(kernel, kernel) / kernel.sum()**2
    expected = torch.nn.functional.conv2d(white, kernel[None, None])[:, 0]
    got = filter_noise(white[:, 0], margin, 'red', (sigma, ))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert gaussian_rows(5, margin, sigma).sum(1).tolist() == pytest.approx(
        [1.] * 5)


def test_the_four_formulae():
    white, margin = torch.rand(3, 30, 34), 8
    inside = white[:, 8:22, 8:26]
    weak, strong = (
        filter_noise(white, margin, 'red', (sigma, )) for sigma in (.8, 2.))
    for color, sigma, expected in (
            ('blue', (.8, ), inside - weak),
            ('green', (.8, 2.), weak - strong),
            ('purple', (.8, 2.), inside - (weak - strong))):
        assert torch.equal(
            filter_noise(white, margin, color, sigma), expected), color


def bands(color):
    """Power of the masks at low, middle and high frequency, white = 1."""
    torch.manual_seed(0)
    masker = ColorMAEMasker(color, ratio=0.5)
    masks = masker(context_of(400, (16, 16))).masked.view(-1, 16, 16).double()
    masks = masks - masks.mean(dim=(1, 2), keepdim=True)
    power = torch.fft.fft2(masks).abs().square().mean(dim=0)
    power = power / power.flatten()[1:].mean()
    frequency = torch.hypot(*torch.meshgrid(
        *[torch.fft.fftfreq(16)] * 2, indexing='ij'))
    edges = ((0.01, 0.1), (0.12, 0.3), (0.45, 1.))
    return [power[(frequency > low) & (frequency < high)].mean().item()
            for low, high in edges]


def test_every_color_has_its_band():
    red, blue, green, purple = map(bands, ('red', 'blue', 'green', 'purple'))
    assert red[0] > 3 * red[1] > 9 * red[2]
    assert 1.4 * blue[0] < blue[1] < blue[2] / 1.4
    assert green[1] > 2 * green[0] and green[1] > 2 * green[2]
    assert purple[2] > purple[1] and purple[0] > purple[1]


def test_the_filter_sees_no_border():
    """Every row of weights is the first, shifted, and cut off nowhere."""
    rows = gaussian_rows(9, 8, 2.)
    for i, row in enumerate(rows):
        torch.testing.assert_close(row, rows[0].roll(i), rtol=1e-6, atol=0)
    assert (rows[0, :17] > 0).all() and not rows[0, 17:].any()


def test_injected_noise_is_periodic():
    """A mask made of shifted noise is the mask shifted."""
    noise = torch.rand(4, 6, 9)
    one = ColorMAEMasker()(context_of(4, (6, 9)), noise.flatten(1)).masked
    moved = noise.roll((2, 5), (1, 2))
    two = ColorMAEMasker()(context_of(4, (6, 9)), moved.flatten(1)).masked
    assert torch.equal(one.view(4, 6, 9).roll((2, 5), (1, 2)),
                       two.view(4, 6, 9))


def test_highest_and_lowest_are_alike():
    """Noise is symmetric, and so is what the filters make of it.

    Whether the highest tokens are hidden, as here, or kept, as in the
    official code, has the same distribution.
    """
    white = torch.rand(5, 22, 22)
    for color, sigma in SIGMAS.items():
        mean = float(color in ('red', 'purple'))
        torch.testing.assert_close(
            filter_noise(1 - white, 4, color, sigma),
            mean - filter_noise(white, 4, color, sigma), rtol=0, atol=1e-5)


def test_a_mask_is_the_highest_of_a_window():
    """Of noise with a margin as wide as the widest blur, here 9 tokens."""
    torch.manual_seed(0)
    selection = FilteredNoise('green', (0.5, 2.2))
    masked = selection(torch.zeros(2, 20), 5, context_of(2, (4, 5))).masked
    torch.manual_seed(0)
    noise = filter_noise(torch.rand(2, 22, 23), 9, 'green', (0.5, 2.2))
    for values, hidden in zip(noise.flatten(1), masked):
        assert hidden.sum() == 15
        assert values[hidden].min() > values[~hidden].max()


@pytest.mark.parametrize('options, words', [
    (dict(color='pink'), 'color must be one of'),
    (dict(color='red', sigma=0.), 'one sigma above 0'),
    (dict(color='blue', sigma=(1., 2.)), 'one sigma above 0'),
    (dict(color='green', sigma=1.), 'the smaller one first'),
    (dict(color='purple', sigma=(2., 1.)), 'the smaller one first'),
    (dict(sigma=(1., float('inf'))), 'no finite number'),
])
def test_bad_input_gets_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        ColorMAEMasker(**options)
    assert ColorMAEMasker('red', sigma=3.).selection.sigma == (3., )
