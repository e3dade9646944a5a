# Copyright (c) OpenMMLab. All rights reserved.
"""Trainings by mmengine's runner on images in memory."""
import torch
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset


class Noise(Dataset):
    """Images that are the same in every run, or several crops of each.

    Args:
        images (int): How many.
        sizes (tuple[int, ...]): Of the crops, in pixels; one for one image.
    """
    metainfo: dict = {}

    def __init__(self, images, sizes=(32, )):
        generator = torch.Generator().manual_seed(3)
        self.crops = [[
            torch.randn(3, size, size, generator=generator) for size in sizes
        ] for _ in range(images)]

    def __len__(self):
        return len(self.crops)

    def __getitem__(self, index):
        crops = self.crops[index]
        # mmpretrain's preprocessor wants two values.
        return dict(
            inputs=crops[0] if len(crops) == 1 else crops, data_samples=index)


def run(model,
        work_dir,
        images=8,
        batch_size=2,
        sizes=(32, ),
        loop=None,
        epochs=2,
        accumulation=1,
        optimizer=None,
        schedule=None,
        shuffle=True,
        sampler=DefaultSampler,
        drop_last=False,
        batch_sampler=None,
        workers=0,
        hooks=(),
        **options):
    """A runner, not started.

    Args:
        model (nn.Module): Trained in place.
        work_dir (Path): Its name is the run's.
        loop (dict, optional): mmengine's ``train_cfg``; by epochs otherwise.
        **options: Of mmengine's ``Runner``.
    """
    data = Noise(images, sizes)
    sampler = sampler(data, shuffle=shuffle, seed=0)
    batches = (batch_sampler or BatchSampler)(
        sampler, batch_size, drop_last=drop_last)
    return Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=DataLoader(
            data, batch_sampler=batches, num_workers=workers),
        train_cfg=loop or dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            accumulative_counts=accumulation,
            optimizer=optimizer or dict(type='SGD', lr=0.1)),
        param_scheduler=schedule,
        custom_hooks=list(hooks),
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        log_level='WARNING',
        experiment_name=f'{work_dir.parent.name}-{work_dir.name}-'
        f'{id(work_dir)}',
        **options)
