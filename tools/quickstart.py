#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Pre-train the same small ViT with random masking and with SBAM, and compare.

    make quickstart
    make quickstart ARGS="--data /path/to/folder --epochs 8"

Real images, the same budget for both, about ten minutes on two CPU cores.
Writes work_dirs/quickstart/report.html and results.json. A second call reuses
finished runs and goes on with an interrupted one.
"""
import argparse
import os
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from math import ceil
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    keep_tracebacks_in,
    parses_first,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        '--data',
        default=os.environ.get('DATA_ROOT'),
        help='folder with train/<class>/ and test/<class>/ (default: the '
        'environment variable DATA_ROOT, an earlier download, CIFAR-10, '
        'Fashion-MNIST)')
    parser.add_argument(
        '--epochs', type=whole(1), default=3, help='per run (default: 3)')
    parser.add_argument(
        '--seed', type=SEED, default=0, help='of both runs (default: 0)')
    parser.add_argument(
        '--num-train',
        type=whole(1),
        help='use this many training images, drawn by seed (default: all)')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/quickstart',
        help='where everything goes (default: work_dirs/quickstart)')
    return parser.parse_args()


import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from torch import nn
from torch.utils.data import Dataset

from sbam_mm.config_files import read_config
from sbam_mm.datasets import ImageSource, find_image_source
from sbam_mm.engine.last_checkpoint import AllDamaged
from sbam_mm.engine.launch import only_run, protect_run
from sbam_mm.engine.run_log import read_scalars, training_summary
from sbam_mm.engine.schedule import set_epochs
from sbam_mm.evaluation import (
    PROTOCOL,
    extract_features,
    knn_top1,
    linear_probe,
)
from sbam_mm.files import read_json, write_json
from sbam_mm.registry import DATASETS, build_part
from sbam_mm.visualization import (
    Diagrams,
    RunResult,
    build_report,
    center_crop,
    mask_images,
    mask_table,
    note_on_pixels,
    photographs,
    ratio_histogram,
    training_sections,
    with_channels,
)

ROOT = Path(__file__).resolve().parents[1]
RUNS = {
    'random': ('Random masking', 'configs/small/mae_small.py'),
    'sbam': ('SBAM, per-image ratio', 'configs/small/sbam_small.py'),
}
# Grey images are trained on as such: one channel, the mean of the config's.
GREY = {
    'model.data_preprocessor': dict(
        _delete_=True, type='sbam_mm.SelfSupDataPreprocessor', mean=[120.7],
        std=[63.9]),
    'model.backbone.in_channels': 1,
    'model.neck.in_channels': 1,
    'train_dataloader.dataset.channels': 1,
}
METRICS = dict(knn='kNN top-1', linear='linear top-1')
# How many images the final judgement uses, and its number of neighbours.
NUM_BANK, NUM_QUERY, K = 10000, 5000, 20


def run_config(name: str, source: ImageSource,
               args: argparse.Namespace) -> Config:
    """The published config of one run, with this budget and these images."""
    title, path = RUNS[name]
    os.environ['DATA_ROOT'] = source.root
    with redirect_stdout(StringIO()):  # mmengine tells of the variable
        cfg = read_config(ROOT / path)
    cfg.randomness.seed = args.seed
    cfg.train_dataloader.dataset.data_prefix = source.train_prefix
    if args.num_train:
        cfg.train_dataloader.dataset.indices = subset(
            source.num_train, args.num_train)
    knn = cfg.custom_hooks[-1]
    knn.bank.data_prefix = source.train_prefix
    knn.query.data_prefix = source.test_prefix
    knn.num_train = min(knn.num_train, source.num_train)
    knn.num_test = min(knn.num_test, source.num_test)
    if source.channels == 1:
        cfg.merge_from_dict(GREY)
    # A checkpoint for each of the first steps of the report's slider.
    cfg.default_hooks.checkpoint.milestones = min(args.epochs, 8)
    cfg.custom_hooks.append(
        dict(type='sbam_mm.ProgressBarHook', title=title))
    set_epochs(
        cfg, args.epochs,
        ceil((args.num_train or source.num_train) /
             cfg.train_dataloader.batch_size))
    # The folder names the budget, so that a run is reused only for its own.
    budget = f'{source.name}-{args.num_train or source.num_train}images'
    budget += '-grey' if source.channels == 1 else ''
    cfg.work_dir = str(
        Path(args.work_dir) /
        f'{budget}-{args.epochs}epochs-seed{args.seed}' / name)
    cfg.experiment_name = f'quickstart-{name}'
    return cfg


def subset(total: int, wanted: int) -> list[int]:
    """The same random choice of images in every call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(total, generator=generator)[:wanted].tolist()


def quiet_runner(cfg: Config) -> Runner:
    """A runner whose messages go to its log file only."""
    # mmengine's logger keeps the stream that it finds when it is made.
    with redirect_stdout(StringIO()):
        return Runner.from_cfg(cfg)


def pretrain(cfg: Config, console: Console) -> nn.Module:
    """Train, go on with an interrupted run, or take a finished one."""
    finished = Path(cfg.work_dir) / f'epoch_{cfg.train_cfg.max_epochs}.pth'
    with only_run(cfg.work_dir):
        try:
            notes = protect_run(cfg, search=True)
        except AllDamaged as error:
            notes = [f'beginning anew: {error}']
        for note in notes:
            console.print(f'  {escape(note)}')
        if cfg.load_from == str(finished):
            console.print(f'  already trained: {escape(cfg.load_from)}')
            runner = quiet_runner(cfg)
            with redirect_stdout(StringIO()):  # mmengine prints the path
                runner.load_checkpoint(cfg.load_from)
            return runner.model.eval()
        if cfg.resume:
            console.print('  going on with an interrupted run')
        runner = quiet_runner(cfg)
        runner.train()
        return runner.model.eval()


def training_scalars(cfg: Config) -> dict[str, float]:
    """Speed of a run, and visible tokens in its last epoch, from its log."""
    summary = training_summary(
        read_scalars(cfg.work_dir), cfg.train_dataloader.batch_size)
    return {key: summary[key]
            for key in ('visible_tokens', 'images_per_second')}


def labelled(cfg: Config, prefix: str, total: int, wanted: int):
    """A labelled data set without augmentation."""
    return DATASETS.build(
        dict(
            cfg.custom_hooks[-2].bank,
            data_prefix=prefix,
            channels=cfg.train_dataloader.dataset.get('channels', 3),
            cache=True,
            indices=subset(total, min(total, wanted))))


def judge(model: nn.Module, feature: str, preprocessor: nn.Module | None,
          train: Dataset, test: Dataset) -> dict[str, float]:
    """kNN and linear-probe accuracy of frozen features, in per cent."""
    train_set = extract_features(model, train, feature, preprocessor)
    test_set = extract_features(model, test, feature, preprocessor)
    knn = knn_top1(*train_set, *test_set, k=[min(K, len(train))])
    scores = dict(knn=next(iter(knn.values())))
    if feature != 'pixels':
        scores['linear'] = linear_probe(*train_set, *test_set)
    return scores


@tool
def main() -> None:
    args = parse_args()
    keep_tracebacks_in(args.work_dir)
    console = Console()
    started = time.monotonic()
    console.rule('sbam_mm quickstart')
    console.print(
        f'[1/4] Images for two runs of {args.epochs} epochs on '
        f'{os.cpu_count()} CPU cores'
        f'{" and a GPU" if torch.cuda.is_available() else ""}')
    source = find_image_source(
        args.data, log=lambda text: console.print(f'  {escape(text)}'))

    configs = {name: run_config(name, source, args) for name in RUNS}
    results_path = Path(configs['sbam'].work_dir).parent / 'results.json'
    results = read_json(results_path) if results_path.exists() else {}
    models = {}
    for step, (name, cfg) in enumerate(configs.items(), start=2):
        console.print(f'[{step}/4] {RUNS[name][0]}')
        models[name] = pretrain(cfg, console)

    console.print('[4/4] Judging frozen features (kNN, linear probe)')
    untrained = quiet_runner(configs['random']).model
    torch.manual_seed(args.seed)
    untrained.init_weights()
    as_stored = build_part(
        dict(type='sbam_mm.SelfSupDataPreprocessor',
             mean=[0.] * source.channels, std=[255.] * source.channels))
    subjects = dict(
        pixels=('Raw pixels', untrained, 'pixels', as_stored),
        normalised=('Normalised pixels', untrained, 'pixels', None),
        untrained=('Random-init features', untrained, 'avg', None),
        random=(RUNS['random'][0], models['random'], 'avg', None),
        sbam=(RUNS['sbam'][0], models['sbam'], 'avg', None))
    train = labelled(configs['random'], source.train_prefix,
                     source.num_train, NUM_BANK)
    test = labelled(configs['random'], source.test_prefix, source.num_test,
                    NUM_QUERY)
    for name, (label, *subject) in subjects.items():
        if name in results:
            continue
        console.print(f'  {label}')
        results[name] = judge(*subject, train, test)
        if name in configs:
            results[name].update(training_scalars(configs[name]))
        write_json(results_path, results)

    rows = {
        name: RunResult(
            name,
            subject[0],
            metrics={
                header: results[name].get(key)
                for key, header in METRICS.items()
            },
            images_per_second=results[name].get('images_per_second'),
            visible_tokens=results[name].get('visible_tokens'),
            config=configs[name].pretty_text if name in configs else None,
            work_dir=configs[name].work_dir if name in configs else None)
        for name, subject in subjects.items()
    }
    floors = [rows[name] for name in rows if name not in configs]
    note = note_on_pixels([rows[name] for name in configs],
                          [rows['pixels'], rows['normalised']],
                          rows['untrained'], METRICS['knn'])
    report = Path(args.work_dir) / 'report.html'
    build_report(
        report,
        runs=[rows[name] for name in configs],
        floors=floors,
        notes=[note] * bool(note),
        figures=figures(configs, models, test, source.channels, floors),
        provenance=dict(
            Images=source.provenance,
            Budget=f'{args.epochs} epochs of '
            f'{args.num_train or source.num_train} images each, seed '
            f'{args.seed}',
            Judged=f'kNN with k = {K} and {PROTOCOL.format(c=0.1)} '
            f'{min(NUM_BANK, source.num_train)} training and '
            f'{min(NUM_QUERY, source.num_test)} test images; features are '
            'the mean of the patch tokens.',
            Time=f'{time.monotonic() - started:.0f} s in this call',
            command=f'python tools/quickstart.py {" ".join(sys.argv[1:])}'))
    console.print(table(rows.values()))
    console.print('One seed and a small model: a demonstration, not evidence.')
    console.print(f'Images: {escape(source.provenance)}')
    console.print(f'Report: {escape(str(report))}')


def figures(configs: dict, models: dict, test: Dataset, channels: int,
            floors: list[RunResult]) -> list[tuple]:
    """Curves, pictures over time, masks and ratios, with their captions."""
    labels = {name: RUNS[name][0] for name in configs}
    large = {
        name: center_crop(with_channels(image, channels), 224)
        for name, image in photographs().items()
    }
    # As the models see them, RGB or grey uint8 (H, W, C).
    images = [
        test[i]['inputs'].permute(1, 2, 0).numpy()[..., ::-1].copy()
        for i in range(min(400, len(test)))
    ]
    ratios = {
        labels[name]: mask_images(model, images).ratio.tolist()
        for name, model in models.items()
    }
    return [
        *training_sections(
            {labels[name]: cfg.work_dir for name, cfg in configs.items()},
            floors={floor.label: floor.metrics[METRICS['knn']]
                    for floor in floors}),
        ('Masks on photographs', 'Both maskers with the same draws, salience '
         'from the trained patch embedding (the square root is shown). The '
         'model sees 32 x 32 pixels.',
         mask_table(models['sbam'], {
             labels[name]: model.masker for name, model in models.items()
         }, large, input_size=(32, 32))),
        ('Ratios', f'Masking ratio of {len(images)} test images.',
         Diagrams([ratio_histogram(ratios)])),
    ]


def table(rows: Iterable[RunResult]) -> Table:
    """The small table at the end; a dash where a column has no meaning."""
    headers = (*METRICS.values(), 'visible tokens / image', 'images/s')
    out = Table('masking', *(Column(h, justify='right') for h in headers))
    for row in rows:
        cells = (*row.metrics.values(), row.visible_tokens,
                 row.images_per_second)
        out.add_row(row.label,
                    *('-' if c is None else f'{c:.1f}' for c in cells))
    return out


if __name__ == '__main__':
    main()
