# Copyright (c) OpenMMLab. All rights reserved.
"""Whole trainings on a GPU, as a user starts them."""
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_runs import small_config, train, write_images

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
]
BFLOAT16 = dict(
    type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))


def logged(work_dir):
    """The losses of all steps of all runs, in their order."""
    lines = [
        json.loads(line)
        for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
    ]
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.parametrize('base', [
    'mae_small', 'sbam_small', 'ibot_small attmask-high', 'dino_small',
    'cmae_small sbam', 'simmim_small sbam', 'bootmae_small sbam',
    'ijepa_small', 'data2vec2_small'])
@pytest.mark.parametrize('compiled', [False, True])
def test_a_training_in_bfloat16_goes_on(base, compiled, tmp_path):
    """Two epochs, and one more after a resume; every loss is a number."""
    images = write_images(tmp_path / 'images')
    path = small_config(tmp_path / 'config.py', images, base)
    cfg = Config.fromfile(path)
    cfg.optim_wrapper.update(BFLOAT16)
    if compiled:
        cfg.custom_hooks.append(dict(type='sbam_mm.CompileLayersHook'))
    work_dir = tmp_path / 'run'
    for epochs, options in ((2, ()), (3, ('--resume', '--resume-anyway'))):
        cfg.train_cfg.max_epochs = epochs
        cfg.dump(path)
        ended = train(path, work_dir, *options)
        assert ended.code == 0, ended.err
    losses = logged(work_dir)
    assert len(losses) == 3 * 4
    assert torch.tensor(losses).isfinite().all()
    assert torch.load(
        work_dir / 'epoch_3.pth', weights_only=False)['meta']['epoch'] == 3
