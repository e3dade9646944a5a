#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""How fast the trainings of a study are, in turns: images per second.

    python tools/benchmarks/study_steps.py \
        configs/studies/small/maskers_stl10.py --data-root data/stl10 \
        --work-dir work_dirs/stl10 --out docs/benchmarks/maskers_stl10_cpu

A study says how long its cells took, but other programs may have had the
machine. Here a training of every arm is begun as `tools/train.py` begins it,
from the arm's last checkpoint in --work-dir and in its last epoch, where no
masker is in its warm-up, and steps of all of them (images read and cropped,
forward, backward, optimizer, hooks) take turns. What a hook does once in many
epochs, such as AM's maps, comes before and is not timed.
Writes OUT.json and OUT.md.
"""
import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, parses_first, tool, whole


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('study', help='study file, of configs/studies')
    parser.add_argument('--data-root', help='folder of its data set')
    parser.add_argument(
        '--work-dir', required=True, help='where the study was run')
    parser.add_argument('--rounds', type=whole(1), default=11)
    parser.add_argument(
        '--steps', type=whole(1), default=5, help='of each in a round')
    parser.add_argument('--out', default='work_dirs/benchmarks/study_steps')
    return parser.parse_args()


import paired
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop

from sbam_mm.engine.hooks import AttentionMapHook
from sbam_mm.engine.launch import build_runner, prepare_launch
from sbam_mm.errors import UserError
from sbam_mm.studies import read_study
from sbam_mm.studies.cells import Folder

# They measure and make no training.
MEASURING = ('sbam_mm.KNNHook', 'sbam_mm.MaskMetricsHook')


@LOOPS.register_module()
class StepByStep(EpochBasedTrainLoop):
    """A training in its last epoch, which goes on when it is called."""

    def run(self) -> None:
        self.runner.call_hook('before_train')
        for hook in self.runner.hooks:
            if isinstance(hook, AttentionMapHook):
                self._epoch = hook.interval - 1
                hook.after_train_epoch(self.runner)
        self._epoch = self._max_epochs - 1
        self._iter = self._epoch * len(self.dataloader)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.batches = self._batches()

    def _batches(self):
        while True:
            yield from enumerate(self.dataloader)

    def __call__(self) -> None:
        self.run_iter(*next(self.batches))


def begun(cfg: Config, checkpoint: Path, folder: Path) -> StepByStep:
    """A training of a study, in its last epoch."""
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks
                        if hook['type'] not in MEASURING]
    # The clock is of this process.
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.train_cfg = dict(
        type='StepByStep', max_epochs=cfg.train_cfg.max_epochs)
    cfg.update(work_dir=str(folder), experiment_name=folder.name,
               load_from=str(checkpoint), log_level='ERROR')
    runner = build_runner(cfg, prepare_launch(cfg, 'none'))
    runner.train()
    return runner.train_loop


def measure(args: argparse.Namespace) -> dict:
    study = read_study(args.study, args.data_root)
    cells = Folder(study, args.work_dir)
    seed = min(cell.seed for cell in study.cells)
    first = [cell for cell in study.cells if cell.seed == seed]
    missing = [str(cell) for cell in first
               if cells.status(cell) != 'finished']
    if missing:
        raise UserError(f'{args.work_dir} has no finished {missing[0]}; run '
                        'tools/study.py first.')
    with tempfile.TemporaryDirectory() as folder:
        loops = {}
        for number, cell in enumerate(first):
            checkpoint = cells.of(cell) / f'epoch_{cell.epochs}.pth'
            loops[', '.join(cell.labels.values())] = begun(
                cell.config, checkpoint, Path(folder, f'arm_{number}'))
        device = torch.device(get_device())
        times = paired.paired(
            {arm: lambda loop=loop: [loop() for _ in range(args.steps)]
             for arm, loop in loops.items()},
            args.rounds, device, warm_up=1)
        batch = {arm: loop.dataloader.batch_sampler.batch_size
                 for arm, loop in loops.items()}
    rates = {
        arm: paired.quartiles([batch[arm] * args.steps / t for t in spent])
        for arm, spent in times.items()
    }
    return dict(
        environment=paired.environment(device),
        study=study.name,
        steps=args.steps,
        rounds=args.rounds,
        batch_size=batch,
        images_per_second=rates,
        step=paired.ratios(times, next(iter(loops))),
        seconds=times)


def table(result: dict) -> str:
    first = next(iter(result['step']))
    lines = [
        f'# How fast the trainings of {result["study"]} are', '',
        f'Images per second of training steps, {result["steps"]} of each arm '
        'in turns in one process, and their time over that of the first arm: '
        f'median over {result["rounds"]} rounds [quartiles]. The process that '
        'trains reads the images, too, and weights are those at the end of '
        'the training.', '',
        paired.where(result['environment']), '',
        f'arm | images/s | step over {first}', '---|---|---'
    ]
    for arm, rate in result['images_per_second'].items():
        lines.append(f'{arm} | {rate[0]:.0f} [{rate[1]:.0f}, {rate[2]:.0f}] | '
                     f'{paired.Ratio(*result["step"][arm])}')
    return '\n'.join([*lines, ''])


@tool
def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
