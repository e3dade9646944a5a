# Copyright (c) OpenMMLab. All rights reserved.
"""Salience-Based Adaptive Masking for masked image modelling.

Importing the package only checks that one OpenMMLab stack is installed; torch
and mmpretrain are imported by the modules that use them.
"""
from ._stack import check_stack
from .version import __version__

__all__ = ['__version__']

check_stack()
