# Copyright (c) OpenMMLab. All rights reserved.
"""One transfer for all that a step logs."""
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class FetchLogHook(Hook):
    """Bring the logged values of a step to the host in one transfer.

    mmengine's log reads them one by one, and each read waits for the device.
    Here they become floats before any other hook.
    """
    priority = 'HIGHEST'

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Replace the tensors of one value in ``outputs`` by floats."""
        values = {
            name: value.detach().float().reshape(())
            for name, value in (outputs or {}).items()
            if isinstance(value, Tensor) and value.numel() == 1
        }
        if outputs and values:
            numbers = torch.stack(list(values.values())).tolist()
            outputs.update(zip(values, numbers))
