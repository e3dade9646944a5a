# Copyright (c) OpenMMLab. All rights reserved.
"""Any number of channels in every framework, or what to set."""
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.models import SelfSupDataPreprocessor as Original
from small_runs import small

from sbam_mm.evaluation import extract_features
from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.evaluation.finetune import finetune_config
from sbam_mm.evaluation.image_sets import read_image_set
from sbam_mm.models import SelfSupDataPreprocessor
from sbam_mm.registry import DATASETS, MODELS
from sbam_mm.visualization import (
    mask_gallery,
    model_from_config,
    reconstruct_images,
)

ROOT = Path(__file__).parents[2]
DECODERS = ('MAEDecoder', 'LinearDecoder', 'Regressor')


def config(root, name='sbam_small', channels=4):
    """A shipped recipe for images of other channels."""
    os.environ['DATA_ROOT'] = str(root)
    try:
        cfg = small(name)
    finally:
        del os.environ['DATA_ROOT']
    model = cfg.model
    model.data_preprocessor.update(
        mean=[100.] * channels, std=[50.] * channels)
    model.backbone.in_channels = channels
    for part in (model.get('neck'), model.get('feature_regressor')):
        if part and part.get('type', '').endswith(
                DECODERS) and 'predict_feature_dim' not in part:
            part.in_channels = channels
    cfg.train_dataloader.dataset.update(
        channels=channels, value_range=(0, 10000))
    cfg.train_dataloader.update(batch_size=4, num_workers=0)
    cfg.merge_from_dict(dict(param_scheduler=[], train_cfg=dict(max_epochs=1)))
    return cfg


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Eight TIFF and NumPy files; only the last channel tells a from b."""
    root = tmp_path_factory.mktemp('fields')
    rng = np.random.default_rng(0)
    for half in ('train', 'test'):
        for label, name in enumerate('ab'):
            folder = root / half / name
            folder.mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(0, 9000, (36, 40, 4)).astype(np.uint16)
                pixels[..., 3] = pixels[..., 3] // 3 + 6000 * label
                if i % 2:
                    np.save(folder / f'{i}.npy', pixels)
                else:
                    tifffile.imwrite(
                        folder / f'{i}.tif', pixels.transpose(2, 0, 1),
                        photometric='minisblack')
    return root


@pytest.mark.integration
@pytest.mark.parametrize('name', [
    'sbam_small', 'simmim_small', 'bootmae_small', 'convmae_small',
    'mae_small hpm', 'ibot_small sbam', 'dino_small', 'mae_small am',
    'ijepa_small', 'data2vec2_small'
])
def test_every_framework_trains_on_four_channels(data, tmp_path, name):
    cfg = config(data, name)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = f'channels-{tmp_path.name}'
    cfg.custom_hooks[:] = [
        hook for hook in cfg.custom_hooks if hook.type != 'sbam_mm.KNNHook'
    ] + [
        dict(hook, k=5, at_start=False) for hook in cfg.custom_hooks
        if hook.type == 'sbam_mm.KNNHook'
    ]
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter >= 1
    for key, value in runner.model.state_dict().items():
        assert value.isfinite().all(), key
    top1 = runner.message_hub.get_scalar('knn_top1').current()
    assert 0 <= top1 <= 100


@pytest.mark.integration
def test_a_file_goes_through_evaluation_and_pictures(data, tmp_path):
    cfg = config(data)
    recipe = encoder_recipe(cfg)
    assert recipe.decoding == dict(channels=4, value_range=[0, 10000])
    images = read_image_set(data, endings=('.tif', '.npy'))
    tuning = finetune_config(
        recipe, images, 'x.pth', tmp_path / 'run',
        ROOT / 'configs/finetune/small.py', 96)
    # What is of colour is left out, the rest stays.
    assert [step['type'] for step in
            tuning.train_dataloader.dataset.pipeline] == [
                'sbam_mm.LoadRandomResizedCrop', 'RandomFlip', 'PackInputs']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(tuning.val_dataloader.dataset)
        train = DATASETS.build(tuning.train_dataloader.dataset)
    assert dataset[0]['inputs'].shape == train[0]['inputs'].shape == (4, 32,
                                                                      32)
    model, _ = model_from_config(cfg)
    features, labels = extract_features(model, dataset, 'pixels')
    assert features.shape == (24, 4 * 32 * 32)
    # The class is in the fourth channel.
    level = features.view(24, 4, -1)[:, 3].mean(1)
    assert ((level > level.mean()) == (labels == 1)).all()

    pictures = [np.full((32, 32, 4), 90, np.uint8) for _ in range(2)]
    for made in reconstruct_images(model, pictures):
        assert made.image.shape == made.reconstruction.shape == (32, 32, 3)
    mask_gallery(model, dict(own=model.masker),
                 {str(i): image for i, image in enumerate(pictures)})


@pytest.mark.unit
def test_what_does_not_agree_is_a_sentence(data):
    good = config(data).model
    model = MODELS.build(good)
    batch = torch.zeros(2, 4, 32, 32, dtype=torch.uint8)

    def loss(model, images):
        samples = model.data_preprocessor(
            dict(inputs=images, data_samples=None), True)
        return model(**samples, mode='loss')

    assert loss(model, batch)['loss'].isfinite()
    with pytest.raises(ValueError, match='images have 3 channels and'):
        loss(model, batch[:, :3])
    with pytest.raises(ValueError, match='give a mean and a deviation'):
        MODELS.build(dict(good, data_preprocessor=dict(
            mean=[1.] * 3, std=[1.] * 3)))
    with pytest.raises(ValueError, match='4 means and 3'):
        MODELS.build(dict(good, data_preprocessor=dict(
            mean=[1.] * 4, std=[1.] * 3)))
    with pytest.raises(ValueError, match='set in_channels=4 of model.neck'):
        loss(MODELS.build(dict(good, neck=dict(good.neck, in_channels=3))),
             batch)
    with pytest.raises(ValueError, match='the teacher sees 3 channels'):
        MODELS.build(dict(good, teacher=torch.nn.Conv2d(3, 8, 4)))


@pytest.mark.unit
@pytest.mark.parametrize('to_rgb', [False, True])
def test_three_channels_are_normalised_to_the_bit_as_before(to_rgb):
    options = dict(mean=[1.5, 2, 3], std=[2., 3, 4.1], to_rgb=to_rgb)
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    ours, theirs = (
        kind(**options)(dict(inputs=images, data_samples=None))['inputs']
        for kind in (SelfSupDataPreprocessor, Original))
    assert torch.equal(ours, theirs)
    views = dict(inputs=[images, images[..., :4]], data_samples=None)
    for a, b in zip(*(kind(**options)(dict(views))['inputs']
                      for kind in (SelfSupDataPreprocessor, Original))):
        assert torch.equal(a, b)
