# Copyright (c) OpenMMLab. All rights reserved.
"""The online kNN hook watches and does not touch."""
import json

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmpretrain_mae import mmpretrain_mae
from PIL import Image

from sbam_mm.evaluation import extract_features, knn_top1
from sbam_mm.registry import DATASETS

CROP = [
    dict(type='RandomResizedCrop', scale=16),
    dict(type='RandomFlip', prob=.5),
    dict(type='PackInputs')
]


def write_images(root):
    """Two classes that differ in colour, 12 + 8 pictures each."""
    rng = np.random.default_rng(0)
    for half, count in (('train', 12), ('test', 8)):
        for label in range(2):
            folder = root / half / f'class{label}'
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 200, (16, 16, 3), dtype=np.uint8)
                pixels[..., label] += 55
                Image.fromarray(pixels).save(folder / f'{index}.png')
    return str(root)


def folder(root, half, pipeline):
    return dict(
        type='sbam_mm.ImageFolder',
        data_root=root,
        data_prefix=half,
        pipeline=pipeline)


def run(work_dir, root, hooks, workers=0, epochs=2, ratio=.75):
    plain = [dict(type='PackInputs')]
    for hook in hooks:
        if hook['type'] == 'sbam_mm.KNNHook':
            hook.setdefault('bank', folder(root, 'train', plain))
            hook.setdefault('query', folder(root, 'test', plain))
    runner = Runner(
        model=mmpretrain_mae(
            dict(
                type='SelfSupDataPreprocessor',
                mean=[127.] * 3,
                std=[64.] * 3,
                bgr_to_rgb=True), ratio),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=8,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=folder(root, 'train', CROP)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=hooks,
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        visualizer=dict(
            type='Visualizer',
            name=f'knn-{work_dir.name}',
            vis_backends=[dict(type='LocalVisBackend')]),
        experiment_name=work_dir.name)
    runner.train()
    return runner


def scalars(runner):
    path = next(iter(runner.visualizer._vis_backends.values()))
    lines = open(path._scalar_save_file).read().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.integration
@pytest.mark.parametrize('workers', [0, 1])
def test_training_is_the_same_to_the_bit(tmp_path, workers):
    root = write_images(tmp_path / 'images')
    hook = dict(type='sbam_mm.KNNHook', k=5, at_start=True, num_train=20)
    plain = run(tmp_path / f'plain{workers}', root, [], workers)
    watched = run(tmp_path / f'watched{workers}', root, [hook], workers)
    expected = plain.model.state_dict()
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    losses = [s['loss'] for s in scalars(plain) if 'loss' in s]
    assert losses == [s['loss'] for s in scalars(watched) if 'loss' in s]
    assert len(losses) == 6

    logged = [s for s in scalars(watched) if 'knn_top1' in s]
    assert [(s['epoch'], s['step']) for s in logged] == [(0, 0), (1, 3),
                                                         (2, 6)]
    assert watched.message_hub.get_scalar('knn_top1').current() == logged[-1][
        'knn_top1']


@pytest.mark.integration
def test_value_interval_and_subsets(tmp_path):
    root = write_images(tmp_path / 'images')
    hook = dict(
        type='sbam_mm.KNNHook',
        k=5,
        interval=2,
        num_train=14,
        num_test=9,
        feature='cls')
    runner = run(tmp_path / 'values', root, [hook], epochs=3)
    logged = [s for s in scalars(runner) if 'knn_top1' in s]
    assert [s['epoch'] for s in logged] == [2, 3]

    chosen = []
    for half, count in (('train', 14), ('test', 9)):
        dataset = DATASETS.build(
            folder(root, half, [dict(type='PackInputs')]))
        order = np.random.default_rng(0).permutation(len(dataset))
        chosen += extract_features(
            runner.model,
            torch.utils.data.Subset(dataset, sorted(order[:count].tolist())),
            'cls')
    assert logged[-1]['knn_top1'] == pytest.approx(
        knn_top1(*chosen, [5])[5])


@pytest.mark.integration
def test_sharded_features_come_back_in_order(tmp_path, monkeypatch):
    """Three ranks, one after the other: the gathered sets are the whole."""
    from sbam_mm.evaluation import KNNHook, knn_hook
    root = write_images(tmp_path / 'images')
    runner = run(tmp_path / 'shards', root, [], epochs=1)
    config = folder(root, 'test', [dict(type='PackInputs')])
    hook = KNNHook(config, config)
    for limit in (None, 2):  # 16 images, and fewer images than ranks
        dataset = hook._build(config, limit)
        expected = extract_features(runner.model, dataset)
        parts = []
        monkeypatch.setattr(knn_hook, 'all_gather_object',
                            lambda part, p=parts: p.append(part) or p)
        for rank in range(3):
            monkeypatch.setattr(knn_hook, 'get_dist_info',
                                lambda r=rank: (r, 3))
            features, labels = hook._extract(runner, dataset)
        torch.testing.assert_close(features, expected[0])
        assert torch.equal(labels, expected[1])
        monkeypatch.undo()


@pytest.mark.integration
def test_too_many_neighbours(tmp_path):
    from sbam_mm.evaluation import KNNHook
    root = write_images(tmp_path / 'images')
    with pytest.raises(ValueError, match='lower k or raise num_train'):
        run(tmp_path / 'many', root, [dict(type='sbam_mm.KNNHook', k=25)])
    with pytest.raises(ValueError, match='at least 1'):
        KNNHook({}, {}, interval=0)


@pytest.mark.integration
def test_nan_stops_the_run_with_a_sentence(tmp_path):
    root = write_images(tmp_path / 'images')
    stop = dict(type='sbam_mm.InvalidLossHook')
    run(tmp_path / 'fine', root, [stop], epochs=1)

    # Nothing hidden: MAE divides by zero, and the step spoils the weights.
    with pytest.raises(
            FloatingPointError,
            match=r'nan at iteration 1 .*parameter .*learning rate'):
        run(tmp_path / 'diverged', root, [stop], ratio=0.)
    assert not list((tmp_path / 'diverged').glob('*.pth'))
