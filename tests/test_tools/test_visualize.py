# Copyright (c) OpenMMLab. All rights reserved.
"""The drawing tools, started as a user starts them."""
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from started_tools import call_tool

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / 'configs' / 'small' / 'sbam_small.py'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    return tmp_path / 'photo.png'


@pytest.fixture
def checkpoint(tmp_path):
    from sbam_mm.visualization import model_from_config
    model, _ = model_from_config(SMALL, seed=5)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'x.pth')
    return tmp_path / 'x.pth'


def test_masks_png(tmp_path, photo, checkpoint):
    out = tmp_path / 'new' / 'masks.png'
    result = call_tool(
        'visualize_masks', photo, '--config', SMALL, '--checkpoint',
        checkpoint, '--ratios', .5, .75, .9, '--dpi', 100, '--out', out)
    assert result.code == 0, result.err
    assert 'weights of x.pth' in result.out
    with Image.open(out) as image:
        image.load()
        # Image, salience and three masks of 1.75 inches, gaps of 0.1.
        assert image.width == round(100 * (2 * .12 + 5 * 1.75 + 4 * .1))
        assert image.height > 175
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'new', 'photo.png', 'x.pth']


def test_masks_html_compared(tmp_path):
    """Photographs of scikit-image, random weights, which the page says."""
    out = tmp_path / 'masks.html'
    result = call_tool(
        'visualize_masks', '--config', SMALL, '--compare', 'SBAM,sbm,Random',
        '--out', out)
    assert result.code == 0, result.err
    page = out.read_text(encoding='utf-8')
    assert 'random weights (seed 0)' in page and 'base64,' in page
    assert 'Masks: SBAM, SBM, Random' in page


@pytest.mark.parametrize('args, words', [
    (['--masker', 'foo'], "there is no masker 'foo'"),
    (['--ratios', '1.5'], "a share from 0 to 1 is wanted, got '1.5'"),
    (['nothing.png'], 'the image nothing.png does not exist'),
    (['--size', '30'], '--size 30 is not a multiple of the patch size 4'),
    (['--checkpoint', 'bad.pth'], 'has 0 of the'),
    (['--out', 'masks.gif'], 'must end in .png or .html'),
])
def test_bad_input_gets_a_sentence(tmp_path, args, words):
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'bad.pth')
    result = call_tool('visualize_masks', '--config', SMALL, *args)
    assert result.code == 2
    assert words in result.err
    assert result.err.count('\n') == 1 and 'Traceback' not in result.err
    assert [p.name for p in tmp_path.iterdir()] == ['bad.pth']


def test_reconstruction_png(tmp_path, photo, checkpoint):
    out = tmp_path / 'recon.png'
    result = call_tool(
        'visualize_reconstruction', SMALL, checkpoint, photo, '--dpi', 100,
        '--out', out)
    assert result.code == 0, result.err
    with Image.open(out) as image:
        image.load()
        assert image.width == round(100 * (2 * .12 + 3 * 1.75 + 2 * .1))


def test_reconstruction_refuses_other_weights(tmp_path):
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'bad.pth')
    result = call_tool('visualize_reconstruction', SMALL, 'bad.pth')
    assert result.code == 2
    assert 'has 0 of the' in result.err and 'Traceback' not in result.err
    assert [p.name for p in tmp_path.iterdir()] == ['bad.pth']
