# Copyright (c) OpenMMLab. All rights reserved.
"""Features are what the encoder computes, image by image, and no more."""
import numpy as np
import pytest
import torch
from mmpretrain.models import MAE, SelfSupDataPreprocessor
from mmpretrain_mae import mmpretrain_mae
from PIL import Image
from torch import nn
from torch.nn.parallel import DataParallel

from sbam_mm.datasets import ImageFolder
from sbam_mm.evaluation import evaluating, extract_features

NORMALISE = dict(
    type='SelfSupDataPreprocessor',
    mean=[120., 110., 100.],
    std=[50., 60., 70.],
    bgr_to_rgb=True)


def build_mae() -> MAE:
    torch.manual_seed(0)
    config = mmpretrain_mae(NORMALISE)
    config.pop('type')
    return MAE(**config)


@pytest.fixture
def images(tmp_path):
    """Seven labelled pictures of 16 x 16 pixels."""
    rng = np.random.default_rng(0)
    for index in range(7):
        folder = tmp_path / 'abc'[index % 3]
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}.png')
    return ImageFolder(
        data_root=str(tmp_path), pipeline=[dict(type='PackInputs')])


def normalised(images):
    batch = torch.stack([s['inputs'] for s in images]).float()[:, [2, 1, 0]]
    mean = torch.tensor([120., 110., 100.]).view(3, 1, 1)
    return (batch - mean) / torch.tensor([50., 60., 70.]).view(3, 1, 1)


@pytest.mark.unit
def test_values_and_labels(images):
    model = build_mae()
    with torch.no_grad():
        tokens = model.eval().backbone(normalised(images), mask=None)[-1]
    for feature, expected in (('cls', tokens[:, 0]),
                              ('avg', tokens[:, 1:].mean(1)),
                              ('pixels', normalised(images).flatten(1))):
        features, labels = extract_features(
            model, images, feature, batch_size=3)
        assert features.dtype == torch.float32
        torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
        assert labels.tolist() == images.get_gt_labels().tolist()


@pytest.mark.unit
def test_bare_backbone_and_our_own(images, tiny_mae):
    model = tiny_mae(img_size=16, patch_size=4)
    preprocess = SelfSupDataPreprocessor(
        **{k: v for k, v in NORMALISE.items() if k != 'type'})
    with torch.no_grad():
        tokens = model.backbone(normalised(images))[-1]
    features, _ = extract_features(
        model.backbone, images, data_preprocessor=preprocess)
    torch.testing.assert_close(
        features, tokens[:, 1:].mean(1), atol=1e-5, rtol=1e-5)


@pytest.mark.unit
def test_wrapped_model_and_feature_maps(images):
    model = build_mae()
    features, _ = extract_features(model, images)
    wrapped, _ = extract_features(DataParallel(model), images)
    assert torch.equal(features, wrapped)

    convolution = nn.Module()
    convolution.backbone = nn.Conv2d(3, 5, 3)
    convolution.data_preprocessor = model.data_preprocessor
    features, _ = extract_features(convolution, images)
    with torch.no_grad():
        expected = convolution.backbone(normalised(images)).mean((2, 3))
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="out_type='raw'"):
        extract_features(convolution, images, 'cls')


@pytest.mark.unit
def test_modes_and_random_state_stay(images):
    model = build_mae().train()
    model.backbone.layers[0].eval()
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    extract_features(model, images)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(KeyError), evaluating(model):
        assert not model.training
        raise KeyError
    assert [m.training for m in model.modules()] == modes


@pytest.mark.unit
def test_sentences(images, tmp_path):
    model = build_mae()
    with pytest.raises(ValueError, match='choose one of'):
        extract_features(model, images, 'mean')
    with pytest.raises(ValueError, match='data_preprocessor'):
        extract_features(nn.Conv2d(3, 5, 3), images)
    unlabelled = ImageFolder(
        data_root=str(tmp_path),
        with_label=False,
        pipeline=[dict(type='PackInputs')])
    with pytest.raises(ValueError, match='class folders'):
        extract_features(model, unlabelled)
