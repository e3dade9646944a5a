# Copyright (c) OpenMMLab. All rights reserved.
"""The encoder of a checkpoint, whoever made it, without its masking."""
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.models import BEiTViT, VisionTransformer
from torch import nn

from sbam_mm.config_files import read_model_config
from sbam_mm.errors import UserError
from sbam_mm.models.backbones import MaskedViT
from sbam_mm.models.checkpoint import state_dict_of
from sbam_mm.models.checkpoint_formats import to_ours
from sbam_mm.registry import MODELS
from sbam_mm.safe_loading import read_checkpoint
from sbam_mm.weight_folders import weight_files

from .models import IMAGENET, quiet_building

# Pre-training encoders whose parameters are those of a plain one.
PLAIN = {
    'MaskedViT': VisionTransformer,
    'MAEViT': VisionTransformer,
    'MFFViT': VisionTransformer,
    'MILANViT': VisionTransformer,
    'MoCoV3ViT': VisionTransformer,
    'MaskedBEiT': BEiTViT,
}


@dataclass
class EncoderRecipe:
    """How to build an encoder and normalise its images.

    ``decoding`` has the ``channels`` and ``value_range`` of
    :class:`sbam_mm.datasets.ImageFolder`, where not the usual ones; ``size``
    is the side of the images in pixels.
    """
    backbone: dict[str, Any]
    normalise: dict[str, Any]
    decoding: dict[str, Any] = field(default_factory=dict)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        side = self.backbone.get('img_size', 224)
        self.size = int(side if isinstance(side, int) else side[0])

    def build(self) -> nn.Module:
        """The backbone with random weights; returns all tokens."""
        sides = self.backbone.get('img_size', 224)
        if 'BEiT' in self.backbone['type'] and sides not in (
                self.size, [self.size] * 2, (self.size, self.size)):
            raise UserError(
                f'the encoder has relative positions for images of {sides} '
                'pixels, and evaluation shows it squares; give one that was '
                'trained with square images.')
        with quiet_building():
            try:
                backbone = MODELS.build(dict(self.backbone))
            except (AssertionError, TypeError, KeyError) as error:
                raise UserError(
                    'the encoder cannot be built from '
                    f'{self.backbone} ({error}); correct --arch, or the '
                    'backbone of the config.') from error
            backbone.init_weights()
        return backbone

    def preprocessor(self) -> nn.Module:
        """What turns a batch of uint8 images into normalised RGB."""
        return MODELS.build(
            dict(type='sbam_mm.SelfSupDataPreprocessor', **self.normalise))


def parts_in(checkpoint: str, branch: str = 'teacher') -> dict[str, Any]:
    """Options of a ViT for parts that only some have, by their weights.

    Registers, a distillation token, layer scale and SwiGLU, where the names
    are those of a known format.

    Args:
        checkpoint (str): File or folder.
        branch (str): "teacher" or "student", where a file has both.
    """
    name = f'the checkpoint {checkpoint}'
    state = {
        key.removeprefix('backbone.'): value for key, value in to_ours(
            state_dict_of(read_checkpoint(checkpoint), name, branch),
            name).state.items()
    }
    found: dict[str, Any] = {}
    if 'register_tokens' in state:
        found.update(type='sbam_mm.RegisterViT',
                     num_registers=state['register_tokens'].shape[1])
    elif 'dist_token' in state:
        found['type'] = 'mmpretrain.DistilledVisionTransformer'
    if 'layers.0.attn.gamma1.weight' in state:
        found['layer_scale_init_value'] = 1e-5
    if 'layers.0.ffn.w12.weight' in state:
        found['layer_cfgs'] = dict(ffn_type='swiglu_fused')
    return found


def encoder_recipe(config: str | Path | Config | None = None,
              arch: str | dict = 'base',
              patch: int = 16,
              size: int | None = None,
              guided: bool = False) -> EncoderRecipe:
    """The encoder of a pre-training config, or one by its measures.

    Ours and mmpretrain's masked ViTs become a plain ``VisionTransformer``
    (``MaskedBEiT`` a ``BEiTViT``), which computes the same from all tokens;
    other backbones stay what they are.

    Args:
        config (str, Path or Config, optional): With ``model.backbone``.
            Defaults to None, a ViT as the next three say.
        arch (str or dict): As mmpretrain writes it.
        size (int, optional): Pixels of an image's side. Defaults to None:
            the config's, or 224.
        guided (bool): Keep the segment bias.

    Example:
        >>> encoder_recipe(arch='tiny', size=96).backbone['type']
        'mmpretrain.VisionTransformer'
    """
    decoding: dict[str, Any] = {}
    if config is None:
        backbone: dict[str, Any] = dict(
            type='MaskedViT', arch=arch, img_size=size or 224,
            patch_size=patch)
        normalise: dict[str, Any] = dict(IMAGENET)
    else:
        cfg = (config if isinstance(config, Config) else
               read_model_config(config))
        model: Any = cfg.get('model') or {}
        if 'type' not in (model.get('backbone') or {}):
            raise UserError(f'the config {cfg.filename} has no '
                            'model.backbone; give a pre-training config.')
        backbone = dict(model.backbone)
        if size:
            patch = backbone.get('patch_size', patch)
            backbone['img_size'] = size
        found = dict(cfg.get('data_preprocessor') or {}, **(
            model.get('data_preprocessor') or {}))
        normalise = dict(IMAGENET, **{
            key: found[key] for key in IMAGENET if key in found})
        decoding = config_decoding(cfg)
        channels = decoding.get('channels', 3)
        if len(normalise['mean']) not in (1, channels):
            raise UserError(
                f'the config {cfg.filename} is of images of {channels} '
                f'channels and has {len(normalise["mean"])} means; correct '
                'data_preprocessor.')
    if size and isinstance(patch, int) and size % patch:
        raise UserError(f'--size {size} is no multiple of the patch size '
                        f'{patch}; give {max(1, round(size / patch)) * patch}'
                        ' or another one.')
    return EncoderRecipe(
        (_guided if guided else _plain)(backbone), normalise, decoding)


def config_decoding(cfg: Mapping) -> dict[str, Any]:
    """``channels`` and ``value_range`` of a config's images, if not usual.

    Example:
        >>> config_decoding(dict(model=dict(backbone=dict(in_channels=4))))
        {'channels': 4}
    """
    found: dict[str, Any] = {}
    backbone = (cfg.get('model') or {}).get('backbone') or {}
    channels = backbone.get('in_channels', 3)
    if channels != 3:
        found['channels'] = channels
    dataset: Any = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    while dataset.get('dataset') or dataset.get('images'):
        dataset = dataset.get('dataset') or dataset.get('images')
    if dataset.get('value_range') is not None:
        found['value_range'] = [
            list(each) if isinstance(each, (list, tuple)) else each
            for each in dataset['value_range']
        ]
    return found


def _guided(backbone: dict[str, Any]) -> dict[str, Any]:
    name = str(backbone['type']).rsplit('.', 1)[-1]
    if name != 'MaskedViT' or backbone.get('segment_bias') is None:
        raise UserError(
            'segments are for an encoder that was trained with them; give '
            'the --config of a first phase, whose model.backbone is a '
            'MaskedViT with segment_bias, or leave --segments out.')
    kept = {key: value for key, value in backbone.items()
            if key not in ('masker', 'init_cfg', 'frozen_stages')}
    return dict(kept, type='sbam_mm.MaskedViT', out_type='raw',
                final_norm=True)


def _plain(backbone: dict[str, Any]) -> dict[str, Any]:
    name = backbone['type'].rsplit('.', 1)[-1]
    kind = PLAIN.get(name)
    if kind is None:
        for key in ('masker', 'init_cfg', 'frozen_stages'):
            backbone.pop(key, None)
        if name in ('VisionTransformer', 'BEiTViT', 'RegisterViT',
                    'DistilledVisionTransformer'):
            backbone.update(out_type='raw', final_norm=True)
        return backbone
    known = inspect.signature(kind.__init__).parameters
    options = {key: value for key, value in backbone.items() if key in known}
    for key in ('init_cfg', 'frozen_stages'):
        options.pop(key, None)
    arch = options.get('arch', 'base')
    if isinstance(arch, str):
        # The papers' names mean other widths to mmpretrain.
        options['arch'] = MaskedViT.arch_zoo.get(arch, arch)
    if kind is BEiTViT:
        options.update(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)
        options.setdefault('layer_scale_init_value', 0.1)
    options.update(type=f'mmpretrain.{kind.__name__}', out_type='raw',
                   final_norm=True)
    return options


def file_hash(path: str | Path) -> str:
    """SHA-256 of a checkpoint's file, or of all a folder's, in order."""
    digest = hashlib.sha256()
    for part in weight_files(path):
        with open(part, 'rb') as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
