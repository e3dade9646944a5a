# Copyright (c) OpenMMLab. All rights reserved.
"""How far the training has come, as mmengine's runner reports it."""
from typing import Tuple

from mmengine.logging import MessageHub


def training_progress() -> Tuple[float, int]:
    """Read progress and epoch from mmengine's message hub.

    Returns:
        tuple[float, int]: Share of all iterations done, in [0, 1], and epochs
        done; (0., 0) outside a runner.
    """
    hub = MessageHub.get_current_instance()
    iteration = hub.get_info('iter', 0)
    max_iters = hub.get_info('max_iters', 0)
    progress = min(iteration / max_iters, 1.) if max_iters else 0.
    return progress, hub.get_info('epoch', 0)
