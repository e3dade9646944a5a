# Copyright (c) OpenMMLab. All rights reserved.
"""Named maskers made to fit a model that is looked at."""
import copy
from collections.abc import Mapping, Sequence

from torch import nn

from sbam_mm import masking
from sbam_mm.errors import UserError
from sbam_mm.masking import AttentionSalience, StoredSalience, check_needs
from sbam_mm.masking.named_maskers import at_ratio, masker_label
from sbam_mm.models.providers import REMEDIES, STORED_MAPS
from sbam_mm.models.teachers import Teacher
from sbam_mm.registry import MODELS


def build_masker(config: Mapping, ratio: float | None = None) -> nn.Module:
    """Build a masker to look at, if wanted at another base ratio.

    The warm-up with random masks (``start_epoch``, ``start_progress``) is
    left out: a figure is to show the method.
    """
    options = copy.deepcopy(dict(config))
    options.pop('start_epoch', None)
    masker = MODELS.build(
        options if ratio is None else at_ratio(options, ratio))
    if hasattr(masker, 'start_progress'):
        masker.start_progress = 0.
    return masker


def labelled_maskers(
        configs: Sequence[Mapping],
        ratios: Sequence[float] | Sequence[None] = (None, ),
) -> dict[str, nn.Module]:
    """Every masker at every ratio, by a label that says both.

    Example:
        >>> from sbam_mm.masking.named_maskers import masker_config
        >>> list(labelled_maskers([masker_config('amt')]))
        ['AMT, r = 0.45, 0.4 thrown']
    """
    maskers = {}
    for config in configs:
        for ratio in ratios:
            masker = build_masker(config, ratio)
            share = masker.ratio
            label = f'{masker_label(config)}, r = {share.ratio:g}'
            reach = getattr(share, 'delta_r', 0.)
            if hasattr(share, 'high'):
                reach = (share.high - share.low) / 2
            if reach:
                label += f' ± {round(reach, 6):g}'
            thrown = getattr(masker.selection, 'throw', 0.)
            if thrown:
                label += f', {thrown:g} thrown'
            maskers[label] = masker
    return maskers


def fit_to_model(masker: nn.Module, model) -> list[str]:
    """Let a masker make do with what a model has.

    Where there is no teacher the encoder's own attention takes its place;
    where maps would come with the images (AM, AMT), the class token's
    attention of the picture itself; a block or head beyond the model's
    becomes its last.

    Args:
        masker (nn.Module): With ``salience``; changed in place.

    Returns:
        list[str]: What was changed, in half sentences, e.g. "own attention
        in place of a teacher's".

    Raises:
        UserError: If the masker needs something that has no stand-in, e.g.
            a predicted loss.
    """
    notes = []
    if isinstance(masker.salience, StoredSalience) and (
            masker.salience.key == 'attention_map'):
        masker.salience = AttentionSalience()
        masker.warm_up = None
        notes.append("the picture's own attention in place of a stored map")
    salience = masker.salience
    if isinstance(salience, AttentionSalience):
        if (salience.source == 'teacher'
                and 'teacher_attention' not in model.provides):
            salience.source = 'self'
            notes.append("own attention in place of a teacher's")
        notes += _clip(salience, model)
    maps = sorted(masker.needs & STORED_MAPS.keys())
    if maps:
        raise UserError(
            f'{type(masker).__name__} needs {maps[0]!r}, a map that a '
            'training pipeline brings with every image and a picture lacks; '
            'choose another masker.')
    check_needs(masker, model.provides, type(model).__name__, REMEDIES)
    return notes


def _clip(salience: AttentionSalience, model) -> list[str]:
    """Bring block and head into the range of the encoder that is asked."""
    teacher = getattr(model, 'teacher', None)
    if salience.source == 'teacher' and teacher is not None:
        if not isinstance(teacher, Teacher):
            return []
        depth, heads = teacher.depth, teacher.heads
    else:
        layers = getattr(model.backbone, 'layers', None)
        if not layers:
            return []
        depth, heads = len(layers), layers[0].attn.num_heads
    notes = []
    if salience.block >= depth:
        notes.append(f'block {depth - 1} in place of {salience.block}')
        salience.block = depth - 1
    if isinstance(salience.head, str):
        return notes
    if salience.head >= heads:
        notes.append(f'head {heads - 1} in place of {salience.head}')
        salience.head = heads - 1
    return notes


def fit_all(maskers: Mapping[str, nn.Module], model) -> str:
    """Fit several maskers in place, and say for a caption what was changed.

    E.g. "GPA: own attention in place of a teacher's.", or "".
    """
    changes: dict[str, list[str]] = {}
    for label, masker in maskers.items():
        name = label.partition(', ')[0]
        try:
            notes = fit_to_model(masker, model)
        except UserError as error:
            raise UserError(f'{name} cannot be drawn: {error}') from error
        if notes:
            names = changes.setdefault('; '.join(notes), [])
            if name not in names:
                names.append(name)
    return ' '.join(f'{", ".join(names)}: {note}.'
                    for note, names in changes.items())


def changes_over_training(masker: nn.Module) -> bool:
    """Whether a masker does not mask the same way at all progress."""
    return isinstance(masker.selection,
                      (masking.SoftToHard, masking.EasyToHard)) or isinstance(
                          masker.ratio, masking.ScheduledRatio)
