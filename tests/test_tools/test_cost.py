# Copyright (c) OpenMMLab. All rights reserved.
"""What a step costs, counted without a GPU."""
import argparse
import importlib
import json

import pytest
import torch
from started_tools import ROOT

pytestmark = pytest.mark.unit
MAE = 'configs/baselines/mae_vitb_400e.py'
SBAM = 'configs/sbam_mae_vitb_400e.py'
PASSES = ('forward', 'backward')


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools/benchmarks')
    return importlib.import_module('cost')


@pytest.fixture
def measured(cost, monkeypatch):
    """Read a command line and measure."""

    def measure(*words):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr('sys.argv', ['cost.py', *map(str, words)])
        return cost.measure(cost.parse_args())

    return measure


def total(result, what, wanted=lambda part: True):
    return sum(passes[name][what]
               for part, passes in result['parts'].items()
               for name in PASSES if wanted(part))


def test_operations_of_mae_are_those_of_its_definition(measured, cost):
    """What is not computed is known, and flash attention's second product
    of queries and keys."""
    step = importlib.import_module('pretrain_step')
    defined = step.step_flops(argparse.Namespace(
        size=224, patch=16, arch='base'))
    found = total(measured(MAE, '--batch', 4), 'flops') / 4
    assert found == pytest.approx(defined, rel=0.02)
    # Of 50 tokens that nothing is predicted of: queries of the last block,
    # and pixels of 49 of them. And the gradient of the images.
    left_out = (3 * 50 * (20 * 512**2 + 4 * 197 * 512) +
                3 * 49 * 2 * 512 * 768 + 2 * 196 * 768 * 768)
    again = 2 * (12 * 50**2 * 768 + 7 * 197**2 * 512 + 147 * 197 * 512)
    assert found == defined - left_out + again


def test_bytes_are_of_weights_and_activations(measured):
    """The latter grow with the batch, the former do not."""
    two, four, eight = (
        total(measured(MAE, '--batch', n), 'bytes') for n in (2, 4, 8))
    assert eight - four == pytest.approx(2 * (four - two), rel=1e-3)
    optimizer = measured(MAE, '--batch', 2)['parts']['optimizer']['forward']
    # At least weight, gradient and two moments, read and written.
    assert optimizer['bytes'] > 112e6 * 4 * 7


def test_packed_images_cost_what_dense_ones_do(measured):
    """Per token; attention a little more, for unequal lengths."""
    dense, packed = measured(MAE, '--batch', 8), measured(SBAM, '--batch', 8)
    for part, of_packed in packed['parts'].items():
        if part == 'encoder: products':
            assert of_packed['forward']['flops'] == pytest.approx(
                dense['parts'][part]['forward']['flops'], rel=0.01)
    attention = [result['parts']['encoder: attention']['forward']
                 for result in (dense, packed)]
    assert [one['operations'] for one in attention] == [12, 12]
    assert 1 < attention[1]['flops'] / attention[0]['flops'] < 1.15
    # The salience is one product of all patches with each other.
    assert packed['parts']['masking']['forward']['flops'] == (
        8 * 2 * 196**2 * 768)


def test_a_ratio_hides_tokens(measured):
    visible = []
    for ratio in (0.5, 0.75):
        result = measured(SBAM, '--batch', 8, '--ratio', ratio)
        assert result['ratio'] == ratio
        products = result['parts']['encoder: products']
        visible.append(products['forward']['flops'])
    assert visible[0] / visible[1] == pytest.approx(99 / 50, rel=0.01)


def test_the_roofline(measured):
    """Times are of the ceilings, and of no other."""
    slow = measured(MAE, '--batch', 4, '--tflops', 1, '--bandwidth', 1e6)
    products = total(slow, 'flops')
    assert slow['seconds'] == pytest.approx(products / 1e12, rel=1e-3)
    slow = measured(MAE, '--batch', 4, '--tflops', 10**9, '--bandwidth', 1e-3)
    assert slow['seconds'] == pytest.approx(
        total(slow, 'bytes') / 1e9, rel=1e-3)
    assert slow['images_per_second'] == pytest.approx(4 / slow['seconds'])


def test_fused_adamw_reads_and_writes_once(measured):
    fused = measured(MAE, '--batch', 2, '--cfg-options',
                     'optim_wrapper.optimizer.fused=True')
    spent = fused['parts']['optimizer']['forward']['bytes']
    weights = 4 * 111.6e6
    # As it declares: all four are read and written.
    assert spent == pytest.approx(8 * weights, rel=0.02)


@pytest.mark.parametrize('config, parts', [
    ('dino/dino_vits_100e', {'teacher: attention', 'momentum copies'}),
    ('bootmae/bootmae_vitb_sbam_800e', {'teacher: products', 'masking',
                                        'feature_regressor'}),
    ('baselines/beit_vitb_800e', {'encoder: attention', 'head and loss'}),
    ('drop_in/mmpretrain_mae_vitb_sbam', {'decoder: attention'}),
])
def test_parts_of_other_methods(measured, config, parts):
    result = measured(f'configs/{config}.py', '--batch', 2)
    assert parts | {'patch embedding', 'optimizer'} <= set(result['parts'])
    assert total(result, 'flops', lambda part: part == 'other') == 0
    backward = result['parts']['encoder: products']['backward']['flops']
    forward = result['parts']['encoder: products']['forward']['flops']
    assert backward == pytest.approx(2 * forward, rel=0.01)


@pytest.mark.parametrize('words, sentence', [
    (['configs/no_such_config.py'], 'configs/no_such_config.py'),
    ([MAE, '--ratio', '1.2'], 'a share from 0 to 1 is wanted'),
    ([MAE, '--ratio', '1'], 'a masking ratio is a share in [0, 1)'),
    ([MAE, '--batch', '0'], 'a whole number from 1 is wanted'),
    ([MAE, '--bandwidth', '0'], 'more than 0 TB/s are wanted'),
    ([MAE, '--gpu', 'V100'], "invalid choice: 'V100'"),
    (['configs/finetune/vitb_100e.py'], 'no masker'),
])
def test_refused_in_a_sentence(cost, words, sentence, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('sys.argv', ['cost.py', *words])
    with pytest.raises(SystemExit) as end:
        cost.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count('\n') == 1


def test_it_writes_a_page(cost, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('sys.argv', [
        'cost.py', MAE, '--batch', '2', '--gpu', 'A100', '--out',
        str(tmp_path / 'cost')])
    cost.main()
    page = (tmp_path / 'cost.md').read_text()
    assert page in capsys.readouterr().out
    assert 'A100, 210 TFLOP/s in bfloat16 and 1.6 TB/s' in page
    result = json.loads((tmp_path / 'cost.json').read_text())
    assert result['torch'] == torch.__version__
