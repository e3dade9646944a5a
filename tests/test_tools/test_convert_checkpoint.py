# Copyright (c) OpenMMLab. All rights reserved.
"""The converter, from the command line to the file."""
import os
import runpy
import subprocess
import sys
from pathlib import Path

import golden_files
import pytest
import torch
from safetensors.torch import load_file

from sbam_mm.models import MaskedViT
from sbam_mm.models.checkpoint import (
    load_weights,
    read_checkpoint,
    write_weights,
)
from sbam_mm.models.position_tables import stored_grids

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'convert_checkpoint.py'


@pytest.fixture
def convert(capsys, monkeypatch):
    """Run the tool's main with a command line; (exit code, out, err)."""
    main = runpy.run_path(str(TOOL))['main']

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def weights(name):
    return {
        key[3:]: value
        for key, value in golden_files.load(name).items()
        if key.startswith('sd/')
    }


def test_around_the_formats(tmp_path, convert):
    """MAE -> ours -> Hugging Face -> MAE gives the first file again."""
    official = weights('mae_forward')
    write_weights(str(tmp_path / 'a.pth'), dict(model=official, epoch=799))
    steps = [('a.pth', 'new/b.pth', 'ours'),
             ('new/b.pth', 'c.safetensors', 'hf'),
             ('c.safetensors', 'd.pth', 'mae')]
    for source, target, to in steps:
        code, out, err = convert(
            tmp_path / source, tmp_path / target, '--to', to)
        assert code == 0, err
        assert 'Dropped: nothing' in out
    assert 'backbone.ln1.weight' in read_checkpoint(
        str(tmp_path / 'new' / 'b.pth'))['state_dict']
    assert 'vit.layernorm.weight' in load_file(tmp_path / 'c.safetensors')
    back = read_checkpoint(str(tmp_path / 'd.pth'))['model']
    assert set(back) == set(official)
    assert all(torch.equal(back[key], official[key]) for key in back)
    # No temporary files.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'a.pth', 'c.safetensors', 'd.pth', 'new']


def test_what_is_dropped_is_named(tmp_path, convert):
    write_weights(str(tmp_path / 'a.pth'), weights('timm_vit'))
    _, out, _ = convert(tmp_path / 'a.pth', tmp_path / 'b.pth', '--to', 'dino')
    assert 'Dropped: head.weight, head.bias' in out
    back = read_checkpoint(str(tmp_path / 'b.pth'))
    assert set(weights('timm_vit')) - set(back) == {'head.weight', 'head.bias'}


@pytest.mark.parametrize('source, target, words', [
    ('missing.pth', 'b.pth', 'does not exist'),
    ('a.pth', 'b.txt', 'does not end in'),
    ('other.pth', 'b.pth', 'no known format: conv.weight; known are'),
    ('extra.pth', 'b.pth', 'prompt_token'),
    ('registers.pth', 'b.pth', 'no names for: backbone.register_tokens'),
    ('damaged.pth', 'b.pth', 'no names for: backbone.register_tokens'),
    ('timm.pth', 'b.pth', "has 4 parameters that Hugging Face ViT or ViTMAE "
     'has no names for'),
])
def test_bad_input_gets_a_sentence(tmp_path, convert, source, target, words):
    timm = weights('timm_vit')
    plain = {key: value for key, value in timm.items() if '.ls' not in key}
    write_weights(str(tmp_path / 'a.pth'), plain)
    write_weights(str(tmp_path / 'timm.pth'), timm)
    write_weights(str(tmp_path / 'extra.pth'),
                  dict(plain, prompt_token=torch.ones(1)))
    write_weights(str(tmp_path / 'registers.pth'),
                  dict(plain, reg_token=torch.ones(1, 4, 24)))
    write_weights(str(tmp_path / 'damaged.pth'),
                  dict(plain, reg_token=torch.ones(1)))
    write_weights(str(tmp_path / 'other.pth'),
                  {'conv.weight': torch.ones(1)})
    before = sorted(tmp_path.iterdir())
    code, _, err = convert(tmp_path / source, tmp_path / target, '--to', 'hf')
    assert code == 2
    assert err.startswith('error: ') and words in err
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_started_as_a_user_does(tmp_path):
    write_weights(str(tmp_path / 'a.pth'), weights('timm_vit'))
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    result = subprocess.run(
        [sys.executable, str(TOOL), 'a.pth', 'b.pth', '--to', 'ours'],
        cwd=tmp_path, capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith('mmpretrain to b.pth')
    assert not result.stderr


def test_a_grid_is_written_into_the_file(tmp_path, convert):
    """Of a file that does not say for which grid its positions are made."""
    arch = dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    vit = MaskedViT(arch, img_size=(32, 48), patch_size=8)
    x, y, z = (tmp_path / f'{name}.pth' for name in 'xyz')
    torch.save({f'backbone.{key}': value
                for key, value in vit.state_dict().items()}, x)
    with pytest.raises(ValueError, match='--grid'):
        load_weights(vit, x)
    convert(x, y, '--to', 'ours', '--grid', 4, 6)
    assert stored_grids(read_checkpoint(str(y))) == {(4, 6)}
    # What is converted from there knows it, too.
    convert(y, z, '--to', 'timm')
    for path in (y, z):
        assert load_weights(vit, path, 1.).share == 1.
    code, _, err = convert(x, z, '--to', 'ours', '--grid', 5, 6)
    assert code == 2 and '--grid 5 6 has 30 patches' in err
