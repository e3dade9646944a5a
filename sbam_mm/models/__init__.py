# Copyright (c) OpenMMLab. All rights reserved.
from .backbones import ConvViT, Latent, MAEViT, MaskedBEiT, MaskedViT, MFFViT
from .channels import SelfSupDataPreprocessor
from .clip_teacher import CLIPTeacher
from .heads import (
    ChannelPixelHead,
    DalleHead,
    DINOHead,
    InfoNCEHead,
    PixelHead,
    patchify,
    unpatchify,
)
from .losses import masked_mean
from .necks import (
    ContextRegressor,
    LinearDecoder,
    MAEDecoder,
    PromptDecoder,
    Regressor,
)
from .selfsup import (
    CAE,
    CMAE,
    DINO,
    HPM,
    MAE,
    MILAN,
    UMMAE,
    BEiT,
    BootMAE,
    ConvMAE,
    DistilDINO,
    DistilMAE,
    FrozenDINO,
    GPAFeature,
    MaskedImageModel,
    Reconstruction,
    SelfDistillation,
    SimMIM,
    iBOT,
)
from .teachers import FrozenTeacher, MomentumTeacher

__all__ = [
    'BEiT', 'BootMAE', 'CAE', 'CLIPTeacher', 'CMAE', 'ChannelPixelHead',
    'ContextRegressor', 'ConvMAE', 'ConvViT', 'DINO', 'DINOHead', 'DalleHead',
    'DistilDINO', 'DistilMAE', 'FrozenDINO', 'FrozenTeacher', 'GPAFeature',
    'HPM', 'InfoNCEHead', 'Latent', 'LinearDecoder', 'MAE', 'MAEDecoder',
    'MAEViT', 'MFFViT', 'MILAN', 'MaskedBEiT', 'MaskedImageModel', 'MaskedViT',
    'MomentumTeacher', 'PixelHead', 'PromptDecoder', 'Reconstruction',
    'Regressor', 'SelfDistillation', 'SelfSupDataPreprocessor', 'SimMIM',
    'UMMAE', 'iBOT', 'masked_mean', 'patchify', 'unpatchify'
]
