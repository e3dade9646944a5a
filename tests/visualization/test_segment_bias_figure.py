# Copyright (c) OpenMMLab. All rights reserved.
"""The learnt segment bias and attention with it, from a checkpoint."""
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sbam_mm.datasets import ImageFolder, save_maps
from sbam_mm.models import MaskedViT
from sbam_mm.segments.figures.attention import (
    attention_figure,
    attention_of_patch,
    learnt_bias,
)
from sbam_mm.visualization import model_from_config

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/small/segment_bias_mae_small.py'


@pytest.mark.unit
def test_momentum_teacher_comes_first():
    state = {
        f'{prefix}segment_bias.u_pos': torch.full((2, 3), value)
        for prefix, value in (('backbone.', 1.),
                              ('momentum_teacher.module.backbone.', 2.))
    }
    bias = learnt_bias(state)
    assert list(bias) == ['u_pos'] and (bias['u_pos'] == 2).all()
    with pytest.raises(ValueError, match='no learnt segment bias'):
        learnt_bias({'backbone.cls_token': torch.zeros(1)})


@pytest.mark.unit
def test_bias_moves_attention_into_the_segment():
    torch.manual_seed(0)
    vit = MaskedViT(
        dict(embed_dims=24, num_layers=2, num_heads=3,
             feedforward_channels=48),
        img_size=32,
        patch_size=8,
        segment_bias=dict(init=(8., -8.)))
    segments = torch.arange(16)[None] % 2 + 1
    without, guided = attention_of_patch(
        vit, torch.randn(1, 3, 32, 32), segments, patch=5)
    same = segments[0] == segments[0, 5]
    assert guided[0, same].sum() > 1.5 * without[0, same].sum()
    assert (guided[0, same] > guided[0, ~same].max()).all()


@pytest.mark.slow
@pytest.mark.integration
def test_tool(tmp_path):
    model, _ = model_from_config(CONFIG)
    torch.nn.init.constant_(model.backbone.segment_bias.u_pos, .5)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'bias.pth')
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    command = [
        sys.executable, str(ROOT / 'tools/plot_segment_bias.py'), 'bias.pth',
        '--out', 'out', '--config', str(CONFIG), '--image', 'a.png'
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert 'out_attention.png' in done.stdout
    found = json.loads((tmp_path / 'out.json').read_text())
    assert found['u_pos']['mean'] == [.5] * 4
    assert np.shape(found['u_neg']['values']) == (4, 3)
    for name in ('out.png', 'out_attention.png'):
        with Image.open(tmp_path / name) as image:
            image.load()
    for wrong, sentence in (('--patch=64', 'patches 0 to 63'),
                            ('--layer=5', 'layers 1 to 4'),
                            ('--option=size=3', 'takes side, scale')):
        failed = subprocess.run(
            [*command, wrong], cwd=tmp_path, capture_output=True, text=True)
        assert failed.returncode == 2
        assert sentence in failed.stderr


@pytest.fixture
def start(monkeypatch, capsys):
    """Calls the tool as the command line does; its words and exit code."""
    spec = importlib.util.spec_from_file_location(
        'plot_segment_bias', ROOT / 'tools/plot_segment_bias.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    seen = []
    monkeypatch.setattr(
        tool, 'attention_figure',
        lambda *args: seen.append(args[1]) or attention_figure(*args))

    def call(*args):
        monkeypatch.setattr(sys, 'argv', ['tool', *map(str, args)])
        code = 0
        try:
            tool.main()
        except SystemExit as error:
            code = error.code
        words = capsys.readouterr()
        return code, words.out + words.err, seen

    return call


@pytest.mark.integration
def test_segments_of_the_training(tmp_path, start):
    """Of a fixed bias, with two segments at most, from a file and without."""
    config = tmp_path / 'fixed.py'
    config.write_text(
        f"_base_ = '{CONFIG}'\nmodel = dict(backbone=dict("
        "segment_bias=dict(sharing='fixed', max_segments=2)))")
    model, _ = model_from_config(config)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'fixed.pth')
    # Twice as wide as high: a quarter is cut off on both sides.
    blocks = np.random.default_rng(0).integers(0, 255, (4, 8, 3), np.uint8)
    image = tmp_path / 'images/a.png'
    image.parent.mkdir()
    Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(image)
    ids = np.zeros((1, 8, 16), np.uint8)
    ids[0, :, 4:8], ids[0, :4, 8:12] = 1, 2
    save_maps(tmp_path / 'a.npy', ids, ImageFolder(str(image.parent)), 'test')
    args = [tmp_path / 'fixed.pth', '--out', tmp_path / 'out', '--config',
            config, '--image', image]
    code, words, seen = start(*args, '--segments', tmp_path / 'a.npy',
                              '--index', 0)
    assert code == 0, words
    np.testing.assert_array_equal(seen[-1], ids[0, :, 4:12])
    assert (tmp_path / 'out_attention.png').exists()
    assert not (tmp_path / 'out.png').exists()
    code, words, seen = start(*args)
    assert code == 0 and seen[-1].max() == 2, words
    # What cannot be.
    code, words, _ = start(*args, '--segments', tmp_path / 'a.npy')
    assert code == 2 and 'the maps 0 to 0; give the number' in words
    ids[0, 0, 6] = 3
    save_maps(tmp_path / 'b.npy', ids, ImageFolder(str(image.parent)), 'test')
    code, words, _ = start(*args, '--segments', tmp_path / 'b.npy',
                           '--index', 0)
    assert code == 2 and "has the segment 3" in words
    code, words, _ = start(args[0])
    assert code == 2 and 'of a fixed one its config and an image' in words
    plain = ROOT / 'configs/small/mae_small.py'
    code, words, _ = start(*args[:3], '--config', plain, '--image', image)
    assert code == 2 and 'takes no segments' in words
