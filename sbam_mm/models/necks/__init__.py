# Copyright (c) OpenMMLab. All rights reserved.
from .context_regressor import ContextRegressor
from .cross_decoder import CrossDecoder
from .decoder import Decoder
from .linear_decoder import LinearDecoder
from .mae_decoder import MAEDecoder
from .prompt_decoder import PromptDecoder
from .regressor import Regressor
from .score_decoder import ScoreDecoder

__all__ = [
    'ContextRegressor', 'CrossDecoder', 'Decoder', 'LinearDecoder',
    'MAEDecoder', 'PromptDecoder', 'Regressor', 'ScoreDecoder'
]
