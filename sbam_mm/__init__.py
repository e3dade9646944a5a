# Copyright (c) OpenMMLab. All rights reserved.
"""Salience-Based Adaptive Masking for masked image modelling.

``sbam_mm.masking`` needs torch alone. What configs name is registered by
``sbam_mm.registry``, which checks that one OpenMMLab stack is installed.
"""
from .version import __version__

__all__ = ['__version__']
