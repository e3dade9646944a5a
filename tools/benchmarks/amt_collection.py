#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""What AMT's maps cost, as a share of the 40 epochs between two collections.

    python tools/benchmarks/amt_collection.py --data photographs --batch 8

An epoch of training and a collection by AttentionMapHook over the same files
take turns, as configs/baselines/amt_mae_vitb_400e.py has them: both read and
decode in this process, the epoch crops and trains, the collection resizes,
asks the encoder and writes the maps. Without --data the photographs are
scikit-image's, saved at 500 x 375. Writes OUT.json and OUT.md.
"""
import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from step_options import WIDTHS, step_parser

from sbam_mm.command_line import parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = step_parser(__doc__, 'amt_collection', rounds=5)
    parser.add_argument('--data', help='folder of photographs')
    return parser.parse_args()


import paired
import torch
from input_pipeline import photographs
from mmengine.config import Config
from mmengine.runner import Runner
from steps import described, settings

from sbam_mm.engine.hooks import AttentionMapHook
from sbam_mm.engine.launch import replace_amp

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'baselines' / 'amt_mae_vitb_400e.py'


def config(args: argparse.Namespace, data: str, folder: str) -> Config:
    """The recipe on one process and these files."""
    cfg = Config.fromfile(CONFIG)
    size = dict(img_size=args.size, patch_size=args.patch)
    cfg.model.backbone.update(arch=args.arch, **size)
    cfg.model.neck.update(embed_dim=WIDTHS[args.arch], **size)
    cfg.model.head.patch_size = args.patch
    cfg.train_dataloader.update(
        batch_size=args.batch, num_workers=0, pin_memory=False)
    cfg.train_dataloader.dataset.update(
        data_root=data, data_prefix='', with_label=False)
    crop, _, load, _ = cfg.train_dataloader.dataset.pipeline
    crop.scale = args.size
    load.grid = (args.size // args.patch, ) * 2
    cfg.custom_hooks = [
        dict(
            type='sbam_mm.AttentionMapHook',
            interval=40,
            batch_size=args.batch)
    ]
    cfg.default_hooks.checkpoint = None
    cfg.work_dir = folder
    cfg.log_level = 'ERROR'
    if not args.amp:
        replace_amp(cfg)
    return cfg


class Trained:
    """A runner right before its first epoch, and what is timed of it."""

    def __init__(self, cfg: Config):
        self.runner = runner = Runner.from_cfg(cfg)
        self.hook, = (h for h in runner.hooks
                      if isinstance(h, AttentionMapHook))
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(
            runner.optim_wrapper)
        # The rate stays, and nothing else of a schedule costs anything.
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = 1e-6
        runner.model.init_weights()
        runner.model.train()
        self.hook.before_train(runner)
        # Maps of the whole interval, so that epochs mask by them.
        self.collect()

    def epoch(self) -> None:
        """Read, crop, look up the map, train."""
        for batch in self.runner.train_dataloader:
            self.runner.model.train_step(batch, self.runner.optim_wrapper)

    def collect(self) -> None:
        """What the hook does after every 40th epoch."""
        self.hook._collect(self.runner, 40)


def measure(args: argparse.Namespace) -> dict:
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        data = args.data
        if data is None:
            data = str(Path(folder) / 'photographs')
            Path(data).mkdir()
            photographs(Path(data))
        trained = Trained(config(args, data, f'{folder}/run'))
        steps = len(trained.runner.train_dataloader)
        images = len(trained.runner.train_dataloader.dataset)
        times = paired.paired(
            dict(epoch=trained.epoch, collection=trained.collect),
            args.rounds, device)
    # The loader drops the last images that fill no batch.
    times['epoch'] = [t * images / (steps * args.batch)
                      for t in times['epoch']]
    ratio = paired.ratios(times, 'epoch')['collection']
    return dict(
        settings(args),
        images=images,
        collection_over_epoch=ratio,
        share_of_interval=ratio.median / 40,
        seconds=times)


def table(result: dict) -> str:
    ratio = paired.Ratio(*result['collection_over_epoch'])
    return '\n'.join([
        '# AMT collects its maps', '',
        f'A collection over {result["images"]} photographs, reading and '
        'decoding included, over an epoch of training on them that reads '
        f'them, too: median over {result["rounds"]} rounds [quartiles]. It '
        'is made once in 40 epochs.', '',
        described(result).replace(', photographs', ''), '',
        'collection over an epoch | share of 40 epochs | target',
        '---|---|---',
        f'{ratio} | {100 * result["share_of_interval"]:.2f} % | 1.5 %', ''
    ])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
