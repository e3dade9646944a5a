# Copyright (c) OpenMMLab. All rights reserved.
"""A run that was stopped and resumed ends with the weights of one that ran
through, masks, crops and workers included."""

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from small_runs import small

pytestmark = pytest.mark.integration


class PowerCut(Hook):
    """Ends the process's training in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        if runner.epoch == self.epoch and batch_idx == 1:
            raise KeyboardInterrupt


class BatchSums(Hook):
    """Notes a fingerprint of every batch, to compare augmentations."""

    def __init__(self):
        self.sums = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        inputs = data_batch['inputs']
        views = [inputs] if torch.is_tensor(inputs) else inputs
        self.sums.append(sum(float(view.double().sum()) for view in views))


@pytest.fixture
def images(tmp_path):
    generator = np.random.default_rng(0)
    for part, count in (('train', 16), ('test', 4)):
        for name in ('cat', 'dog'):
            folder = tmp_path / 'data' / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(
                    0, 256, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f'{i}.png')
    return tmp_path / 'data'


def run(images, work_dir, hooks=(), resume=False, workers=2,
        config='sbam_small'):
    cfg = small(config)
    for dataset in (cfg.train_dataloader.dataset, cfg.custom_hooks[-1].bank,
                    cfg.custom_hooks[-1].query):
        dataset.data_root = str(images)
    cfg.custom_hooks[-1].update(k=5, num_train=16, num_test=8)
    cfg.merge_from_dict({
        'train_dataloader.dataset.cache': False,
        'train_dataloader.batch_size': 8,
        'train_dataloader.num_workers': workers,
        'model.backbone.arch.num_layers': 1,
        'train_cfg.max_epochs': 3,
        'work_dir': str(work_dir),
        'resume': resume,
        'experiment_name': f'{work_dir.name}-{resume}',
        'log_level': 'WARNING',
    })
    runner = Runner.from_cfg(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize('config, workers', [
    pytest.param('sbam_small', 0, marks=pytest.mark.slow),
    ('sbam_small', 2),
    # Its teacher moves every step and decides on the masks.
    pytest.param('mae_small hpm', 0, marks=pytest.mark.slow),
    # Centres, a frozen last layer, several views.
    pytest.param('ibot_small attmask-high', 0, marks=pytest.mark.slow),
])
def test_resumed_equals_uninterrupted(images, tmp_path, config, workers):
    options = dict(workers=workers, config=config)
    batches = BatchSums()
    through = run(images, tmp_path / 'through', [batches], **options)

    with pytest.raises(KeyboardInterrupt):
        run(images, tmp_path / 'cut', [PowerCut(epoch=1)], **options)
    rest = BatchSums()
    resumed = run(
        images, tmp_path / 'cut', [rest], resume=True, **options)

    assert len(batches.sums) == 12 and len(rest.sums) == 8
    assert rest.sums == batches.sums[4:]
    # Every epoch crops anew.
    epochs = [sorted(batches.sums[i:i + 4]) for i in (0, 4, 8)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    for name, value in through.items():
        assert torch.equal(resumed[name], value), name


def test_persistent_workers_are_refused(images, tmp_path):
    cfg = small('sbam_small')
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.persistent_workers': True,
        'train_dataloader.batch_size': 8,
        'work_dir': str(tmp_path / 'run'),
        'experiment_name': 'persistent',
        'log_level': 'WARNING',
    })
    with pytest.raises(ValueError, match='persistent_workers=False'):
        Runner.from_cfg(cfg).train()
