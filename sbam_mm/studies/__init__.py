# Copyright (c) OpenMMLab. All rights reserved.
"""Studies: one file that says what is varied, measured and drawn."""
from .study import Study, read_study

__all__ = ['Study', 'read_study']
