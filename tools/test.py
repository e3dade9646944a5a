#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Evaluate a checkpoint with the test data and metrics of a config.

    python tools/test.py CONFIG CHECKPOINT --data-root /imagenet

The metrics are printed and written as JSON into the work directory.
"""
import argparse
import os
import sys

from mmengine.config import Config, DictAction

from sbam_mm.engine.launch import (
    LaunchError,
    build_runner,
    close_group,
    default_work_dir,
    load_config,
    prepare_launch,
    require_file,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Evaluate a checkpoint with any OpenMMLab config.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--work-dir',
        help='where the log and the metrics go (default: the work_dir of the '
        'config, or work_dirs/<config name>)')
    parser.add_argument(
        '--data-root',
        help='folder of the data set, for configs that read DATA_ROOT')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override values of the config')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started this process')
    # Passed by launchers older than torchrun; torchrun sets LOCAL_RANK.
    parser.add_argument(
        '--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank or 0))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Lets the command line overrule the config."""
    if cfg.get('test_dataloader') is None:
        raise LaunchError(
            f"'{args.config}' has no test_dataloader, so there is nothing to "
            'evaluate; use a config that has one, for a pre-trained model '
            'that of a benchmark.')
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = default_work_dir(args.config)
    cfg.load_from = require_file(args.checkpoint, 'checkpoint')
    # A training recipe that resumes by default would look for its own
    # checkpoint instead of the one named.
    cfg.resume = False


def main() -> None:
    args = parse_args()
    try:
        cfg = load_config(args.config, args.data_root, args.cfg_options)
        merge_args(cfg, args)
        notes = prepare_launch(cfg, args.launcher)
    except LaunchError as error:
        sys.exit(f'error: {error}')
    build_runner(cfg, notes).test()
    close_group()


if __name__ == '__main__':
    main()
