# Copyright (c) OpenMMLab. All rights reserved.
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401

# Imported for what they register, or put into mmengine's runner.
from . import hooks, optim, schedule  # noqa: F401
from .fsdp import FSDPStrategy

__all__ = ['FSDPStrategy']
