# Copyright (c) OpenMMLab. All rights reserved.
from sbam_mm.moved_names import moved

from .base import MaskedImageModel, Reconstruction
from .beit import BEiT
from .bootmae import BootMAE
from .cae import CAE
from .cmae import CMAE
from .convmae import ConvMAE
from .data2vec2 import Data2Vec2
from .dino import DINO
from .gpa import GPAFeature
from .hpm import HPM
from .ibot import iBOT
from .ijepa import IJEPA
from .mae import MAE
from .milan import MILAN
from .own_teacher import OwnTeacher
from .self_distillation import SelfDistillation
from .simmim import SimMIM
from .um_mae import UMMAE

__all__ = [
    'BEiT', 'BootMAE', 'CAE', 'CMAE', 'ConvMAE', 'DINO', 'Data2Vec2',
    'GPAFeature', 'HPM', 'IJEPA', 'MAE', 'MILAN', 'MaskedImageModel',
    'OwnTeacher', 'Reconstruction', 'SelfDistillation', 'SimMIM', 'UMMAE',
    'iBOT'
]
__getattr__ = moved(__name__, {
    'DistilDINO': 'sbam_mm.segments.DistilDINO',
    'DistilMAE': 'sbam_mm.segments.DistilMAE',
    'FrozenDINO': 'sbam_mm.segments.FrozenDINO',
})
