# Copyright (c) OpenMMLab. All rights reserved.
"""Encoder checkpoints of other projects, in our key names and back.

Ours are mmpretrain's: "backbone.layers.0.ln1.weight" for the encoder and
"neck.decoder_blocks.0.ln1.weight" for MAE's decoder. Each format is a table
of pairs of names, read in both directions: converting there and back gives
the same keys and the same numbers. Nothing is lost silently: a key that is in
no table is an error, and the heads that have no place are listed.
"""
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from .key_prefixes import listing, prefix_of_known, say_prefix

State = Mapping[str, Tensor]
# "#" stands for the number of a block and "*" for weight or bias. Three names
# are what we keep in one tensor, stacked along its first dimension.
Table = tuple[tuple[str, str | tuple[str, ...]], ...]
PARTS = ('all', 'encoder')
# Of DINO's and iBOT's files: what is evaluated, and what is trained.
BRANCHES = ('teacher', 'student')
# Where our DINO and iBOT keep the former.
TEACHER = 'momentum_teacher.module.backbone.'
REGISTERS = 'backbone.register_tokens'
# What guides the encoder in its pre-training and is in no plain ViT.
GUIDES = re.compile(r'backbone\.segment_bias\.u_(pos|neg)$')


@dataclass(frozen=True)
class Format:
    """How a project names the parameters of a ViT.

    Args:
        sign (str): Pattern at the beginning of a key that only this format
            has.
        encoder (tuple): Pairs of our name and theirs.
        decoder (tuple): The same for MAE's decoder.
        heads (str): Pattern of keys that have no place in our models and are
            dropped; nothing by default.
        read (tuple): Pairs as in ``encoder`` that are read and not written.
        spellings (tuple): Pairs of a pattern and the name used in the tables,
            for what versions and wrappers call differently.
    """
    title: str
    sign: str
    encoder: Table
    decoder: Table = ()
    heads: str = '$'
    read: Table = ()
    spellings: tuple[tuple[str, str], ...] = ()


def _blocks(ours: str, theirs: str, table: Table) -> Table:
    """A table for one block, for all blocks."""
    return tuple((f'{ours}.#.{own}', f'{theirs}.#.{other}' if isinstance(
        other, str) else tuple(f'{theirs}.#.{name}' for name in other))
                 for own, other in table)


_TIMM_BLOCK: Table = (
    ('ln1.*', 'norm1.*'),
    ('attn.qkv.*', 'attn.qkv.*'),
    ('attn.proj.*', 'attn.proj.*'),
    ('attn.gamma1.weight', 'ls1.gamma'),
    ('ln2.*', 'norm2.*'),
    ('ffn.layers.0.0.*', 'mlp.fc1.*'),
    ('ffn.layers.1.*', 'mlp.fc2.*'),
    ('ffn.gamma2.weight', 'ls2.gamma'),
)
_TIMM_ENCODER: Table = (
    ('backbone.cls_token', 'cls_token'),
    ('backbone.pos_embed', 'pos_embed'),
    ('backbone.patch_embed.projection.*', 'patch_embed.proj.*'),
    ('backbone.pre_norm.*', 'norm_pre.*'),
    *_blocks('backbone.layers', 'blocks', _TIMM_BLOCK),
    ('backbone.ln1.*', 'norm.*'),
    # The norm after average pooling.
    ('backbone.ln2.*', 'fc_norm.*'),
)
# Extra tokens of DeiT and DINOv2, and DINOv2-giant's feed-forward layers.
_TIMM_READ: Table = (
    ('backbone.dist_token', 'dist_token'),
    (REGISTERS, 'register_tokens'),
    (REGISTERS, 'reg_token'),
    *_blocks('backbone.layers', 'blocks', (
        ('ffn.w12.*', 'mlp.w12.*'), ('ffn.w3.*', 'mlp.w3.*'))),
)
_MAE_DECODER: Table = (
    ('neck.mask_token', 'mask_token'),
    ('neck.decoder_pos_embed', 'decoder_pos_embed'),
    ('neck.decoder_embed.*', 'decoder_embed.*'),
    *_blocks('neck.decoder_blocks', 'decoder_blocks', _TIMM_BLOCK),
    ('neck.ln1.*', 'decoder_norm.*'),
    ('neck.decoder_pred.*', 'decoder_pred.*'),
)
_HF_BLOCK: Table = (
    ('ln1.*', 'layernorm_before.*'),
    ('attn.qkv.*', ('attention.attention.query.*', 'attention.attention.key.*',
                    'attention.attention.value.*')),
    ('attn.proj.*', 'attention.output.dense.*'),
    ('ln2.*', 'layernorm_after.*'),
    ('ffn.layers.0.0.*', 'intermediate.dense.*'),
    ('ffn.layers.1.*', 'output.dense.*'),
)
_HF_ENCODER: Table = (
    ('backbone.cls_token', 'vit.embeddings.cls_token'),
    ('backbone.pos_embed', 'vit.embeddings.position_embeddings'),
    ('backbone.patch_embed.projection.*',
     'vit.embeddings.patch_embeddings.projection.*'),
    *_blocks('backbone.layers', 'vit.encoder.layer', _HF_BLOCK),
    ('backbone.ln1.*', 'vit.layernorm.*'),
)
_HF_DECODER: Table = (
    ('neck.mask_token', 'decoder.mask_token'),
    ('neck.decoder_pos_embed', 'decoder.decoder_pos_embed'),
    ('neck.decoder_embed.*', 'decoder.decoder_embed.*'),
    *_blocks('neck.decoder_blocks', 'decoder.decoder_layers', _HF_BLOCK),
    ('neck.ln1.*', 'decoder.decoder_norm.*'),
    ('neck.decoder_pred.*', 'decoder.decoder_pred.*'),
)
_HF_DINOV2_BLOCK: Table = (
    *_HF_BLOCK[1:3],
    *(pair for pair in _TIMM_BLOCK if not pair[0].startswith('attn')
      and 'gamma' not in pair[0]),
    ('attn.gamma1.weight', 'layer_scale1.lambda1'),
    ('ffn.gamma2.weight', 'layer_scale2.lambda1'),
)
_HF_DINOV2_ENCODER: Table = (
    *((ours, str(theirs).replace('vit.', 'dinov2.'))
      for ours, theirs in _HF_ENCODER if '#' not in ours),
    *_blocks('backbone.layers', 'dinov2.encoder.layer', _HF_DINOV2_BLOCK),
)
_HF_DINOV2_READ: Table = (
    (REGISTERS, 'dinov2.embeddings.register_tokens'),
    *_blocks('backbone.layers', 'dinov2.encoder.layer', (
        ('ffn.w12.*', 'mlp.weights_in.*'), ('ffn.w3.*', 'mlp.weights_out.*'))),
)
_HF_5_ATTENTION = (
    (r'\.attention\.q_proj\.', '.attention.attention.query.'),
    (r'\.attention\.k_proj\.', '.attention.attention.key.'),
    (r'\.attention\.v_proj\.', '.attention.attention.value.'),
    (r'\.attention\.o_proj\.', '.attention.output.dense.'),
)
_HF_SPELLINGS = (
    (r'^deit\.', 'vit.'),
    # A model without head, as ViTModel saves it.
    (r'^(?=embeddings\.|encoder\.|layers\.|layernorm\.)', 'vit.'),
    # transformers 5 in memory.
    (r'^vit\.layers\.', 'vit.encoder.layer.'),
    *_HF_5_ATTENTION,
    (r'\.mlp\.fc1\.', '.intermediate.dense.'),
    (r'\.mlp\.fc2\.', '.output.dense.'),
    # What `save_pretrained` of transformers 5 makes of ViTMAE's decoder.
    (r'^decoder\.decoder_encoder\.layer\.', 'decoder.decoder_layers.'),
)

# Told apart in this order: MAE's encoder alone is a timm ViT.
FORMATS: dict[str, Format] = dict(
    ours=Format(
        title='sbam_mm or mmpretrain',
        sign=r'(backbone\.)?layers\.\d+\.ln1\.',
        encoder=(),
        spellings=((r'^(?=(cls|dist)_token$|register_tokens$|pos_embed$|patch_embed\.|pre_norm\.|'
                    r'layers\.|ln[12]\.|rel_pos_bias\.|segment_bias\.)',
                    'backbone.'), )),
    mae=Format(
        title='facebookresearch/mae',
        sign=r'decoder_blocks\.\d+\.norm1\.',
        encoder=_TIMM_ENCODER,
        decoder=_MAE_DECODER,
        heads=r'head\.'),
    dino=Format(
        title='DINO or iBOT',
        sign=r'backbone\.blocks\.\d+\.norm1\.',
        encoder=_TIMM_ENCODER,
        # iBOT's student has a mask token of its own.
        heads=r'head\.|masked_embed$',
        spellings=((r'^backbone\.', ''), )),
    timm=Format(
        title='timm (also MAE\'s and DINO\'s encoder)',
        sign=r'blocks\.\d+\.norm1\.',
        encoder=_TIMM_ENCODER,
        read=_TIMM_READ,
        # DINOv2's student has a mask token of its own, DeiT a second head.
        heads=r'head(_dist)?\.|masked_embed$|mask_token$'),
    hf=Format(
        title='Hugging Face ViT or ViTMAE',
        sign=r'((vit|deit)\.)?(encoder\.layer|layers)\.\d+\.'
        r'layernorm_before\.',
        encoder=_HF_ENCODER,
        decoder=_HF_DECODER,
        read=(('backbone.dist_token',
               'vit.embeddings.distillation_token'), ),
        heads=r'(vit\.)?pooler\.|((cls|distillation)_)?classifier\.|'
        r'vit\.embeddings\.mask_token$',
        spellings=_HF_SPELLINGS),
    **{'hf-dinov2': Format(
        title='Hugging Face DINOv2',
        sign=r'(dinov2\w*\.)?encoder\.layer\.\d+\.norm1\.',
        encoder=_HF_DINOV2_ENCODER,
        read=_HF_DINOV2_READ,
        heads=r'classifier\.|dinov2\.embeddings\.mask_token$',
        spellings=((r'^(dinov2_with_registers\.|(?=embeddings\.|encoder\.|'
                    r'layernorm\.))', 'dinov2.'), *_HF_5_ATTENTION))})


@dataclass
class Conversion:
    """Weights in other names.

    Args:
        format (str, optional): The format they were in, a key of
            ``FORMATS``; None if it is not known and nothing was changed.
        prefix (str): Of all keys, that was taken off.
    """
    state: dict[str, Tensor]
    format: str | None
    dropped: list[str] = field(default_factory=list)
    prefix: str = ''


def recognise(state: State) -> str | None:
    """The format of weights, a key of ``FORMATS``, or None."""
    for name, layout in FORMATS.items():
        if any(re.match(layout.sign, key) for key in state):
            return name
    return None


@cache
def _pattern(name: str) -> 're.Pattern[str]':
    parts = {'#': r'(\d+)', '*': '(weight|bias)'}
    return re.compile(''.join(parts.get(c, re.escape(c)) for c in name))


def _rename(key: str, name: str, other: str) -> str | None:
    """A key that fits one name, in the other; None if it does not fit."""
    match = _pattern(name).fullmatch(key)
    if match is None:
        return None
    values = iter(match.groups())
    return re.sub('[#*]', lambda _: next(values), other)


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names, ) if isinstance(names, str) else names


def to_ours(state: State, name: str = 'the checkpoint') -> Conversion:
    """Weights of any known format, in our key names.

    A prefix, such as "encoder.", is taken off where that makes the format a
    known one; keys without it are dropped. Weights of an unknown format are
    returned as they are, with ``format=None``.

    Raises:
        UserError: If the format is known but some keys are not, or of
            query, key and value one is missing.

    Example:
        >>> done = to_ours({'blocks.0.norm1.weight': torch.ones(2),
        ...                 'head.bias': torch.ones(5)})
        >>> list(done.state), done.format, done.dropped
        (['backbone.layers.0.ln1.weight'], 'timm', ['head.bias'])
    """
    source = recognise(state)
    if source is None:
        prefix = prefix_of_known(state, lambda key: any(
            re.match(layout.sign, key) for layout in FORMATS.values()))
        if prefix is None:
            return Conversion(dict(state), None)
        others = [key for key in state if not key.startswith(prefix)]
        done = to_ours({key[len(prefix):]: value for key, value
                        in state.items() if key.startswith(prefix)}, name)
        say_prefix(prefix, name, others)
        return replace(done, prefix=prefix, dropped=done.dropped + others)
    layout = FORMATS[source]
    table = layout.encoder + layout.decoder + layout.read
    stacked: dict[str, dict[int, Tensor]] = {}
    parts: dict[str, int] = {}
    dropped, unknown = [], []
    for key, value in state.items():
        spelt = key
        for pattern, replacement in layout.spellings:
            spelt = re.sub(pattern, replacement, spelt)
        found = [(target, i, len(_as_tuple(theirs)))
                 for ours, theirs in table
                 for i, other in enumerate(_as_tuple(theirs))
                 if (target := _rename(spelt, other, ours))]
        if source == 'ours':
            found = [(spelt, 0, 1)]
        if found:
            target, i, parts[target] = found[0]
            stacked.setdefault(target, {})[i] = value
        elif re.match(layout.heads, spelt):
            dropped.append(key)
        else:
            unknown.append(key)
    if unknown:
        raise UserError(
            f'{name} has the key names of {layout.title} but also '
            f'{len(unknown)} that a plain ViT does not have: '
            f'{listing(unknown)}; give a checkpoint of a ViT without them.')
    torn = [key for key, values in stacked.items() if len(values) < parts[key]]
    if torn:
        raise UserError(
            f'{name} lacks query, key or value of {listing(torn)}; it is '
            'incomplete, so copy or download it again.')
    ours = {
        key: values[0] if parts[key] == 1 else torch.cat(
            [values[i] for i in range(parts[key])])
        for key, values in stacked.items()
    }
    return Conversion(
        ours if source == 'ours' else with_rows_for_registers(ours), source,
        dropped)


def with_rows_for_registers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A table with a position for every token, as mmpretrain has it.

    DINOv2's registers, and in timm's files its class token, have none: zero.
    """
    key = 'backbone.pos_embed'
    table, registers = state.get(key), state.get(REGISTERS)
    if table is None or registers is None or registers.dim() != 3:
        return state
    zeros = table.new_zeros(1, registers.shape[1], table.shape[2])
    if math.isqrt(table.shape[1])**2 == table.shape[1]:
        table = torch.cat([zeros[:, :1], table], dim=1)
    return {**state, key: torch.cat([table[:, :1], zeros, table[:, 1:]], 1)}


def from_ours(state: State,
              target: str,
              part: str = 'all',
              branch: str = 'teacher',
              name: str = 'the checkpoint') -> Conversion:
    """Our weights in the key names of another project.

    Args:
        state (Mapping[str, Tensor]): Our weights: ``backbone.*``, and the
            decoder ``neck.*`` if there is one.
        target (str): "ours", "mae", "timm", "dino" (the backbone alone, as
            in the published files) or "hf" (ViTMAE).
        part (str): "encoder" leaves the decoder out; "timm" and "dino" never
            have one.
        branch (str): "teacher" or "student": which encoder of our DINO and
            iBOT ("ours" with "all" keeps both).

    Returns:
        Conversion: With the target as ``format``; dropped is what belongs to
        our training alone, e.g. a teacher or a segment bias, and the decoder
        where it is left out.

    Example:
        >>> ours = {'backbone.layers.0.attn.qkv.bias': torch.arange(6.)}
        >>> for key, value in from_ours(ours, 'hf').state.items():
        ...     print(key, value.tolist())
        vit.encoder.layer.0.attention.attention.query.bias [0.0, 1.0]
        vit.encoder.layer.0.attention.attention.key.bias [2.0, 3.0]
        vit.encoder.layer.0.attention.attention.value.bias [4.0, 5.0]
    """
    if target not in FORMATS or part not in PARTS:
        raise UserError(
            f'weights cannot be written as {target!r}, part {part!r}; choose '
            f'one of {", ".join(FORMATS)} and of {", ".join(PARTS)}.')
    if not any(key.startswith('backbone.') for key in state):
        raise UserError(f'{name} has no encoder (keys "backbone.*") to '
                        'write; give a checkpoint of a whole model.')
    if target == 'ours' and part == 'all':
        return Conversion(dict(state), target)
    done = Conversion({}, target)
    if branch == 'teacher' and any(key.startswith(TEACHER) for key in state):
        done.dropped += [key for key in state if key.startswith('backbone.')]
        state = {
            key.replace(TEACHER, 'backbone.'): state[key]
            for key in state if not key.startswith('backbone.')
        }
    layout = FORMATS[target]
    table = layout.encoder
    wanted: tuple[str, ...] = ('backbone.', )
    if part == 'all' and layout.decoder:
        table += layout.decoder
        wanted += ('neck.', )
    unknown = []
    for key, value in state.items():
        if not key.startswith(wanted) or GUIDES.fullmatch(key):
            done.dropped.append(key)
            continue
        if target == 'ours':
            done.state[key] = value
            continue
        found = [[_rename(key, ours, other) for other in _as_tuple(theirs)]
                 for ours, theirs in table if _pattern(ours).fullmatch(key)]
        if not found:
            unknown.append(key)
            continue
        # Copies: a view would be saved together with all it is a view of.
        for other, piece in zip(found[0], value.chunk(len(found[0]))):
            done.state[str(other)] = piece.clone()
    if unknown:
        raise UserError(
            f'{name} has {len(unknown)} parameters that {layout.title} has '
            f'no names for: {listing(unknown)}; write another format, or the '
            'encoder alone if they belong to the decoder.')
    return done
