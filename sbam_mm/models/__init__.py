# Copyright (c) OpenMMLab. All rights reserved.
"""Methods, encoders, decoders, heads and teachers."""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401
from sbam_mm.moved_names import moved

from .backbones import (
    ConvViT,
    Latent,
    MAEViT,
    MaskedBEiT,
    MaskedViT,
    MFFViT,
    RegisterViT,
)
from .channels import SelfSupDataPreprocessor
from .heads import (
    ChannelPixelHead,
    DalleHead,
    DINOHead,
    Head,
    InfoNCEHead,
    PixelHead,
    patchify,
    unpatchify,
)
from .losses import masked_mean
from .necks import (
    ContextRegressor,
    ConvDecoder,
    CrossDecoder,
    Decoder,
    JEPAPredictor,
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
    IJEPA,
    MAE,
    MILAN,
    UMMAE,
    BEiT,
    BootMAE,
    ConvMAE,
    Data2Vec2,
    GPAFeature,
    MaskedImageModel,
    OwnTeacher,
    Reconstruction,
    SelfDistillation,
    SimMIM,
    iBOT,
)
from .teachers import (
    CLIPTeacher,
    FrozenTeacher,
    HFTeacher,
    MomentumTeacher,
    TimmTeacher,
)

__all__ = [
    'BEiT', 'BootMAE', 'CAE', 'CLIPTeacher', 'CMAE', 'ChannelPixelHead',
    'ContextRegressor', 'ConvDecoder', 'ConvMAE', 'ConvViT', 'CrossDecoder',
    'DINO', 'DINOHead', 'DalleHead', 'Data2Vec2', 'Decoder', 'FrozenTeacher',
    'GPAFeature', 'HFTeacher', 'HPM', 'Head', 'IJEPA', 'InfoNCEHead',
    'JEPAPredictor', 'Latent', 'LinearDecoder', 'MAE', 'MAEDecoder', 'MAEViT',
    'MFFViT', 'MILAN', 'MaskedBEiT', 'MaskedImageModel', 'MaskedViT',
    'MomentumTeacher', 'OwnTeacher', 'PixelHead', 'PromptDecoder',
    'Reconstruction', 'RegisterViT', 'Regressor', 'SelfDistillation',
    'SelfSupDataPreprocessor', 'SimMIM', 'TimmTeacher', 'UMMAE', 'iBOT',
    'masked_mean', 'patchify', 'unpatchify'
]
__getattr__ = moved(__name__, {
    'DistilDINO': 'sbam_mm.segments.DistilDINO',
    'DistilMAE': 'sbam_mm.segments.DistilMAE',
    'FrozenDINO': 'sbam_mm.segments.FrozenDINO',
})
