# Copyright (c) OpenMMLab. All rights reserved.
"""A look at a model amid its training, which goes on as without it."""
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sbam_mm.layers.compiled import plain_layers


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then every module has its own mode back.

    ``model.train()`` would not do: it also switches on what was frozen.
    Compiled layers run as they were written meanwhile, or each size of an
    evaluation's batches would be one more to compile for.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with plain_layers(model):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def unchanged_random_state() -> Iterator[None]:
    """Put Python's, NumPy's and torch's generators back afterwards."""
    python, array = random.getstate(), np.random.get_state()
    gpu = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(gpu):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
