#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Train with any OpenMMLab config, on one device or as one process of many.

    python tools/train.py configs/sbam_mae_vitb_400e.py --data-root /imagenet
    tools/dist_train.sh configs/sbam_mae_vitl_800e.py 8 --data-root /imagenet
    python tools/train.py configs/small/mae_small.py --masker sbam noise=0.4

Stopped trainings go on with ``--resume``: the last checkpoint of the work
directory is found, and optimizer, schedules and epoch with it.
"""
import argparse

from sbam_mm.command_line import (
    SEED,
    add_teacher,
    keep_tracebacks_in,
    key_values,
    launch_parser,
    parse_launch_args,
    parses_first,
    tool,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = launch_parser(__doc__)
    parser.add_argument(
        '--masker',
        nargs='+',
        metavar=('NAME', 'KEY=VALUE'),
        help="a masker in place of the config's, with its options and what "
        'it needs, e.g. sbam noise=0.4; a wrong name lists all')
    add_teacher(parser, 'with --masker: ')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on with the last checkpoint of the work directory, or with '
        'the one given')
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the real over the config's batch "
        'size')
    parser.add_argument('--seed', type=SEED, help='random seed')
    parser.add_argument(
        '--exact',
        action='store_true',
        help='no fast path that changes the order of sums, TF32 included; '
        'the same as SBAM_MM_EXACT=1 in the environment')
    parser.add_argument(
        '--resume-anyway',
        action='store_true',
        help='with --resume: go on although seed, data, config or batch '
        'differ from those of the checkpoint')
    return parse_launch_args(parser)


import torch
from mmengine.config import Config

from sbam_mm.engine.config_checks import check_training
from sbam_mm.engine.data_files import check_data_files
from sbam_mm.engine.hooks.same_run import RESUME_ANYWAY
from sbam_mm.engine.launch import (
    build_runner,
    close_group,
    load_config,
    merge_options,
    only_run,
    prepare_launch,
    protect_run,
    require_file,
    set_work_dir,
)
from sbam_mm.engine.replace_masker import replace_masker
from sbam_mm.errors import UserError
from sbam_mm.run_switches import EXACT


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Lets the command line overrule the config."""
    if cfg.get('train_dataloader') is None:
        raise UserError(
            f"'{args.config}' has no train_dataloader, so there is nothing to "
            'train; use a training config.')

    set_work_dir(cfg, args)

    if args.exact or EXACT.is_on():
        # Workers and compiled code see it, too.
        EXACT.turn_on()
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        cfg.optim_wrapper.get('optimizer', {}).pop('fused', None)

    if args.resume not in (None, 'auto'):
        cfg.resume = True
        cfg.load_from = require_file(args.resume, 'checkpoint')

    # A config that already is mixed keeps its type and loss scale (bfloat16
    # needs none).
    if args.amp and cfg.optim_wrapper.get('type') != 'AmpOptimWrapper':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')

    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError(
                f"'{args.config}' has no auto_scale_lr.base_batch_size, which "
                '--auto-scale-lr needs; add auto_scale_lr = '
                'dict(base_batch_size=...) or leave the option out.')
        cfg.auto_scale_lr.enable = True

    if args.resume_anyway:
        RESUME_ANYWAY.turn_on()

    if args.seed is not None:
        cfg.randomness = dict(cfg.get('randomness') or {}, seed=args.seed)


def read_training(args: argparse.Namespace) -> Config:
    """The config of the training, with what the command line changes."""
    cfg = load_config(args.config, args.data_root)
    if args.masker:
        name, *options = args.masker
        replace_masker(cfg, name, key_values(options, '--masker'),
                       args.teacher)
    elif args.teacher:
        raise UserError('--teacher is asked by a masker; name one with '
                          '--masker.')
    merge_options(cfg, args.cfg_options or {}, args.config)
    merge_args(cfg, args)
    return cfg


def prepare(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """The config of the training, and what was changed to start it."""
    cfg = read_training(args)
    keep_tracebacks_in(cfg.work_dir)
    check_training(cfg)
    check_data_files(cfg, 'train', 'val')
    return cfg, prepare_launch(cfg, args.launcher)


@tool
def main() -> None:
    args = parse_args()
    cfg, notes = prepare(args)
    with only_run(cfg.work_dir):
        # Only now: another training may just have written a checkpoint.
        notes += protect_run(cfg, search=args.resume == 'auto')
        build_runner(cfg, notes).train()
    close_group()


if __name__ == '__main__':
    main()
