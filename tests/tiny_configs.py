# Copyright (c) OpenMMLab. All rights reserved.
"""Configs made small enough for a test, one function per method.

Each function changes ``model`` in place and returns the batch for one step,
``(inputs, data_samples)``. A new method adds its function to ``METHODS``.
"""
import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import DALLEEncoder
from mmpretrain.models.utils.clip_generator_helper import CLIP
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)
GRID = (4, 4)


def stored_maps(batch_size=2):
    """Data samples as a pipeline with stored maps makes them."""
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(batch_size):
        sample = DataSample()
        sample.set_field(
            generator.random(GRID, dtype=np.float32), 'attention_map')
        sample.set_field(
            generator.integers(0, 3, GRID).astype(np.uint8), 'part_map')
        sample.set_field(
            generator.integers(0, 4, GRID).astype(np.uint8), 'segment_map')
        samples.append(sample)
    return samples


def mae(model):
    """MAE, CrossMAE and mmpretrain's MAE with our backbone."""
    model.backbone.update(arch=ARCH, **SIZE)
    neck = dict(
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        patch_size=8)
    if model.neck.type in ('sbam_mm.MAEDecoder', 'sbam_mm.CrossDecoder'):
        neck['img_size'] = 32
    else:
        neck['num_patches'] = 16
    if model.neck.type == 'sbam_mm.CrossDecoder':
        neck['looks_at'] = ['input', *range(ARCH['num_layers'])]
    model.neck.update(neck)
    model.head.patch_size = 8
    return torch.rand(2, 3, 32, 32), stored_maps()


def simmim(model):
    """SimMIM, with either encoder."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(embed_dim=24, patch_size=8)
    model.head.patch_size = 8
    return torch.rand(2, 3, 32, 32), stored_maps()


def cmae(model):
    """CMAE: two views, a second decoder and two small MLPs."""
    inputs, samples = mae(model)
    decoder = dict(
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        **SIZE)
    model.feature_decoder.update(predict_feature_dim=24, **decoder)
    model.projector.update(
        in_channels=24, hid_channels=16, out_channels=8)
    model.contrast.predictor.update(
        in_channels=8, hid_channels=16, out_channels=8)
    return [inputs, torch.rand(2, 3, 32, 32)], samples


def bootmae(model):
    """BootMAE: two regressors."""
    model.backbone.update(arch=ARCH, **SIZE)
    regressor = dict(
        embed_dim=24, decoder_embed_dim=16, decoder_num_heads=2, **SIZE)
    model.neck.update(regressor)
    model.feature_regressor.update(predict_feature_dim=24, **regressor)
    model.head.patch_size = 8
    if model.masker.type == 'sbam_mm.BootMAEMasker':
        model.masker.update(min_area=2, max_area=6)
    return torch.rand(2, 3, 32, 32), stored_maps()


def conv_vit(backbone):
    """ConvMAE's encoder."""
    backbone.update(
        arch=dict(embed_dims=(8, 12, 24), depths=(1, 1, 2), num_heads=3),
        img_size=32,
        patch_sizes=(2, 2, 2))


def convmae(model):
    """ConvMAE with patches of 8 pixels."""
    conv_vit(model.backbone)
    model.neck.update(
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        img_size=32,
        patch_size=8)
    model.head.patch_size = 8
    return torch.rand(2, 3, 32, 32), stored_maps()


def cae(model):
    """CAE, with either target."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(
        embed_dims=24,
        num_heads=3,
        regressor_depth=1,
        decoder_depth=1,
        out_dims=192)
    images = torch.rand(2, 3, 32, 32)
    if model.head.type == 'sbam_mm.DalleHead':
        return [images, torch.rand(2, 3, 32, 32)], stored_maps()
    model.head.patch_size = 8
    return images, stored_maps()


def ijepa(model):
    """I-JEPA: a predictor instead of a decoder."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        **SIZE)
    return torch.rand(2, 3, 32, 32), stored_maps()


def data2vec2(model):
    """data2vec 2.0: two masks, targets of both blocks."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(
        embed_dim=24, decoder_embed_dim=16, decoder_depth=2, groups=4, **SIZE)
    model.update(num_masks=2, top_k=2)
    return torch.rand(2, 3, 32, 32), stored_maps()


def self_distillation(model):
    """DINO and iBOT: two global and one local crop of two images."""
    # FrozenTeacher has a backbone only, which `frozen_teacher` shrinks.
    parts = [part for part in (model, model.get('teacher'))
             if part and part.get('head')]
    for part in parts:
        part.backbone.update(arch=ARCH, **SIZE)
        part.head.update(
            in_dim=24, out_dim=16, hidden_dim=16, bottleneck_dim=8)
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(2):
        sample = DataSample()
        sample.set_field([
            generator.integers(0, 4, (side, side)).astype(np.uint8)
            for side in (4, 4, 2)
        ], 'segment_map')
        samples.append(sample)
    return [torch.rand(2, 3, size, size) for size in (32, 32, 16)], samples


def classifier(model):
    """Fine-tuning: the encoder with a linear head."""
    if model.backbone.type == 'sbam_mm.ConvViT':
        conv_vit(model.backbone)
    else:
        model.backbone.update(arch=ARCH, **SIZE)
    model.head.update(in_channels=24, num_classes=5)
    model.data_preprocessor = dict(num_classes=5)
    samples = [DataSample().set_gt_label(label) for label in (1, 4)]
    # Mixup wants labels as scores, which the preprocessor makes.
    batch = MODELS.build(
        dict(
            type='ClsDataPreprocessor',
            num_classes=5,
            batch_augments=model.train_cfg))(
                dict(inputs=torch.rand(2, 3, 32, 32), data_samples=samples),
                training=True)
    return batch['inputs'], batch['data_samples']


def beit(model):
    """BEiT: the tokenizer has 192 words."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(embed_dim=24, patch_size=8, out_dims=192)
    images = torch.rand(2, 3, 32, 32)
    return [images, torch.rand(2, 3, 32, 32)], stored_maps()


def milan(model):
    """MILAN: no head, and features of 20 numbers."""
    model.backbone.update(arch=ARCH, **SIZE)
    model.neck.update(
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        feature_dim=20,
        **SIZE)
    return torch.rand(2, 3, 32, 32), stored_maps()


METHODS = {
    'ImageClassifier': classifier,
    'MAE': mae,
    'sbam_mm.BEiT': beit,
    'sbam_mm.BootMAE': bootmae,
    'sbam_mm.CMAE': cmae,
    'sbam_mm.CAE': cae,
    'sbam_mm.ConvMAE': convmae,
    'sbam_mm.Data2Vec2': data2vec2,
    'sbam_mm.GPAFeature': mae,
    'sbam_mm.HPM': mae,
    'sbam_mm.IJEPA': ijepa,
    'sbam_mm.MAE': mae,
    'sbam_mm.MILAN': milan,
    'sbam_mm.SimMIM': simmim,
    'sbam_mm.UMMAE': mae,
    'sbam_mm.DINO': self_distillation,
    'sbam_mm.DistilDINO': self_distillation,
    'sbam_mm.DistilMAE': mae,
    'sbam_mm.iBOT': self_distillation,
}


def frozen_teacher(model, folder, **size):
    """A teacher with random weights, from a file as users have it."""
    teacher = model.get('teacher') or {}
    if teacher.get('type') == 'sbam_mm.FrozenTeacher':
        teacher.backbone.update(arch=ARCH, **(size or SIZE))
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            vit = MODELS.build(teacher.backbone)
        path = folder / 'teacher.pth'
        torch.save({f'backbone.{k}': v
                    for k, v in vit.state_dict().items()}, path)
        teacher.checkpoint = str(path)


def frozen_dino(model, folder):
    """A trained DINO with random weights, from a file as users have it."""
    teacher = model.get('teacher') or {}
    if teacher.get('type') == 'sbam_mm.FrozenDINO':
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            branch = torch.nn.ModuleDict({
                name: MODELS.build(teacher[name])
                for name in ('backbone', 'head')
            })
        path = folder / 'teacher.pth'
        torch.save({f'momentum_teacher.module.{k}': v
                    for k, v in branch.state_dict().items()}, path)
        teacher.checkpoint = str(path)


def clip_teacher(model, folder):
    """CLIP with random weights, from a file as users have it."""
    teacher = model.get('teacher') or {}
    if teacher.get('type') == 'sbam_mm.CLIPTeacher':
        path = folder / 'clip.pth.tar'
        torch.save(CLIP(20, 32, 1, 64, 8, 5, 7, 64, 1, 1).state_dict(), path)
        teacher.checkpoint = str(path)


def dalle_tokenizer(model, folder):
    """A tokenizer with random weights, from a file as users have it."""
    head = model.get('head') or {}
    if head.get('type') == 'sbam_mm.DalleHead':
        head.tokenizer = dict(n_hid=8, n_blk_per_group=1, vocab_size=192)
        path = folder / 'dalle_encoder.pth'
        torch.save(DALLEEncoder(**head.tokenizer).state_dict(), path)
        head.checkpoint = str(path)


def tiny_masker(masker):
    """Blocks and heads of the recipe, as far as the tiny encoder has them."""
    if masker.get('masker'):
        tiny_masker(masker.masker)
    if masker.get('type') == 'sbam_mm.GPA':
        masker.update(block=1, head=2)


def tiny(cfg, folder):
    """The model of a config, small, and a batch for it.

    Args:
        cfg (Config): Changed in place.
        folder (Path): For files the model wants.

    Returns:
        tuple: The model with initialised weights, inputs, data samples.
    """
    model = cfg.model
    batch = METHODS[model.type](model)
    frozen_teacher(model, folder)
    frozen_dino(model, folder)
    clip_teacher(model, folder)
    dalle_tokenizer(model, folder)
    if model.get('masker'):
        tiny_masker(model.masker)
    if model.get('type') == 'sbam_mm.GPAFeature' and model.get('target'):
        model.target.update(block=1, head=2)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = MODELS.build(model)
    built.init_weights()
    return built, *batch
