# Copyright (c) OpenMMLab. All rights reserved.
from . import hooks, optim  # noqa: F401  registers them
from .fsdp import FSDPStrategy

__all__ = ['FSDPStrategy']
