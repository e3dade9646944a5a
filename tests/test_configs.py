# Copyright (c) OpenMMLab. All rights reserved.
"""Every config parses, says what it is, and trains two tiny steps."""
import ast
import math
from pathlib import Path

import pytest
import tiny_configs
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from small_runs import MASKED, small

from sbam_mm.config_files import read_config
from sbam_mm.engine.config_checks import check_options

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(
    path for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'studies'} & set(path.relative_to(ROOT).parts))
NAMES = [str(path.relative_to(ROOT / 'configs')) for path in CONFIGS]
pytestmark = pytest.mark.unit


def read(name):
    """A config by its path, or by the words of a command."""
    return (read_config(ROOT / 'configs' / name)
            if name.endswith('.py') else small(name))


# Those of segmentation and detection: tests/downstream/test_recipes.py.
@pytest.mark.parametrize('name', [
    name for name in [*NAMES, *MASKED]
    if not name.startswith(('mmseg', 'mmdet'))])
def test_builds_and_trains_two_steps(name, tmp_path):
    """With the config's own optimizer, in full precision."""
    cfg = read(name)
    check_options(cfg.model)  # as tools/train.py does
    model, inputs, data_samples = tiny_configs.tiny(cfg, tmp_path)
    wrapper = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=cfg.optim_wrapper.optimizer,
        constructor=cfg.optim_wrapper.get('constructor',
                                          'DefaultOptimWrapperConstructor'),
        paramwise_cfg=cfg.optim_wrapper.get('paramwise_cfg')))
    for _ in range(2):
        out = model(inputs, data_samples, mode='loss')
        total, _ = model.parse_losses(out)
        assert math.isfinite(total.item())
        wrapper.update_params(total)


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_header_says_paper_expectation_cost_and_command(path):
    doc = ast.get_docstring(ast.parse(path.read_text()))
    for field in ('Paper:', 'Expected:', 'Cost:', 'Command:'):
        assert field in doc, field
    assert path.relative_to(ROOT).as_posix() in doc.split('Command:')[1]


@pytest.mark.parametrize('name', [*NAMES, *MASKED])
def test_round_trip(name, tmp_path):
    """What the runner dumps beside a checkpoint is the same config."""
    cfg = read(name)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == cfg.to_dict()


@pytest.mark.parametrize('path', CONFIGS, ids=NAMES)
def test_bfloat16_scales_no_loss(path):
    """It needs no scale, and a scaler waits for the device in every step."""
    wrapper = read_config(path).get('optim_wrapper', {})
    if wrapper.get('dtype') == 'bfloat16':
        assert wrapper.loss_scale == dict(enabled=False)


def test_recipe_of_the_paper():
    cfg = Config.fromfile(ROOT / 'configs/sbam_mae_vitl_800e.py')
    assert cfg.train_dataloader.batch_size * 8 == 4096
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.dtype == 'bfloat16'
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(1.5e-4 * 4096 / 256)
    assert tuple(optimizer.betas) == (0.9, 0.95)
    assert optimizer.weight_decay == 0.05
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 40)
    assert (cosine.begin, cosine.end, cosine.T_max) == (40, 800, 760)
    assert cfg.train_cfg.max_epochs == 800
    masker = cfg.model.masker
    assert (masker.ratio, masker.delta_r, masker.delta, masker.noise,
            masker.scope) == (0.75, 0.15, 0.1, 0.5, 'sample')


def test_400_epochs_end_at_400():
    cfg = Config.fromfile(ROOT / 'configs/sbam_mae_vitb_400e.py')
    assert cfg.train_cfg.max_epochs == 400
    assert cfg.param_scheduler[1].T_max == 360
    assert cfg.param_scheduler[1].end == 400
    assert cfg.model.backbone.arch == 'base'


def test_weight_decay_spares_norms_and_biases(tiny_mae):
    cfg = Config.fromfile(ROOT / 'configs/small/sbam_small.py')
    model = tiny_mae('SBAM')
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(p): name for name, p in model.named_parameters()}
    for group in wrapper.optimizer.param_groups:
        for p in group['params']:
            spared = names[id(p)].endswith('bias') or '.ln' in names[id(p)]
            assert group['weight_decay'] == (0. if spared else 0.05)


def test_data_root_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv('DATA_ROOT', '/somewhere/imagenet')
    cfg = Config.fromfile(ROOT / 'configs/sbam_mae_vitl_800e.py')
    assert cfg.train_dataloader.dataset.data_root == '/somewhere/imagenet'


@pytest.mark.parametrize(
    'path', [p for p in CONFIGS if p.parent.name in ('mmseg', 'mmdet')],
    ids=lambda path: path.name)
def test_dense_runs_drop_other_paths_on_every_rank(path):
    """They have no EpochSeedHook, which seeds ranks apart elsewhere."""
    cfg = read_config(path)
    assert cfg.randomness.diff_rank_seed


@pytest.mark.parametrize('path', sorted(
    (ROOT / 'configs/segment_bias').glob('*_distill_*.py')),
    ids=lambda path: path.stem)
def test_second_phase_takes_the_bias_of_the_first(path):
    first = path.with_name(path.name.replace('_distill_', '_bias_'))
    taught = Config.fromfile(path).model.teacher
    assert f'work_dirs/{first.stem}/epoch_' in taught.checkpoint
    learnt = Config.fromfile(first).model
    learnt = learnt.get('teacher') or learnt
    assert taught.backbone.segment_bias == learnt.backbone.segment_bias
