# Copyright (c) OpenMMLab. All rights reserved.
"""What the page begins with: images and maskers."""
from collections.abc import Mapping, Sequence

from sbam_mm.errors import UserError
from sbam_mm.evaluation.object_masks import find_images, read_object_masks
from sbam_mm.masking.named_maskers import (
    masker_label,
    masker_name,
    masker_names,
)
from sbam_mm.visualization import photographs, readable_images
from sbam_mm.visualization.photographs import PHOTOGRAPHS

from .session import MOST, Session

# What differs most to see, where nothing is trained; and where attention
# means something.
FIRST = ('sbam', 'random', 'block', 'colormae-green')
FIRST_TRAINED = ('sbam', 'attmask-high', 'gpa', 'random')


def named_maskers(own: Mapping | None = None) -> dict[str, dict]:
    """Configs of all maskers that there are, by what the page calls them.

    Args:
        own (Mapping, optional): Of a config file; it comes first.

    Example:
        >>> list(named_maskers(dict(type='sbam_mm.SBAM', noise=0.)))[0]
        'SBAM (config)'
    """
    found: dict[str, dict] = {}
    for config in masker_names().values():
        if config not in found.values():
            found[masker_label(config)] = config
    found = {name: found[name] for name in sorted(found, key=str.lower)}
    if own is None or dict(own) in found.values():
        return found
    return {f'{masker_label(own)} (config)': dict(own), **found}


def first_maskers(maskers: Mapping[str, dict], asked: str | None = None,
                  trained: bool = False) -> list[str]:
    """Names of those to begin with, one to four.

    Args:
        maskers (Mapping[str, dict]): From :func:`named_maskers`.
        asked (str, optional): Short names, "sbam,random".
        trained (bool): Whether attention means something.

    Example:
        >>> first_maskers(named_maskers(), 'random,sbam')
        ['Random', 'SBAM']
    """
    if asked:
        short = [masker_name(name) for name in asked.split(',')]
    else:
        short = list(FIRST_TRAINED if trained else FIRST)
    if len(short) > 4:
        raise UserError(f'--compare has {len(short)} maskers, and at most 4 '
                        'stand side by side; leave some out.')
    known = masker_names()
    names = [next(name for name, config in maskers.items()
                  if config == known[one]) for one in short]
    own = next(iter(maskers))
    if asked or not own.endswith(' (config)'):
        return names
    return [own, *names[1:]] if maskers[own]['type'] == known['sbam'][
        'type'] else [own, *names[:3]]


def add_images(session: Session, paths: Sequence[str],
               annotations: str | None = None) -> list[str]:
    """Keep images of files and folders, or photographs; returns their keys.

    Args:
        annotations (str, optional): Object masks of the files.
    """
    if not paths:
        if annotations:
            raise UserError('--annotations are of image files; name some.')
        return [session.add(name, image)
                for name, image in photographs(PHOTOGRAPHS).items()]
    files = find_images(paths, **session.decoding)
    if len(files) > 2 * MOST:
        raise UserError(
            f'{len(files)} images are too many for a page; name at most '
            f'{2 * MOST}, and drop others in later.')
    masks = read_object_masks(annotations) if annotations else None
    keys = [
        session.add(file.name, image, masks, file)
        for file, image in readable_images(files, **session.decoding)
    ]
    if not keys:
        raise UserError(f'none of the {len(files)} images can be read; name '
                        'others.')
    return keys
