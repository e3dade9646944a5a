# Copyright (c) OpenMMLab. All rights reserved.
"""Compile the transformer layers of a training, from its config."""
import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from mmengine._strategy import FSDPStrategy
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.errors import UserError
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.registry import HOOKS
from sbam_mm.run_switches import is_exact


@HOOKS.register_module()
class CompileLayersHook(Hook):
    """Compile the model's transformer layers before the first step.

    See :func:`sbam_mm.layers.compiled.compile_layers`: one graph per kind of
    layer, also for packed sequences, whose length changes in every step, and
    with stochastic depth, whose rate differs between layers.
    (mmengine's own ``compile`` compiles the whole step, with what depends on
    the masks.) Works in one process and in DDP, with ``with_cp`` and with
    every encoder made of mmpretrain's layers; parameter names stay. Losses
    and gradients are the plain ones within float32's rounding;
    ``tools/train.py --exact`` leaves the layers as they are.

    Args:
        **options: Of ``torch.compile``, such as ``mode``. Defaults to none:
            its default backend, which needs a C++ compiler.

    Raises:
        UserError: At the start of the training, with FSDP, without a
            compiler, or if the model has no such layers.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        if isinstance(getattr(runner, 'strategy', None), FSDPStrategy):
            raise UserError(
                'CompileLayersHook compiles layers that hold their '
                'parameters, and with FSDP they do not: leave the hook out, '
                'or train with DDP and model.backbone.with_cp=True instead '
                'of runner_type and strategy.')
        if is_exact():
            runner.logger.info(
                'Layers are not compiled, because exact results are asked '
                'for.')
            return
        if self.options.get('backend', 'inductor') == 'inductor':
            check_compiler()
        layers = compile_layers(runner.model, **self.options)
        if not layers:
            raise UserError(
                'CompileLayersHook found none of mmpretrain\'s transformer '
                f'layers in {type(runner.model).__name__}; remove the hook '
                'from custom_hooks.')
        runner.logger.info(
            f'{len(layers)} transformer layers are compiled during the first '
            'steps, which take longer.')


def check_compiler() -> None:
    """Stop where torch's default backend would fail in the first step."""
    # As torch and Triton look for them.
    named = [os.environ.get(name, '') for name in ('CXX', 'CC')]
    usual = ['g++', 'gcc', 'clang++', 'clang']
    found = any(shutil.which(name) for name in named + usual)
    header = Path(sysconfig.get_paths()['include'], 'Python.h')
    if not found or not header.exists():
        lacking = f'there is no {header}' if found else (
            'no compiler was found')
        raise UserError(
            'CompileLayersHook needs a C++ compiler and the headers of '
            f'Python, and {lacking}; install them (Debian: g++ and '
            'python3-dev) or remove the hook from custom_hooks.')
