# Copyright (c) OpenMMLab. All rights reserved.
"""What ``tools/train.py`` and ``tools/test.py`` do before a Runner exists.

The functions serve any OpenMMLab config, and let recipes written for GPUs
start on a machine that has none.
"""
import argparse
import gc
import inspect
import os
import os.path as osp
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_main_process
from mmengine.hooks import LoggerHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from sbam_mm.config_files import read_config
from sbam_mm.datasets.reading.tree import printable
from sbam_mm.errors import UserError

from .last_checkpoint import last_checkpoint
from .orphans import end_with_launcher
from .run_lock import RunLock
from .schedule import whole_steps


def protect_run(cfg: Config, search: bool = False) -> list[str]:
    """Protect a training against data loss and against mixing up runs.

    Checkpoints are written as :class:`sbam_mm.CheckpointHook` does, a run is
    compared with its checkpoint when it resumes, and ``resume`` without a
    ``load_from`` finds the newest whole one of ``work_dir``. Where there is
    none, the training begins.

    Args:
        cfg (Config): Of any OpenMMLab project, with ``work_dir``; changed in
            place.
        search (bool): Resume from ``work_dir`` if it has a checkpoint, even
            with a ``load_from``, which then only initialises a new run.

    Returns:
        list[str]: What was decided, a sentence each, for the log.
    """
    hooks = cfg.setdefault('default_hooks', {})
    saver = hooks.setdefault('checkpoint', dict(type='CheckpointHook'))
    if saver and saver['type'] in ('CheckpointHook',
                                   'mmengine.CheckpointHook'):
        saver['type'] = 'sbam_mm.CheckpointHook'
    hooks.setdefault('same_run', dict(type='sbam_mm.SameRunHook'))
    if not (search or (cfg.get('resume') and not cfg.get('load_from'))):
        return []
    place = Path(cfg.work_dir)
    if saver and saver.get('out_dir'):  # as mmengine's hook does
        place = Path(saver['out_dir']) / place.name
    last = last_checkpoint(place)
    if last.path is None:
        cfg.resume = False
        return [f'No checkpoint to resume from in {place}: the training '
                'begins.']
    cfg.resume, cfg.load_from = True, last.path
    return [last.note] if last.note else []


@contextmanager
def only_run(folder: str) -> Iterator[None]:
    """Lock a folder against other runs; the first process holds the lock."""
    if launched_rank() != 0:
        yield
        return
    with RunLock(Path(folder) / 'in_use.lock') as lock:
        if lock.note:
            print(lock.note, flush=True)
        yield


def launched_rank() -> int:
    """The rank of this process, as its launcher tells it."""
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def set_work_dir(cfg: Config, args: argparse.Namespace) -> None:
    """The command line's work_dir, else the config's, else one by name."""
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = default_work_dir(
            args.config, getattr(args, 'masker', None) or ())


def load_config(path: str,
                data_root: str | None = None,
                cfg_options: dict | None = None) -> Config:
    """Read a config, with the data root and the options of a command line.

    The folder of the data set reaches the config through the environment
    variable ``DATA_ROOT``, which must be set before the config is parsed.
    """
    if data_root is not None:
        os.environ['DATA_ROOT'] = osp.abspath(osp.expanduser(data_root))
    root = os.environ.get('DATA_ROOT', '')
    try:
        root.encode()
    except UnicodeEncodeError as error:
        # Files in it may have any name, but a config is text.
        raise UserError(
            f'The name of the data folder {printable(root)} is no UTF-8, '
            'which a config cannot hold; rename it, or give a symbolic link '
            'to it.') from error
    cfg = read_config(path)
    if data_root is not None and 'DATA_ROOT' not in cfg.env_variables:
        raise UserError(
            f"'{path}' does not read DATA_ROOT, so --data-root has no effect "
            'on it; use --cfg-options train_dataloader.dataset.data_root='
            f'{data_root} instead.')
    merge_options(cfg, cfg_options or {}, path)
    return cfg


def merge_options(cfg: Config, cfg_options: dict, path: str) -> None:
    """Let the options of a command line override the config of a file."""
    check_names(cfg, cfg_options)
    try:
        cfg.merge_from_dict(cfg_options)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise UserError(
            f'--cfg-options {" ".join(cfg_options)} does not fit '
            f'{path} ({error}); look for the keys in the config.'
        ) from error


# What a config may have beside the options of the Runner.
OTHER_NAMES = ('auto_scale_lr', 'runner_type', 'strategy', 'compile',
               'model_wrapper_cfg', 'find_unused_parameters',
               'default_scope', 'custom_imports')


def check_names(cfg: Config, options: dict,
                what: str = '--cfg-options') -> None:
    """Reject options, by dotted name, that nothing would ever read."""
    known = [*cfg, *inspect.signature(Runner.__init__).parameters,
             *OTHER_NAMES]
    for option in options:
        name = option.split('.')[0]
        if name == 'custom_imports':
            raise UserError(
                'custom_imports are imported while the config is read, which '
                'is before --cfg-options; write them into the config.')
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f'did you mean {near[0]!r}?' if near else 'correct it.'
            raise UserError(f'{what} {option} sets {name!r}, which the '
                            f'config has not; {hint}')


def default_work_dir(config: str, masker: Sequence[str] = ()) -> str:
    """``work_dirs/<config name>``, followed by the words of ``--masker``.

    Example:
        >>> default_work_dir('configs/mae.py', ['sbam', 'noise=0.4'])
        'work_dirs/mae_sbam_noise=0.4'
    """
    words = [re.sub(r'[^\w.=,+-]', '_', word) for word in masker]
    name = osp.splitext(osp.basename(config))[0]
    return osp.join('work_dirs', '_'.join([name, *words]))


def require_file(path: str, what: str) -> str:
    """Return ``path`` if it exists; URLs are left to mmengine."""
    if '://' not in path and not osp.isfile(path):
        raise UserError(f"The {what} '{path}' does not exist; check the "
                          'path, which is relative to the current directory.')
    return path


def prepare_launch(cfg: Config, launcher: str) -> list[str]:
    """Set up what the launcher needs, also on a machine without GPUs.

    mmengine starts its processes for CUDA. Without it, the process group is
    opened here with gloo; the Runner finds it open and leaves it as it is.
    Returns what was changed in ``cfg``, a sentence each, for the log.
    """
    cfg.launcher = launcher
    if launcher == 'pytorch':
        end_with_launcher()
    on_cpu = get_device() == 'cpu'
    notes = whole_steps(cfg)
    if launcher != 'none':
        # As mmengine's default, but gradients live in the buckets that
        # processes exchange, and are not copied there and back.
        cfg.model_wrapper_cfg = cfg.get('model_wrapper_cfg') or dict(
            type='MMDistributedDataParallel',
            find_unused_parameters=cfg.get('find_unused_parameters', False),
            broadcast_buffers=False,
            gradient_as_bucket_view=True)
    if launcher != 'none' and on_cpu:
        open_cpu_group(launcher)
        # DistributedDataParallel takes no device ids on CPU, and mmengine's
        # default passes one.
        cfg.model_wrapper_cfg.device_ids = None
        notes.append(
            f'No accelerator was found, so {dist.get_world_size()} CPU '
            'processes train together through gloo.')
    elif launcher == 'pytorch':
        check_gpu_count()
    if get_device() in ('cpu', 'mps') and replace_amp(cfg):
        notes.append(
            'Mixed precision needs an accelerator and none was found, so '
            'AmpOptimWrapper was replaced by OptimWrapper and training runs '
            'in float32.')
    return notes


def open_group(launcher: str, patience: timedelta) -> None:
    """Open the process group of a tool that is more than one Runner.

    ``patience`` is how long a process waits for another; the launcher 'none'
    has no group.
    """
    if launcher == 'none':
        if 'TORCHELASTIC_RUN_ID' in os.environ and (
                os.environ.get('WORLD_SIZE', '1') != '1'):
            raise UserError(
                'torchrun started several processes that know nothing of '
                'each other; add --launcher pytorch.')
        return
    if launcher == 'pytorch':
        end_with_launcher()
    if get_device() == 'cpu':
        open_cpu_group(launcher, patience)
        return
    if launcher == 'pytorch':
        check_torchrun()
        check_gpu_count()
    # mmengine would have every loader start its workers anew (spawn).
    torch.multiprocessing.set_start_method('fork', force=True)
    init_dist(launcher, timeout=patience.total_seconds())


def open_cpu_group(launcher: str, patience: timedelta | None = None) -> None:
    """Open the gloo process group that torchrun described."""
    if launcher != 'pytorch':
        raise UserError(
            f'--launcher {launcher} needs GPUs and none was found; CPU '
            'processes are started as in tools/dist_train.sh.')
    check_torchrun()
    if not dist.is_initialized():
        dist.init_process_group('gloo', timeout=patience)


def check_torchrun() -> None:
    """Stop if torchrun, the pytorch launcher, has not started this process."""
    if 'RANK' not in os.environ:
        raise UserError(
            '--launcher pytorch expects to be started by torchrun; use '
            'tools/dist_train.sh, or the script of that kind for this tool.')


def check_gpu_count() -> None:
    """Stop if there are more processes than GPUs.

    They would fail much later, in NCCL, without a reason.
    """
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise UserError(
            f'{processes} processes were asked for on a machine with {gpus} '
            f'GPUs; start at most {gpus}.')


def replace_amp(cfg: Config) -> bool:
    """Make an AmpOptimWrapper an OptimWrapper; returns whether it was one.

    mmengine's AmpOptimWrapper asserts CUDA even for bfloat16.
    """
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None or 'AmpOptimWrapper' not in str(wrapper.get('type')):
        return False
    wrapper['type'] = 'OptimWrapper'
    for key in ('dtype', 'loss_scale', 'use_fsdp'):
        wrapper.pop(key, None)
    return True


def build_runner(cfg: Config, notes: list[str]) -> Runner:
    """Build the Runner and write ``notes`` to its log."""
    if 'runner_type' in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
    if not is_main_process():
        leave_test_metrics_to_main(runner)
    for note in notes:
        runner.logger.info(note)
    return runner


def leave_test_metrics_to_main(runner: Runner) -> None:
    """Keep this process from writing the metrics of a test.

    Every process of mmengine's writes them into the same file at the same
    time, which may leave the end of a longer text behind a shorter one.
    """
    for hook in runner.hooks:
        if isinstance(hook, LoggerHook):
            hook.after_test_epoch = lambda *args, **kwargs: None


def close_group() -> None:
    """Close the process group, once nothing in use belongs to it.

    A Runner is part of reference cycles and holds the group through its
    DistributedDataParallel. Were both still there when the interpreter ends,
    a thread of gloo could release its last tensor too late and abort the
    process: "terminate called without an active exception"
    (github.com/pytorch/pytorch/issues/190489).
    """
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
        gc.collect()
