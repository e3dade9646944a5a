# Copyright (c) OpenMMLab. All rights reserved.
"""Masks in a browser: images, maskers side by side, what one takes away.

``serve.py`` and ``page.py`` need Gradio and are imported from there.
"""
from .controls import Control, controls_of, with_values
from .export import config_lines, figure_file
from .moments import Moment, config_of, moments
from .session import Masked, Picture, Session
from .uploads import read_upload

__all__ = [
    'Control', 'Masked', 'Moment', 'Picture', 'Session', 'config_lines',
    'config_of', 'controls_of', 'figure_file', 'moments', 'read_upload',
    'with_values'
]
