# Copyright (c) OpenMMLab. All rights reserved.
"""Studies: one file that says what is varied, measured and drawn."""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401

from .study import Study, read_study

__all__ = ['Study', 'read_study']
