# Copyright (c) OpenMMLab. All rights reserved.
"""Folders as hubs keep models: to write them, and to read them back."""
from .configs import Description, describe, hf_folder, timm_folder
from .model_card import matching_results, model_card
from .stated_model import stated_model

__all__ = [
    'Description', 'describe', 'hf_folder', 'matching_results', 'model_card',
    'stated_model', 'timm_folder'
]
