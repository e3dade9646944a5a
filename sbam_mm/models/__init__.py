# Copyright (c) OpenMMLab. All rights reserved.
from .backbones import ConvViT, Latent, MAEViT, MaskedBEiT, MaskedViT, MFFViT
from .channels import SelfSupDataPreprocessor
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
from .necks import ContextRegressor, LinearDecoder, MAEDecoder, Regressor
from .selfsup import (
    CAE,
    CMAE,
    DINO,
    HPM,
    MAE,
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
    'BEiT', 'BootMAE', 'CAE', 'CMAE', 'ChannelPixelHead', 'ContextRegressor',
    'ConvMAE', 'ConvViT', 'DINO', 'DINOHead', 'DalleHead', 'DistilDINO',
    'DistilMAE', 'FrozenDINO', 'FrozenTeacher', 'GPAFeature', 'HPM',
    'InfoNCEHead', 'Latent', 'LinearDecoder', 'MAE', 'MAEDecoder', 'MAEViT',
    'MFFViT', 'MaskedBEiT', 'MaskedImageModel', 'MaskedViT', 'MomentumTeacher',
    'PixelHead', 'Reconstruction', 'Regressor', 'SelfDistillation',
    'SelfSupDataPreprocessor', 'SimMIM', 'UMMAE', 'iBOT', 'masked_mean', 'patchify',
    'unpatchify'
]
