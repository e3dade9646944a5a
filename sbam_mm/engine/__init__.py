# Copyright (c) OpenMMLab. All rights reserved.
# Imported for what they register, or put into mmengine's runner.
from . import hooks, optim, schedule  # noqa: F401
from .fsdp import FSDPStrategy

__all__ = ['FSDPStrategy']
