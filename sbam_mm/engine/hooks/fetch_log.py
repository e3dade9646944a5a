# Copyright (c) OpenMMLab. All rights reserved.
"""What is logged comes from the device without holding it up."""
from collections import deque
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner
from torch import Tensor

from sbam_mm.registry import HOOKS
from sbam_mm.to_host import ToHost


class LateMessageHub(MessageHub):
    """A message hub whose newest scalars may still be on the device.

    Whoever reads a scalar finds all of its values: those that are missing are
    waited for then. mmengine's would wait for each at once.
    """
    device: str
    new: list[tuple[str, Tensor, Tensor | None]]
    sent: deque[tuple[list[tuple[str, bool]], ToHost]]

    @classmethod
    def of(cls, hub: MessageHub, device: str) -> 'LateMessageHub':
        """Turn a hub into this one; tensors of that device are late."""
        hub.__class__ = cls
        assert isinstance(hub, cls)
        hub.device, hub.new, hub.sent = device, [], deque()
        return hub

    def update_scalar(self, key: str, value: Any, *args: Any,
                      **kwargs: Any) -> None:
        late = (isinstance(value, Tensor) and value.numel() == 1
                and value.device.type == self.device)
        if late and not args and not kwargs:
            self.hold(key, value)
        else:
            super().update_scalar(key, value, *args, **kwargs)

    def hold(self, key: str, value: Tensor,
             unless: Tensor | None = None) -> None:
        """Log a value later, if ``unless`` turns out to be 0."""
        self.new.append((key, value, unless))

    def send(self) -> None:
        """Let what is new follow the work that is queued, in one transfer."""
        if self.new:
            values = [one for _, *pair in self.new for one in pair
                      if one is not None]
            self.sent.append((
                [(key, unless is not None) for key, _, unless in self.new],
                ToHost(torch.stack(
                    [one.detach().float().reshape(()) for one in values]))))
            self.new = []

    def receive(self) -> None:
        """Log what was sent."""
        while self.sent:
            keys, values = self.sent.popleft()
            numbers = iter(values.read())
            for key, conditional in keys:
                number = next(numbers)
                if not (conditional and next(numbers)):
                    super().update_scalar(key, number)

    def settle(self) -> None:
        """Wait for everything."""
        self.send()
        self.receive()

    @property
    def log_scalars(self) -> dict:
        self.settle()
        return super().log_scalars

    def get_scalar(self, key: str) -> HistoryBuffer:
        late = {one[0] for one in self.new}
        late |= {one[0] for keys, _ in self.sent for one in keys}
        if key in self._log_scalars and key not in late:
            return self._log_scalars[key]  # such as the time of a step
        return super().get_scalar(key)

    def state_dict(self) -> dict:
        self.settle()
        return super().state_dict()


def log_unless(hub: MessageHub, key: str, value: Tensor,
               unless: Tensor | None) -> None:
    """Log a value if ``unless`` is 0 or None, late where the hub can."""
    if isinstance(hub, LateMessageHub) and value.device.type == hub.device:
        hub.hold(key, value, unless)
    elif unless is None or not unless.item():
        hub.update_scalar(key, value)


def log_clipping_late(hub: MessageHub, wrapper: Any) -> None:
    """Have the norm of ``optim_wrapper.clip_grad`` logged as a tensor.

    mmengine turns it into a float, between backward pass and optimizer.
    """
    clip = getattr(wrapper, 'clip_func', None)
    if clip is None:
        return

    def clip_and_log(*args: Any, **kwargs: Any) -> None:
        norm = clip(*args, **kwargs)
        if norm is not None:
            hub.update_scalar(f'train/{wrapper.grad_name}', norm)

    wrapper.clip_func = clip_and_log


@HOOKS.register_module()
class FetchLogHook(Hook):
    """Bring the logged values of a step to the host in one transfer.

    mmengine's log reads them one by one, and each read waits for the device.
    On the CPU they become floats before any other hook. On a device they are
    fetched while the next step is queued, so that it never runs out of work;
    hooks get tensors then. The log, checkpoints and ``message_hub`` have the
    same numbers in both cases: whoever reads what is not there yet waits for
    it.

    Args:
        late (bool, optional): Whether values come one step later. Defaults to
            None: if the model is on CUDA.
    """
    priority = 'HIGHEST'

    def __init__(self, late: bool | None = None) -> None:
        self.late = late
        self.hub: LateMessageHub | None = None

    def before_train(self, runner: Runner) -> None:
        device = next(runner.model.parameters()).device.type
        if device == 'cuda' if self.late is None else self.late:
            self.hub = LateMessageHub.of(runner.message_hub, device)
            log_clipping_late(self.hub, runner.optim_wrapper)

    def before_train_iter(self,
                          runner: Runner,
                          batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Fetch what the step before has logged."""
        if self.hub is not None:
            self.hub.send()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Log the step before, or turn the tensors of this one to floats."""
        if self.hub is not None:
            self.hub.receive()
            return
        values = {
            name: value.detach().float().reshape(())
            for name, value in (outputs or {}).items()
            if isinstance(value, Tensor) and value.numel() == 1
        }
        if outputs and values:
            numbers = torch.stack(list(values.values())).tolist()
            outputs.update(zip(values, numbers))

    def after_train(self, runner: Runner) -> None:
        if self.hub is not None:
            self.hub.settle()
            self.hub.__class__ = MessageHub
            self.hub = None
