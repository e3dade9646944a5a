# Copyright (c) OpenMMLab. All rights reserved.
"""What the benchmarks of training steps share: images, models, one step."""
import argparse
import logging
from collections.abc import Callable

import numpy as np
import paired
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from sbam_mm.masking import Masker, NoisyTopK, NoSalience, Share
from sbam_mm.registry import MODELS
from sbam_mm.visualization import photographs

# mmengine prints a paragraph for every parameter it initialises.
MMLogger.get_current_instance().setLevel(logging.WARNING)


def settings(args: argparse.Namespace) -> dict:
    """The environment and the options, for the result."""
    return dict(
        environment=paired.environment(torch.device(args.device)),
        arch=args.arch,
        image_size=args.size,
        patch_size=args.patch,
        batch_size=args.batch,
        amp=args.amp,
        rounds=args.rounds)


def described(result: dict) -> str:
    """The settings as a sentence or two."""
    where = result['environment']
    return (f'ViT-{result["arch"]}/{result["patch_size"]}, '
            f'{result["image_size"]} pixels, batch {result["batch_size"]}, '
            f'{"bfloat16" if result["amp"] else "float32"}, random weights, '
            f'photographs. {paired.where(where)}')


def crops(number: int, size: int) -> Tensor:
    """Normalised random crops of photographs, (B, 3, size, size)."""
    generator = np.random.default_rng(0)
    pictures = list(photographs().values())
    out = []
    for i in range(number):
        picture = pictures[i % len(pictures)]
        y, x = (generator.integers(side - size + 1)
                for side in picture.shape[:2])
        crop = picture[y:y + size, x:x + size]
        out.append(torch.from_numpy(crop.copy()).permute(2, 0, 1))
    return torch.stack(out).sub(120.).div(58.)


def mae_parts(args: argparse.Namespace) -> dict:
    """Encoder, decoder and head that the candidates share."""
    torch.manual_seed(0)
    size = dict(img_size=args.size, patch_size=args.patch)
    encoder = MODELS.get('sbam_mm.MaskedViT')(arch=args.arch, **size)
    encoder.init_weights()
    decoder = MODELS.get('sbam_mm.MAEDecoder')(
        embed_dim=encoder.embed_dims, **size)
    decoder.init_weights()
    return dict(
        backbone=encoder,
        neck=decoder,
        head=dict(type='sbam_mm.PixelHead', patch_size=args.patch))


class Step:
    """Forward, backward and optimizer step of one model on one batch."""

    def __init__(self,
                 model: nn.Module,
                 batch: Tensor,
                 optimizer: torch.optim.Optimizer,
                 amp: bool,
                 samples: list | None = None):
        self.model = model.to(batch.device).train()
        self.optimizer = optimizer
        self.batch, self.samples = batch, samples
        self.autocast = torch.autocast(batch.device.type, torch.bfloat16, amp)
        self.visible: Tensor = torch.zeros(())

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            out = self.model.loss(self.batch, self.samples)
        out['loss'].backward()
        self.optimizer.step()
        self.visible = out['visible_tokens']


class GivenCounts(nn.Module):
    """A ratio that tells every image how many tokens it keeps."""
    uniform = False
    ratio = 0.75

    def __init__(self, num_visible: Tensor):
        super().__init__()
        self.register_buffer('num_visible', num_visible)

    def forward(self, scores: Tensor, context: object = None) -> Share:
        share = 1 - self.num_visible / scores.shape[1]
        return Share(self.num_visible, share.float())


def random_with(num_visible: Tensor) -> Masker:
    """Random masking with given numbers of visible tokens, int64 (B,)."""
    return Masker(NoSalience(), GivenCounts(num_visible), NoisyTopK(noise=1.))


def steps_of(args: argparse.Namespace, maskers: dict[str, object],
             models: Callable | None = None) -> dict[str, Step]:
    """A step for every masker; models, images and optimizer are shared."""
    models = models or MODELS.get('sbam_mm.MAE')
    device = torch.device(args.device)
    parts = mae_parts(args)
    batch = crops(args.batch, args.size).to(device)
    built = {
        name: models(**parts, masker=masker).to(device)
        for name, masker in maskers.items()
    }
    learnt: list[nn.Parameter] = [
        p for p in next(iter(built.values())).parameters() if p.requires_grad
    ]
    # Weights stay as they are, and with them what is salient.
    optimizer = torch.optim.AdamW(learnt, lr=0., weight_decay=0.)
    return {
        name: Step(model, batch, optimizer, args.amp)
        for name, model in built.items()
    }
