# Copyright (c) OpenMMLab. All rights reserved.
from . import fsdp, hooks, optim  # noqa: F401  registers them
