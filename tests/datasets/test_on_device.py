# Copyright (c) OpenMMLab. All rights reserved.
"""Crops made as tensor operations are those that Pillow makes."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets import RandomResizedCrop
from PIL import Image
from torch.utils.data import DataLoader

from sbam_mm.datasets import ImageFolder, ImagesOnDevice, whole_batch
from sbam_mm.datasets.transforms.batch_crops import (
    Boxes,
    random_boxes,
    resize_crops,
)
from sbam_mm.visualization import photograph

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path):
    """13 images of 32 x 32, one of them broken."""
    generator = np.random.default_rng(0)
    for index in range(13):
        small = Image.fromarray(
            generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((32, 32), 3).save(tmp_path / f'{index:02d}.png')
    (tmp_path / '03.png').write_bytes(b'no image')
    return str(tmp_path)


@pytest.mark.parametrize('interpolation', ['bicubic', 'bilinear'])
@pytest.mark.parametrize('size', [(32, 32), (20, 48)])
def test_pixels_are_pillows(size, interpolation):
    picture = Image.fromarray(photograph('cat')).resize((64, 48))
    # Hard edges overshoot, which Pillow clips after either direction.
    noise = np.random.default_rng(0).integers(-40, 40, (48, 64, 3)) % 256
    images = [np.asarray(picture), noise.astype(np.uint8)] * 20
    torch.manual_seed(0)
    boxes = random_boxes(len(images), 48, 64, (.05, 1.))
    flip = torch.rand(len(images)) < .5
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    out = resize_crops(batch, boxes, size, flip, interpolation)
    mode = getattr(Image.Resampling, interpolation.upper())
    for number, image in enumerate(images):
        top, left, rows, columns = (int(values[number]) for values in boxes)
        crop = Image.fromarray(image).crop(
            (left, top, left + columns, top + rows))
        ours = out[number].permute(1, 2, 0).numpy().astype(int)
        if flip[number]:
            ours = ours[:, ::-1]
        # Rows first; Pillow itself begins with what is cheaper.
        rows_first = crop.resize((size[1], rows), mode).resize(
            size[::-1], mode)
        off = np.abs(ours - rows_first)
        assert off.max() <= 2 and off.mean() < .1
        if number % 2 == 0:
            off = np.abs(ours - crop.resize(size[::-1], mode))
            assert off.max() <= 2 and off.mean() < .35


@pytest.mark.parametrize('height, width, shares', [
    (32, 32, (.2, 1.)), (30, 80, (.6, 1.)), (80, 30, (.9, 1.))])
def test_boxes_are_distributed_as_mmpretrains(height, width, shares):
    number = 4000
    crop = RandomResizedCrop(32, crop_ratio_range=shares)
    np.random.seed(0)
    image = np.zeros((height, width, 3), np.uint8)
    theirs = np.array([crop.rand_crop_params(image) for _ in range(number)])
    torch.manual_seed(0)
    boxes = random_boxes(number, height, width, shares)
    ours = torch.stack(
        [boxes.top, boxes.left, boxes.rows, boxes.columns], 1).numpy()
    assert (ours[:, :2] >= 0).all() and (ours[:, 2:] > 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    for one, other in zip(ours.T, theirs.T):
        # Kolmogorov and Smirnov: 1.95 is passed once in a thousand times.
        grid = np.arange(max(height, width) + 1)
        distance = np.abs(
            np.searchsorted(np.sort(one), grid, 'right') -
            np.searchsorted(np.sort(other), grid, 'right')).max() / number
        assert distance * (number / 2)**.5 < 1.95


def test_whole_images_come_through(folder):
    plain = ImageFolder(folder)
    dataset = ImagesOnDevice(
        plain, 32, (1., 1.), (1., 1.), flip_prob=0, device='cpu')
    # Without the broken one.
    assert len(dataset) == 12 and plain.num_unreadable == 1
    batch = dataset.__getitems__([5, 2])
    assert batch['data_samples'] is None
    for image, index in zip(batch['inputs'], (6, 2)):
        np.testing.assert_array_equal(
            image.permute(1, 2, 0), plain[index]['img'])
    assert torch.equal(dataset[5]['inputs'], batch['inputs'][0])


def test_bad_input_gets_a_sentence(folder, tmp_path):
    with pytest.raises(ValueError, match='bicubic'):
        ImagesOnDevice(ImageFolder(folder), 32, interpolation='area')
    with pytest.raises(MemoryError, match='raise limit'):
        ImagesOnDevice(ImageFolder(folder), 32, limit=1e-6)
    loader = DataLoader(
        ImagesOnDevice(ImageFolder(folder), 32, device='cpu'),
        2, num_workers=1, collate_fn=whole_batch)
    with pytest.raises(ValueError, match='num_workers=0'):
        next(iter(loader))
    Image.new('RGB', (20, 20)).save(tmp_path / '99.png')
    with pytest.raises(ValueError, match='images of one size'):
        ImagesOnDevice(ImageFolder(folder), 32)


def test_boxes_may_be_single_pixels():
    image = torch.arange(6, dtype=torch.uint8).view(1, 1, 2, 3)
    one = torch.ones(1, dtype=torch.long)
    out = resize_crops(image, Boxes(one, 2 * one, one, one), (4, 4))
    assert out.unique().tolist() == [5]


@pytest.mark.integration
def test_the_runner_takes_it_and_resumes_to_the_bit(folder, tmp_path):
    seen = {}

    def run(name, epochs, resume=False):
        cfg = Config(dict(
            default_scope='mmpretrain',
            model=dict(
                type='sbam_mm.MAE',
                data_preprocessor=dict(
                    type='SelfSupDataPreprocessor', mean=[120.] * 3,
                    std=[60.] * 3, to_rgb=True),
                backbone=dict(
                    type='sbam_mm.MaskedViT', img_size=32, patch_size=8,
                    arch=dict(embed_dims=24, num_layers=1, num_heads=3,
                              feedforward_channels=48)),
                masker=dict(type='sbam_mm.SBAM'),
                neck=dict(
                    type='sbam_mm.MAEDecoder', img_size=32, patch_size=8,
                    embed_dim=24, decoder_embed_dim=16, decoder_depth=1,
                    decoder_num_heads=2),
                head=dict(type='sbam_mm.PixelHead', patch_size=8)),
            train_dataloader=dict(
                batch_size=5, num_workers=0, persistent_workers=False,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='sbam_mm.whole_batch'),
                dataset=dict(
                    type='sbam_mm.ImagesOnDevice', scale=32, device='cpu',
                    images=dict(
                        type='sbam_mm.ImageFolder', data_root=folder))),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            custom_hooks=[dict(type='sbam_mm.EpochSeedHook')],
            work_dir=str(tmp_path / name), resume=resume,
            experiment_name=f'{name}{resume}', log_level='WARNING',
            randomness=dict(seed=0)))
        runner = Runner.from_cfg(cfg)
        runner.train()
        assert len(runner.train_dataloader.dataset) == 12
        seen[name] = runner.model.state_dict()

    run('through', 2)
    run('stopped', 1)
    run('stopped', 2, resume=True)
    for name, value in seen['through'].items():
        assert torch.equal(seen['stopped'][name], value), name
