# Copyright (c) OpenMMLab. All rights reserved.
from .context_regressor import ContextRegressor
from .conv_decoder import ConvDecoder
from .cross_decoder import CrossDecoder
from .decoder import Decoder
from .jepa_predictor import JEPAPredictor
from .linear_decoder import LinearDecoder
from .mae_decoder import MAEDecoder
from .prompt_decoder import PromptDecoder
from .regressor import Regressor
from .score_decoder import ScoreDecoder

__all__ = [
    'ContextRegressor', 'ConvDecoder', 'CrossDecoder', 'Decoder',
    'JEPAPredictor', 'LinearDecoder', 'MAEDecoder', 'PromptDecoder',
    'Regressor', 'ScoreDecoder'
]
