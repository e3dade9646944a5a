#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Evaluate a checkpoint with the test data and metrics of a config.

    python tools/test.py CONFIG CHECKPOINT --data-root /imagenet

The metrics are printed and written as JSON into the work directory.
"""
import argparse

from sbam_mm.command_line import (
    keep_tracebacks_in,
    launch_parser,
    parse_launch_args,
    parses_first,
    tool,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = launch_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    return parse_launch_args(parser)


from mmengine.config import Config

from sbam_mm.engine.data_files import check_data_files
from sbam_mm.engine.launch import (
    build_runner,
    close_group,
    load_config,
    prepare_launch,
    require_file,
    set_work_dir,
)
from sbam_mm.errors import UserError


def merge_args(cfg: Config, args: argparse.Namespace) -> None:
    """Lets the command line overrule the config."""
    if cfg.get('test_dataloader') is None:
        raise UserError(
            f"'{args.config}' has no test_dataloader, so there is nothing to "
            'evaluate; use a config that has one, for a pre-trained model '
            'that of a benchmark.')
    set_work_dir(cfg, args)
    cfg.load_from = require_file(args.checkpoint, 'checkpoint')
    # A training recipe that resumes by default would look for its own
    # checkpoint instead of the one named.
    cfg.resume = False
    # Without it a file that lacks the head is "loaded" without a word.
    hooks = list(cfg.get('custom_hooks') or [])
    if not any('CheckpointKeysHook' in str(hook) for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='sbam_mm.CheckpointKeysHook')]


def prepare(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """The config of the evaluation, and what was changed in it."""
    cfg = load_config(args.config, args.data_root, args.cfg_options)
    merge_args(cfg, args)
    keep_tracebacks_in(cfg.work_dir)
    check_data_files(cfg, 'test')
    return cfg, prepare_launch(cfg, args.launcher)


@tool
def main() -> None:
    cfg, notes = prepare(parse_args())
    build_runner(cfg, notes).test()
    close_group()


if __name__ == '__main__':
    main()
