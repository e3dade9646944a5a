# Copyright (c) OpenMMLab. All rights reserved.
"""What several teachers attend to, on the same photographs."""
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure
from torch import nn

from sbam_mm.command_line import key_values
from sbam_mm.errors import UserError
from sbam_mm.masking import AttentionSalience, MaskingContext
from sbam_mm.masking.named_maskers import masker_config
from sbam_mm.models.teachers import Teacher

from .fitted_maskers import build_masker
from .output import picture_grid
from .photographs import center_crop
from .pixels import as_picture, heat_map, to_inputs

WHOSE = dict(cls='class token', patches='patches', all='all tokens')
# Pixels, at least, of a drawn photograph; letters of a line above it.
SHARP, LETTERS = 336, 24


def question(words: str) -> AttentionSalience:
    """What a teacher is asked, as a command line says it.

    Args:
        words (str): Options of :class:`AttentionSalience`, "head=2,block=8";
            a masker whose question it is, "gpa"; or a masker and what differs
            from its question.

    Example:
        >>> asked = question('gpa,head=sum')
        >>> asked.block, asked.head, asked.queries, asked.softmax
        (9, 'sum', 'patches', False)
    """
    known = inspect.signature(AttentionSalience).parameters
    name, *changes = words.split(',')
    options = {}
    if '=' in name:
        changes.insert(0, name)
    elif Path(name).exists():
        raise UserError(f'{name} stands where a question to a teacher is '
                        'expected; name images before the first --teacher.')
    else:
        salience = build_masker(masker_config(name)).salience
        if not isinstance(salience, AttentionSalience):
            raise UserError(f'{name} asks no teacher what it attends to; draw '
                            f'its salience with --masker {name}.')
        options = {key: getattr(salience, key) for key in known}
    options |= key_values(changes, '--teacher')
    wrong = sorted(options.keys() - known.keys())
    if wrong:
        raise UserError(f'a teacher cannot be asked for {wrong[0]!r}; its '
                        f'options are {", ".join(known)}.')
    for key, value in options.items():
        usual = known[key].default
        if not isinstance(value, (type(usual), int) if key == 'head' else
                          type(usual)):
            raise UserError(f'a teacher cannot be asked with {key}={value}; '
                            f'give something like {key}={usual}.')
    return AttentionSalience(**{**options, 'source': 'teacher'})


def question_label(asked: AttentionSalience, depth: int) -> str:
    """Two lines above a column, for a teacher of ``depth`` blocks.

    Example:
        >>> print(question_label(question('head=2'), 12))
        block 11, head 2
        class token
    """
    head = (f'{asked.head} of heads' if asked.head in ('mean', 'sum') else
            f'head {asked.head}')
    return (f'block {asked.block % depth}, {head}\n{WHOSE[asked.queries]}' +
            ('' if asked.softmax else ', logits'))


def short_names(teachers: Sequence[str]) -> list[str]:
    """Of teachers as a command line names them; whole where two are equal.

    Example:
        >>> short_names(['hf:facebook/dinov2-small', 'timm:vit_tiny_patch16'])
        ['dinov2-small', 'vit_tiny_patch16']
    """
    short = []
    for teacher in teachers:
        path = Path(teacher.rpartition('=')[2])
        name = path.name.rpartition(':')[2]
        if path.is_file():
            name = '/'.join([*path.parent.parts[-1:], path.stem])
        short.append(name)
    return [one if short.count(one) == 1 else whole
            for one, whole in zip(short, teachers)]


def teacher_map(teacher: Teacher,
                asked: AttentionSalience,
                images: Sequence[np.ndarray],
                student: nn.Module,
                side: int | None = None) -> np.ndarray:
    """What a masker would get for pictures, (B, h, w) in [0, 1].

    Args:
        images (Sequence[np.ndarray]): uint8, (H, W, C), of any size.
        student (nn.Module): Its ``data_preprocessor`` normalises them.
        side (int, optional): The student's patches of a side. Defaults to
            None: those that the teacher's positions are made for.
    """
    height, width = teacher.patch_size
    rows, columns = (side, side) if side else (
        teacher.image_size[0] // height, teacher.image_size[1] // width)
    inputs = teacher.as_its_own(
        to_inputs(student, [
            center_crop(image, (rows * height, columns * width))
            for image in images]), student)
    received = partial(teacher.attention, inputs, (rows, columns))
    context = MaskingContext(
        inputs.new_empty(len(inputs), rows * columns, 0), (rows, columns),
        images=inputs, providers=dict(teacher_attention=received))
    return asked(context).unflatten(1, (rows, columns)).cpu().numpy()


def attention_figure(images: Mapping[str, np.ndarray],
                     maps: Mapping[str, np.ndarray],
                     title: str | None = None,
                     note: str | None = None) -> Figure:
    """Photographs in rows, and in columns maps of patches over them.

    Args:
        images (Mapping[str, np.ndarray]): By name; uint8, (H, W, C), of any
            size. The largest centred crop is drawn.
        maps (Mapping[str, np.ndarray]): By what stands above; (B, h, w) in
            [0, 1], each column with a grid of its own.
    """
    rows = []
    for i, (name, image) in enumerate(images.items()):
        row = [(as_picture(center_crop(image, SHARP)), name)]
        for scores in maps.values():
            grid = scores[i].shape
            scale = -(-SHARP // max(grid))  # every patch whole pixels
            picture = center_crop(image, (scale * grid[0], scale * grid[1]))
            row.append((heat_map(picture, scores[i]),
                        f'{grid[0]} × {grid[1]} patches'))
        rows.append(row)
    heads = ['\n'.join(part for line in head.splitlines()
                       for part in wrap(line, LETTERS)) for head in maps]
    return picture_grid(rows, ['Photograph', *heads], title, note)
