# Copyright (c) OpenMMLab. All rights reserved.
"""The page of a model on a hub: what it is, how it was made, what it reached.

Every number comes from the run: its checkpoint, its config, and the results
that ``tools/evaluate.py`` wrote. What is not known is left out.
"""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sbam_mm.errors import UserError
from sbam_mm.evaluation.results import markdown_table
from sbam_mm.files import read_json

from .configs import Description, kind_of

USE = {
    'timm': '''
import timm

model = timm.create_model('local-dir:{folder}', pretrained=True).eval()
images = timm.data.create_transform(
    **timm.data.resolve_data_config(model.pretrained_cfg))
tokens = model.forward_features({example})  # class token first
''',
    'vit': '''
from transformers import AutoModel

model = AutoModel.from_pretrained('{folder}', add_pooling_layer=False)
tokens = model({example}).last_hidden_state  # class token first
''',
    'vit_mae': '''
from transformers import ViTMAEForPreTraining, ViTModel

# Reconstructs images of which it hides {ratio:.0%} at random, or where the
# argument `noise` is highest.
model = ViTMAEForPreTraining.from_pretrained('{folder}').eval()
loss = model({example}).loss
# The encoder alone, which sees whole images.
encoder = ViTModel.from_pretrained('{folder}', add_pooling_layer=False)
tokens = encoder({example}).last_hidden_state  # class token first
''',
}


def matching_results(checkpoint: str | Path, sha256: str, branch: str,
                     named: Iterable[str] = ()) -> list[dict[str, Any]]:
    """What ``tools/evaluate.py`` found of a checkpoint.

    Args:
        checkpoint (str or Path): A file; results beside it, or one folder
            further down, are looked at.
        sha256 (str): Of the file; results of another one are not its own.
        named (Iterable[str]): Further files of results, which must be.
    """
    place = Path(checkpoint).parent
    beside = [*place.glob('results.json'), *place.glob('*/results.json')]
    found = {}
    for path in [*sorted(beside), *map(Path, named)]:
        if not path.is_file():
            raise UserError(f'the results {path} do not exist; give a '
                            'results.json of tools/evaluate.py.')
        results = read_json(path)
        of = results.get('checkpoint')
        if isinstance(of, dict) and of.get('sha256') == sha256 and (
                of.get('branch') == branch):
            found[path.resolve()] = read_json(
                path, protocols=dict, data=dict)
        elif path not in beside:
            raise UserError(f'{path} has results of another checkpoint; give '
                            f'those of {checkpoint}.')
    return list(found.values())


def model_card(title: str, library: str, of: Description,
               config: Mapping[str, Any], facts: Mapping[str, Any],
               results: Sequence[Mapping[str, Any]] = (),
               licence: str | None = None) -> str:
    """The README.md of a folder, with the metadata that hubs read.

    Args:
        title (str): The name of the folder.
        library (str): "hf" or "timm".
        config (Mapping): Of the training.
        facts (Mapping): Further lines about the training, by name; None is
            left out.
        results (Sequence[Mapping]): Of :func:`matching_results`.
        licence (str, optional): As the hub abbreviates it, such as
            "cc-by-nc-4.0". Without it the page says nothing about it.
    """
    head: dict[str, Any] = dict(license=licence) if licence else {}
    head.update(
        library_name='timm' if library == 'timm' else 'transformers',
        pipeline_tag='image-feature-extraction',
        tags=['masked-image-modeling', 'self-supervised-learning', 'vit',
              'sbam_mm'])
    kind = 'timm' if library == 'timm' else (
        'vit_mae' if of.decoder else 'vit')
    model = config['model']
    masker = model.get('masker') or (model.get('backbone') or {}).get('masker')
    encoder, (height, width) = of.encoder, of.image
    parts = (f'A Vision Transformer, {encoder.width} wide, with '
             f'{encoder.depth} blocks of {encoder.heads} heads, for images '
             f'of {height} x {width} pixels in patches of {of.patch} x '
             f'{of.patch}')
    if of.decoder:
        parts += (f", and MAE's decoder, {of.decoder.width} wide, with "
                  f'{of.decoder.depth} block'
                  f'{"s" if of.decoder.depth > 1 else ""}')
    images = config.get('train_dataloader') or {}
    rows = {
        'method': kind_of(model),
        'what was hidden': f'`{called(masker)}`' if masker else None,
        'data': data_name(config),
        'images per step and process': images.get('batch_size'),
        **facts,
        'mean of the channels (0 to 255)': listed(of.mean),
        'their standard deviation': listed(of.std),
    }
    example = f'torch.zeros(1, {of.channels}, {height}, {width})'
    code = USE[kind].format(folder=title, example=example,
                            ratio=of.mask_ratio)
    lines = ''.join(f'- {key}: {value}\n' for key, value in rows.items()
                    if value is not None)
    return (f'---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n'
            f'# {title}\n\n{parts}. Pre-trained with '
            f'`sbam_mm`.\n\n## Use\n\n```python\nimport torch{code}```\n\n'
            f'## Training\n\n{lines}\n## Evaluation\n\n{evaluation(results)}')


def evaluation(results: Sequence[Mapping[str, Any]]) -> str:
    """All results as one table."""
    rows = []
    for one in results:
        data = one['data']
        where = (f'{Path(str(data.get("root"))).name}, '
                 f'{data.get("classes")} classes, {data.get("train")} + '
                 f'{data.get("test")} images')
        for name, found in one['protocols'].items():
            top1 = found.get('top1') if isinstance(found, dict) else None
            best = found.get('best') if isinstance(found, dict) else None
            rows += [[f'{name}, {label}', where, f'{value:.2f}']
                     for label, value in (top1 or {}).items()
                     if value is not None and label == (best or label)]
    if not rows:
        return ('No evaluation of this checkpoint was found where it was '
                'written.\n')
    return (markdown_table(['protocol', 'images', 'top-1 [%]'], rows) +
            '\nBy `tools/evaluate.py` of `sbam_mm`; images are the labelled '
            'ones of training and test.\n')


def data_name(config: Mapping[str, Any]) -> str | None:
    """The folder of the training images, without what leads to it.

    Example:
        >>> data_name(dict(train_dataloader=dict(dataset=dict(
        ...     data_root='/data/imagenet/'))))
        'imagenet'
    """
    dataset: Any = (config.get('train_dataloader') or {}).get('dataset') or {}
    while dataset.get('dataset') or dataset.get('images'):
        dataset = dataset.get('dataset') or dataset.get('images')
    return Path(str(dataset.get('data_root') or '')).name or None


def called(value: Any) -> str:
    """Options as a call.

    Example:
        >>> called(dict(type='sbam_mm.SBAM', ratio=0.75))
        'sbam_mm.SBAM(ratio=0.75)'
    """
    if not isinstance(value, Mapping):
        return repr(value)
    options = ', '.join(f'{key}={called(item)}'
                        for key, item in value.items() if key != 'type')
    return f'{value.get("type", "dict")}({options})'


def listed(values: Sequence[float]) -> str:
    return ', '.join(f'{value:g}' for value in values)
