# Copyright (c) OpenMMLab. All rights reserved.
"""Sharded over two processes, with activation checkpointing: as one run."""
import os
from types import SimpleNamespace

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset
from two_processes import run_two

from sbam_mm.engine.fsdp import FSDPStrategy
from sbam_mm.engine.hooks import ClipEachGradientHook
from sbam_mm.engine.launch import build_runner
from sbam_mm.registry import DATASETS

pytestmark = pytest.mark.dist
SHARDED = dict(
    runner_type='FlexibleRunner', strategy=dict(type='sbam_mm.FSDPStrategy'))


@DATASETS.register_module()
class FlatCorners(Dataset):
    """Images whose salient shares differ, so that AMR's ratios do."""
    metainfo: dict = {}

    def __init__(self, test_mode=False):
        pass

    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        image = torch.randn(3, 32, 32, generator=generator)
        image[:, :, :7 * (index % 4)] *= 0.05
        return dict(
            inputs=image, data_samples=DataSample().set_gt_label(index % 2))


def config(folder, processes, epochs, **options):
    size = dict(img_size=32, patch_size=8)
    with_cp = processes > 1
    images = dict(type='sbam_mm.FlatCorners')
    return Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='sbam_mm.MAE',
                data_preprocessor=dict(
                    type='SelfSupDataPreprocessor', mean=[0.] * 3,
                    std=[1.] * 3),
                backbone=dict(
                    type='sbam_mm.MaskedViT',
                    arch=dict(
                        embed_dims=24,
                        num_layers=2,
                        num_heads=3,
                        feedforward_channels=48),
                    with_cp=with_cp,
                    **size),
                # Nobody asks it, but it has to follow.
                teacher=dict(type='sbam_mm.MomentumTeacher', momentum=0.5),
                masker=dict(type='sbam_mm.SBAM', noise=0.),
                neck=dict(
                    type='sbam_mm.MAEDecoder',
                    embed_dim=24,
                    decoder_embed_dim=16,
                    decoder_depth=1,
                    decoder_num_heads=2,
                    with_cp=with_cp,
                    **size),
                head=dict(type='sbam_mm.PixelHead', patch_size=8)),
            train_dataloader=dict(
                batch_size=4 // processes,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='default_collate'),
                dataset=images),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(
                    type='SGD', lr=0.1, momentum=0.9, weight_decay=0.05),
                paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.)),
            custom_hooks=[
                dict(type='sbam_mm.CheckpointKeysHook'),
                dict(
                    type='sbam_mm.KNNHook',
                    bank=images,
                    query=images,
                    k=3,
                    batch_size=8)
            ],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1)),
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            launcher='pytorch' if processes > 1 else 'none',
            work_dir=str(folder),
            experiment_name=f'{folder.name}{epochs}',
            randomness=dict(seed=0),
            **options))


def train(folder, processes, epochs, **options):
    runner = build_runner(config(folder, processes, epochs, **options), [])
    runner.train()
    held = sum(p.numel() for p in runner.model.parameters()
               if p.requires_grad)
    return held, float(runner.message_hub.get_scalar('knn_top1').current())


def sharded(rank, folder):
    os.environ['LOCAL_RANK'] = str(rank)
    train(folder, 2, 1, **SHARDED)
    return train(folder, 2, 2, resume=True, **SHARDED)


def whole(folder, result):
    torch.set_num_threads(1)
    torch.save(train(folder, 1, 2), result)


def test_four_steps_equal_one_process(tmp_path):
    """Stopped after two of them. The order of samples is the same, so
    batches are too.
    """
    # In a process of its own: a runner changes what is global.
    alone = mp.get_context('fork').Process(
        target=whole, args=(tmp_path / 'one', tmp_path / 'one.pth'))
    alone.start()
    alone.join(300)
    assert alone.exitcode == 0
    held, knn = torch.load(tmp_path / 'one.pth')
    first, second = run_two(sharded, tmp_path, tmp_path / 'two')
    # Each process keeps a half (one number of padding at most).
    assert 0 <= first[0] + second[0] - held <= 1
    assert abs(first[0] - second[0]) < 0.1 * held
    assert first[1] == second[1] == knn

    expected, found = (
        torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)
        for name in ('one', 'two'))
    assert expected['state_dict'].keys() == found['state_dict'].keys()
    for name, value in expected['state_dict'].items():
        torch.testing.assert_close(
            found['state_dict'][name], value, rtol=1e-5, atol=1e-6, msg=name)
    weight = 'backbone.layers.0.attn.qkv.weight'
    teacher = weight.replace('backbone', 'teacher.average.module')
    assert not torch.equal(expected['state_dict'][weight],
                           expected['state_dict'][teacher])


def test_mistakes_are_named():
    with pytest.raises(ValueError, match='auto_wrap_policy out'):
        FSDPStrategy(model_wrapper=dict(auto_wrap_policy='size_based'))
    with pytest.raises(ValueError, match='set optim_wrapper.clip_grad=None'):
        FSDPStrategy.build_optim_wrapper(
            None, dict(clip_grad=dict(max_norm=1.)))
    hook = ClipEachGradientHook()
    runner = SimpleNamespace(strategy=FSDPStrategy.__new__(FSDPStrategy))
    with pytest.raises(ValueError, match='ClipEachGradientHook'):
        hook.before_train(runner)
