# Copyright (c) OpenMMLab. All rights reserved.
"""A checkpoint that does not fit stops the run."""
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.checkpoint import CheckpointLoader

from sbam_mm.engine.fsdp import unwrapped, whole_parameters
from sbam_mm.engine.last_checkpoint import last_checkpoint
from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import (
    check_keys,
    read_checkpoint,
    state_dict_of,
    weights_for,
)
from sbam_mm.models.position_tables import fit_tables, stored_grids
from sbam_mm.registry import HOOKS

SCHEME = 'sbam_mm://'


@CheckpointLoader.register_scheme(prefixes=SCHEME)
def load_from_safe_file(filename: str,
                        map_location: str | None = None) -> Any:
    """mmengine's loader for "sbam_mm://" and a local path.

    mmengine's own reads no safetensors, and where a file holds more than
    weights it unpickles all of it, code included. Weights stay on the CPU.
    """
    return read_checkpoint(filename[len(SCHEME):])


def only_evaluates(runner: Runner) -> bool:
    """Whether a runner tests or validates, and does not train."""
    train, val, test = (
        isinstance(getattr(runner, f'_{name}_loop', None), BaseLoop)
        for name in ('train', 'val', 'test'))
    return (val or test) and not train


@HOOKS.register_module()
class CheckpointKeysHook(Hook):
    """Refuse checkpoints whose keys do not match the model.

    mmengine loads with ``strict=False``: a file of another model is silently
    "loaded" and the run goes on from random weights. This hook looks at the
    keys before they are loaded.

    ``load_from`` may also be an official file of MAE, DINO, iBOT, timm or
    Hugging Face, safetensors included; see
    :func:`sbam_mm.models.checkpoint.load_weights`.

    Args:
        min_share (float): Share of the model's keys that a checkpoint given as
            ``load_from`` must have, in (0, 1]. A resumed run needs all of
            them, and so does a test or a validation alone.
    """

    # Before EMAHook, which moves keys of the checkpoint.
    priority = 'VERY_HIGH'

    def __init__(self, min_share: float = 0.5):
        if not 0 < min_share <= 1:
            raise UserError('min_share is a share of the keys in (0, 1], got '
                            f'{min_share}; 0.5 accepts an encoder alone.')
        self.min_share = min_share

    def before_run(self, runner: Runner) -> None:
        """Have local files and folders read by us, not by mmengine."""
        path = getattr(runner, '_load_from', None)
        if path is None and getattr(runner, '_resume', False):
            last = last_checkpoint(runner.work_dir)
            path = last.path
            if last.note:
                runner.logger.warning(last.note)
        if path and Path(path).exists():
            runner._load_from = SCHEME + str(path)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights, and rename them as the model names them."""
        model = unwrapped(runner.model)
        resumed = getattr(runner, '_resume', False)
        # None when the last checkpoint of work_dir is taken.
        path = str(getattr(runner, '_load_from', None) or '')
        path = path[len(SCHEME):] if path.startswith(SCHEME) else path
        # What is tested is to be what was trained, its head included.
        share = 1. if resumed or only_evaluates(runner) else self.min_share
        name = f'the checkpoint {path}' if path else 'the last checkpoint'
        with whole_parameters(runner.model):
            if resumed:
                state = state_dict_of(checkpoint, name)
            else:
                state = weights_for(model, checkpoint, share, name)
            fitted = fit_tables(model, state, stored_grids(checkpoint), name)
            if not resumed:
                state = checkpoint['state_dict'] = fitted
            elif any(fitted[key] is not state[key] for key in state):
                raise UserError(
                    f'{name} was made with images of another size; resume it '
                    'with the img_size it was trained with, or start from it '
                    'with load_from.')
            report = check_keys(model, state, share, name)
        runner.logger.info(f'Checkpoint: {report}.')
