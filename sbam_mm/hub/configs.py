# Copyright (c) OpenMMLab. All rights reserved.
"""A ViT in the words of transformers and timm, to be written for them.

Both build their own model from ``config.json``. What has no word there cannot
be written, and is refused: the model would be built, and compute something
else.
"""
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmpretrain.models.utils import to_2tuple
from torch import Tensor

from sbam_mm import masking
from sbam_mm.errors import UserError
from sbam_mm.models.backbones import MaskedViT
from sbam_mm.models.checkpoint_formats import GUIDES, Conversion, from_ours

# Encoders that compute a plain ViT where nothing is masked, and the options
# that do not change it or are read below.
PLAIN = ('MaskedViT', 'MAEViT', 'VisionTransformer')
ENCODER_OPTIONS = {
    'type', 'arch', 'img_size', 'patch_size', 'in_channels', 'norm_cfg',
    'qkv_bias', 'drop_rate', 'drop_path_rate', 'out_type', 'out_indices',
    'with_cls_token', 'final_norm', 'frozen_stages', 'interpolate_mode',
    'layer_scale_init_value', 'pre_norm', 'learned_position', 'segment_bias',
    'with_cp', 'residual_dtype', 'init_cfg', 'masker', 'mask_ratio'
}
DECODERS = ('MAEDecoder', 'MAEPretrainDecoder')
DECODER_OPTIONS = {
    'type', 'img_size', 'num_patches', 'patch_size', 'in_channels',
    'in_chans', 'embed_dim', 'decoder_embed_dim', 'decoder_depth',
    'decoder_num_heads', 'mlp_ratio', 'norm_cfg', 'with_cp',
    'residual_dtype', 'init_cfg'
}
EPS = 1e-6
# timm's names, by width; every size is written out all the same.
TIMM_NAMES = {
    192: 'vit_tiny_patch16_224',
    384: 'vit_small_patch16_224',
    768: 'vit_base_patch16_224',
    1024: 'vit_large_patch16_224',
    1280: 'vit_huge_patch14_224',
}


@dataclass(frozen=True)
class Blocks:
    """Transformer blocks: sizes, and the eps of their layer norms."""
    width: int
    depth: int
    heads: int
    hidden: int
    eps: float
    qkv_bias: bool


@dataclass(frozen=True)
class Description:
    """A ViT, and MAE's decoder if it has one.

    ``image`` and ``patch`` are in pixels, ``mean`` and ``std`` one per
    channel, in values from 0 to 255.
    """
    encoder: Blocks
    decoder: Blocks | None
    image: tuple[int, int]
    patch: int
    channels: int
    layer_scale: bool
    pre_norm: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mask_ratio: float
    norm_pix: bool


def kind_of(part: Any) -> str:
    """The type that a config gives a part, without its project."""
    kind = part.get('type') if isinstance(part, Mapping) else None
    return kind.rpartition('.')[2] if isinstance(kind, str) else ''


def describe(state: Mapping[str, Tensor], config: Mapping[str, Any],
             part: str = 'all', name: str = 'the checkpoint') -> Description:
    """What a config and our weights say of the encoder, and MAE's decoder.

    Args:
        state (Mapping[str, Tensor]): In our key names, of the encoder that
            will be written.
        config (Mapping): Of the training.
        part (str): "encoder" leaves the decoder out.

    Raises:
        UserError: If it is no plain ViT, or config and weights disagree.
    """
    try:
        return _describe(state, config, part, name)
    except UserError:
        raise
    # A config may hold anything, and be of another model.
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f'the config is not the one that {name} was trained with, or no '
            f'config of a ViT ({type(error).__name__}: {error}); give the '
            'right one (--config).') from error


def _describe(state: Mapping[str, Tensor], config: Mapping[str, Any],
              part: str, name: str) -> Description:
    model = config.get('model') or {}
    backbone = model.get('backbone') or {}
    if kind_of(backbone) not in PLAIN:
        raise UserError(
            f'{name} is of a {kind_of(backbone) or "model without backbone"}, '
            'and transformers and timm have no such encoder; only a plain '
            f'ViT can be written for them ({", ".join(PLAIN)}).')
    if any(GUIDES.fullmatch(key) for key in state):
        raise UserError(
            f'{name} has a learned segment bias, which transformers and timm '
            'have no place for; write the encoder as it is without segments '
            'to a file (DST.safetensors).')
    unknown = sorted(set(backbone) - ENCODER_OPTIONS) + [
        key for key in ('with_cls_token', 'final_norm')
        if not backbone.get(key, True)]
    if unknown or 'backbone.ln1.weight' not in state:
        raise UserError(
            f'{name} was trained with '
            f'{", ".join(unknown) or "another norm at the end"} of '
            'model.backbone, which transformers and timm have no word for; '
            'write the weights alone to a file (DST.safetensors).')
    arch = backbone.get('arch', 'base')
    arch = MaskedViT.arch_zoo.get(arch) if isinstance(arch, str) else arch
    encoder = _blocks(state, 'backbone', 'layers', backbone,
                      (arch or {}).get('num_heads'), name)
    image = to_2tuple(backbone.get('img_size', 224))
    kernel = state['backbone.patch_embed.projection.weight']
    patch, positions = kernel.shape[-1], state['backbone.pos_embed'].shape[1]
    if positions != 1 + image[0] // patch * (image[1] // patch):
        raise UserError(
            f'{name} has {positions - 1} positions, and the config patches '
            f'of {patch} pixels of {image[0]} x {image[1]}; give the config '
            'it was trained with (--config).')
    decoder, norm_pix = None, True
    if part == 'all' and kind_of(model) == 'MAE' and (
            kind_of(model.get('neck')) in DECODERS and any(
                key.startswith('neck.') for key in state)):
        decoder = _decoder(state, model, encoder, image, name)
        norm_pix = model['head'].get(
            'norm_pix', kind_of(model['head']) == 'PixelHead')
    said = dict(config.get('data_preprocessor') or {}, **(
        model.get('data_preprocessor') or {}))
    channels = kernel.shape[1]
    if channels == 3 and not said.get('to_rgb', False):
        raise UserError(
            f'{name} was trained with images whose channels were not made '
            'RGB (data_preprocessor.to_rgb), and transformers and timm show '
            'RGB; write the weights alone to a file (DST.safetensors).')
    mean, std = (
        tuple(float(value) for value in said.get(key) or [default])
        for key, default in (('mean', 0.), ('std', 1.)))
    return Description(
        encoder, decoder, image, patch, channels,
        'backbone.layers.0.attn.gamma1.weight' in state,
        'backbone.pre_norm.weight' in state,
        mean * (channels if len(mean) == 1 else 1),
        std * (channels if len(std) == 1 else 1),
        _ratio(model.get('masker') or backbone.get('masker') or dict(
            ratio=backbone.get('mask_ratio', 0.75))),
        bool(norm_pix))


def _blocks(state: Mapping[str, Tensor], part: str, blocks: str,
            options: Mapping[str, Any], heads: Any, name: str) -> Blocks:
    norm = options.get('norm_cfg') or {}
    width = state[f'{part}.ln1.weight'].shape[0]
    if norm.get('type', 'LN') != 'LN':
        raise UserError(
            f'{name} was trained with norms of type {norm["type"]} in '
            f'model.{part}, and those of transformers and timm are LN; write '
            'the weights alone to a file (DST.safetensors).')
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise UserError(
            f'{name} has a {part} {width} wide, and its config gives it '
            f'{heads} heads; give the config it was trained with (--config).')
    prefix = f'{part}.{blocks}.'
    return Blocks(
        width, 1 + max(int(key[len(prefix):].split('.')[0])
                       for key in state if key.startswith(prefix)), heads,
        state[f'{prefix}0.ffn.layers.0.0.weight'].shape[0],
        float(norm.get('eps', EPS if norm == {} else 1e-5)),
        f'{prefix}0.attn.qkv.bias' in state)


def _decoder(state: Mapping[str, Tensor], model: Mapping[str, Any],
             encoder: Blocks, image: tuple[int, int], name: str) -> Blocks:
    neck, head = model['neck'], model.get('head') or {}
    # mmpretrain's is an option of the loss.
    criterion = dict(head, **(head.get('loss') or {})).get('criterion', 'L2')
    decoder = _blocks(state, 'neck', 'decoder_blocks', neck,
                      neck.get('decoder_num_heads', 16), name)
    reasons = {
        f'{", ".join(set(neck) - DECODER_OPTIONS)} of model.neck':
        set(neck) <= DECODER_OPTIONS,
        f'a {kind_of(head) or "missing head"}':
        kind_of(head) in ('PixelHead', 'MAEPretrainHead'),
        f'criterion {criterion}': criterion == 'L2',
        'images that are no squares': image[0] == image[1],
        'another eps in the decoder than in the encoder':
        decoder.eps == encoder.eps,
        'a bias of q, k and v in the decoder alone':
        decoder.qkv_bias == encoder.qkv_bias,
    }
    wrong = [reason for reason, fits in reasons.items() if not fits]
    if wrong:
        raise UserError(
            f'{name} is of an MAE with {", ".join(wrong)}, which '
            "transformers' ViTMAE cannot have; write its encoder alone with "
            '--part encoder.')
    return decoder


def _ratio(masker: Mapping[str, Any]) -> float:
    """The base ratio of a masker: its option, or what it is by default."""
    kind = getattr(masking, kind_of(masker), None)
    known = inspect.signature(kind).parameters if kind else {}
    default = known['ratio'].default if 'ratio' in known else None
    ratio = masker.get('ratio', default)
    ratio = ratio.get('ratio') if isinstance(ratio, Mapping) else ratio
    return float(ratio) if isinstance(ratio, (int, float)) else 0.75


def hf_folder(state: Mapping[str, Tensor], of: Description,
              crop: float = 1., branch: str = 'teacher',
              name: str = 'the checkpoint'
              ) -> tuple[Conversion, dict[str, dict[str, Any]]]:
    """Weights and JSON files, by name, of transformers' ViT or ViTMAE.

    Args:
        of (Description): Of the same weights.
        crop (float): Which share of the shorter side is cut from the middle
            of an image; of 1 images are resized as a whole.
    """
    written = from_ours(state, 'hf', 'all' if of.decoder else 'encoder',
                        branch, name)
    height, width = of.image
    config: dict[str, Any] = dict(
        architectures=['ViTModel'],
        model_type='vit',
        hidden_size=of.encoder.width,
        num_hidden_layers=of.encoder.depth,
        num_attention_heads=of.encoder.heads,
        intermediate_size=of.encoder.hidden,
        hidden_act='gelu',
        hidden_dropout_prob=0.,
        attention_probs_dropout_prob=0.,
        layer_norm_eps=of.encoder.eps,
        image_size=height if height == width else [height, width],
        patch_size=of.patch,
        num_channels=of.channels,
        qkv_bias=of.encoder.qkv_bias,
        dtype=str(state['backbone.pos_embed'].dtype).removeprefix('torch.'))
    if of.decoder:
        config.update(
            architectures=['ViTMAEForPreTraining'],
            model_type='vit_mae',
            decoder_hidden_size=of.decoder.width,
            decoder_num_hidden_layers=of.decoder.depth,
            decoder_num_attention_heads=of.decoder.heads,
            decoder_intermediate_size=of.decoder.hidden,
            mask_ratio=of.mask_ratio,
            norm_pix_loss=of.norm_pix)
    else:
        # As ViTModel names them.
        written.state = {key.removeprefix('vit.'): value
                         for key, value in written.state.items()}
    files = {'config.json': config}
    if of.channels in (1, 3):
        images: dict[str, Any] = dict(
            do_resize=True, resample=3, do_rescale=True,
            rescale_factor=1 / 255, do_normalize=True,
            image_mean=[value / 255 for value in of.mean],
            image_std=[value / 255 for value in of.std])
        if crop == 1 or height != width:
            images.update(image_processor_type='ViTImageProcessor',
                          size=dict(height=height, width=width))
        else:
            images.update(image_processor_type='BitImageProcessor',
                          size=dict(shortest_edge=round(height / crop)),
                          do_center_crop=True,
                          crop_size=dict(height=height, width=width))
        files['preprocessor_config.json'] = images
    return written, files


def timm_folder(state: Mapping[str, Tensor], of: Description,
                crop: float = 1., branch: str = 'teacher',
                name: str = 'the checkpoint'
                ) -> tuple[Conversion, dict[str, dict[str, Any]]]:
    """As :func:`hf_folder`, of a ViT of timm without classifier."""
    if of.encoder.eps != EPS:
        raise UserError(
            f'{name} has layer norms with eps {of.encoder.eps}, and those '
            f'of timm have {EPS}; write it for transformers (--to hf).')
    written = from_ours(state, 'timm', 'encoder', branch, name)
    options = dict(
        img_size=list(of.image),
        patch_size=of.patch,
        in_chans=of.channels,
        embed_dim=of.encoder.width,
        depth=of.encoder.depth,
        num_heads=of.encoder.heads,
        mlp_ratio=of.encoder.hidden / of.encoder.width,
        qkv_bias=of.encoder.qkv_bias,
        init_values=EPS if of.layer_scale else None,
        pre_norm=of.pre_norm)
    return written, {'config.json': dict(
        architecture=TIMM_NAMES.get(of.encoder.width, TIMM_NAMES[768]),
        num_classes=0,
        num_features=of.encoder.width,
        global_pool='token',
        model_args=options,
        pretrained_cfg=dict(
            num_classes=0,
            input_size=[of.channels, *of.image],
            fixed_input_size=True,
            interpolation='bicubic',
            crop_pct=crop,
            crop_mode='squash' if crop == 1 else 'center',
            mean=[value / 255 for value in of.mean],
            std=[value / 255 for value in of.std],
            first_conv='patch_embed.proj',
            classifier='head'))}
