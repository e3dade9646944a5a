#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Judge a pre-trained encoder: kNN, linear probes, fine-tuning, few labels.

    python tools/evaluate.py work_dirs/sbam/epoch_400.pth \
        --config configs/sbam_mae_vitb_400e.py --protocol knn,linear \
        --data data/imagenet --out work_dirs/sbam/evaluation
    python tools/evaluate.py mae_pretrain_vit_base.pth --arch base \
        --protocol knn,finetune --data data/imagenet100 --out out/mae \
        --set finetune.config=configs/finetune/vitb_100e.py finetune.epochs=50
    tools/dist_evaluate.sh work_dirs/sbam/epoch_400.pth 8 --protocol linear \
        --config configs/sbam_mae_vitb_400e.py --data data/imagenet \
        --out work_dirs/sbam/evaluation

The checkpoint is ours, mmpretrain's or an official one (MAE, DINO, DINOv2,
iBOT, DeiT, timm, Hugging Face), a file, or a folder with config.json. The data
are class folders (train/<class>/ and test/<class>/ or val/<class>/), Tiny
ImageNet, or CIFAR-10, CIFAR-100 or STL-10 as torchvision keeps them. Results
are in OUT/results.json and OUT/results.md; a second call goes on where the
first one stopped. What each protocol does: docs/evaluation.md.
"""
import argparse
import logging
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from sbam_mm.command_line import (
    SEED,
    ToolParser,
    add_launcher,
    add_trust,
    device,
    parse_launch_args,
    parses_first,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('checkpoint', help='file or folder of the encoder')
    parser.add_argument(
        '--protocol',
        default='knn',
        help='one or more of knn,linear,linear-sweep,finetune,fewshot '
        '(default: knn)')
    parser.add_argument('--data', required=True, help='folder of the images')
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument(
        '--config', help='config the checkpoint was trained with; without it '
        'a ViT is built from the next three, or as the config.json of a '
        'folder says')
    parser.add_argument(
        '--arch', help="default: what a folder's config.json says, or base")
    parser.add_argument(
        '--patch', type=whole(1), default=16, help='pixels (default: 16)')
    parser.add_argument(
        '--size',
        type=whole(1),
        help="pixels of an image's side (default: the config's, or 224)")
    parser.add_argument(
        '--branch',
        choices=['teacher', 'student'],
        default='teacher',
        help='which encoder of DINO and iBOT (default: teacher)')
    parser.add_argument(
        '--segments', nargs='+', metavar='FILE',
        help='tell the encoder the segments of the images, from one file of '
        'tools/generate_segments.py for the folder --data, or one for its '
        'training images and one for its test images')
    parser.add_argument(
        '--classes', help='only these classes: imagenet100, or a file with '
        'one folder name a line')
    parser.add_argument(
        '--set',
        nargs='+',
        action='extend',
        default=[],
        metavar='PROTOCOL.KEY=VALUE',
        help='change settings, e.g. linear.epochs=10 knn.k=20')
    parser.add_argument(
        '--batch-size',
        type=whole(1),
        default=256,
        help='images that the frozen encoder of a process takes at a time '
        '(default: 256)')
    parser.add_argument(
        '--workers', type=whole(0), default=4,
        help='processes that decode, of each process (default: 4)')
    parser.add_argument('--seed', type=SEED, default=0, help='default: 0')
    parser.add_argument(
        '--amp', action='store_true', help='the frozen encoder computes in '
        'bfloat16; is in the results')
    parser.add_argument(
        '--device', type=device,
        help='default: cuda where there is one, else cpu')
    parser.add_argument(
        '--force', action='store_true', help='run finished protocols again')
    add_trust(parser)
    add_launcher(parser)
    return parse_launch_args(parser)


import torch
from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process, master_only
from mmengine.logging import MMLogger
from mmengine.runner import set_random_seed

from sbam_mm.config_files import read_model_config
from sbam_mm.datasets.image_folder import image_endings
from sbam_mm.engine.launch import close_group, only_run, open_group
from sbam_mm.environment import collect_versions
from sbam_mm.errors import UserError
from sbam_mm.evaluation.encoders import (
    EncoderRecipe,
    encoder_recipe,
    file_hash,
    parts_in,
)
from sbam_mm.evaluation.features import FrozenEncoder
from sbam_mm.evaluation.finetune import finetune_recipe, pretraining_method
from sbam_mm.evaluation.image_sets import LARGE, ImageSet, read_image_set
from sbam_mm.evaluation.protocols import (
    PROTOCOLS,
    fine_tunes,
    settings_of,
    stored_settings,
)
from sbam_mm.evaluation.results import ResultStore
from sbam_mm.evaluation.run_protocols import RUN, Evaluation
from sbam_mm.hub import stated_model
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.segments.stored_segments import StoredSegments, segment_options

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# What only rank 0 computes, the others wait for: few labels of ImageNet.
TIMEOUT = timedelta(days=1)


@master_only
def say(text: str) -> None:
    print(text, flush=True)


def facts_of(args: argparse.Namespace, sha256: str, recipe: EncoderRecipe,
             images: ImageSet, segments: StoredSegments | None) -> dict:
    """What all results in a folder have in common."""
    data = dict(
        root=images.root,
        classes=len(images.classes),
        train=len(images.train),
        test=len(images.test),
        fingerprint=images.fingerprint)
    if segments is not None:
        data['segments'] = segments.fingerprint
    return dict(
        checkpoint=dict(
            name=Path(args.checkpoint).name, sha256=sha256,
            branch=args.branch),
        data=data,
        encoder=dict(recipe.backbone, normalise=recipe.normalise,
                     **recipe.decoding),
        seed=args.seed)


def tuning_config(args: argparse.Namespace, named: str | None, size: int,
                  embed_dims: int) -> str:
    """The config that fine-tunes; says why it is this one."""
    if named is not None:
        reason = 'as --set says'
    else:
        method = pretraining_method(args.checkpoint, args.config)
        named = str(CONFIGS / finetune_recipe(embed_dims, size, method))
        reason = (f'for images below {LARGE} pixels' if size < LARGE else
                  f'the checkpoint was pre-trained by {method}')
    say(f'fine-tuning by {named} ({reason})')
    return named


def run(args: argparse.Namespace) -> list[Path]:
    """From a checkpoint to its numbers; returns the files of the results."""
    # The cheap checks come first: nothing is written before they pass.
    names = list(dict.fromkeys(args.protocol.split(',')))
    settings = settings_of(names, args.set)
    tuning = settings.get('finetune', PROTOCOLS['finetune'])
    stored = {name: stored_settings(settings[name], tuning, args.amp)
              for name in names}

    # The encoder, the images, and the segments that it may be told.
    sha256 = file_hash(args.checkpoint)
    stated = None if args.config or args.arch else stated_model(
        args.checkpoint)
    recipe = encoder_recipe(
        Config(dict(model=stated)) if stated else args.config,
        args.arch or 'base', args.patch, args.size, bool(args.segments))
    images = read_image_set(args.data, args.classes,
                            image_endings(**recipe.decoding))
    set_random_seed(args.seed)
    if args.config is None:
        recipe.backbone.update(parts_in(args.checkpoint, args.branch))
    backbone: Any = recipe.build()
    segments = None
    if args.segments:
        if any(map(fine_tunes, settings.values())):
            raise UserError(
                '--segments is for protocols with a frozen encoder, and '
                'fine-tuning trains one that is told none; leave finetune '
                'out, and set fewshot.finetune=False.')
        segments = StoredSegments(
            args.segments, images, backbone.patch_resolution[0],
            segment_options(read_model_config(args.config)))
    report = load_encoder(backbone, args.checkpoint, branch=args.branch)

    # What is left to do.
    facts = facts_of(args, sha256, recipe, images, segments)
    store = ResultStore(args.out, facts)
    todo = [name for name in names
            if args.force or not store.has(name, stored[name])]
    say(f'{args.checkpoint}: {len(report.matched)} parameters loaded; '
        f'{images.root}: {len(images.train)} + {len(images.test)} images, '
        f'{len(images.classes)} classes')
    for name in names:
        if name not in todo:
            say(f'{name}: finished before, skipped (--force runs it again)')

    # How features are made, and from them the numbers of each protocol.
    encoder = FrozenEncoder(
        backbone, recipe.preprocessor(),
        args.device or ('cuda' if torch.cuda.is_available() else 'cpu'),
        args.batch_size, args.workers, args.amp, guided=segments is not None)
    evaluation = Evaluation(
        recipe, encoder, images, args.checkpoint, sha256, args.branch,
        Path(args.out), args.seed, args.force, args.launcher, segments,
        tuning)
    if any(fine_tunes(settings[name]) for name in todo):
        evaluation.tuning_config = tuning_config(
            args, tuning.config, recipe.size, encoder.embed_dims)
    versions = dict(collect_versions(), processes=str(get_world_size()))
    with only_run(args.out):
        # As another evaluation has left it meanwhile.
        store = ResultStore(args.out, facts)
        for name in todo:
            set_random_seed(args.seed)
            start = time.monotonic()
            say(f'{name} ...')
            found = RUN[name](evaluation, settings[name])
            asked = getattr(settings[name], 'batch', None)
            if asked and found.get('batch', asked) != asked:
                say(f'{name}: batches of {found["batch"]} images in place of '
                    f'{asked}, as there are few')
            if is_main_process():
                store.add(name, stored[name], found, versions,
                          time.monotonic() - start)
    say(f'\n{store.page()}')
    return [store.path, store.path.with_suffix('.md')]


@tool
def main() -> None:
    args = parse_args()
    MMLogger.get_instance('evaluate').setLevel(logging.WARNING)
    # So a launcher ends a process when another one has failed; as an
    # exception it lets go of half-written files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    open_group(args.launcher, TIMEOUT)
    written = run(args)
    say(f'Written: {", ".join(map(str, written))}')
    close_group()


if __name__ == '__main__':
    main()
