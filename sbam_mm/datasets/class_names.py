# Copyright (c) OpenMMLab. All rights reserved.
"""Classes of two data sets are compared by name, not by number alone."""
from collections.abc import Sequence
from typing import Any

from sbam_mm.errors import UserError


def parts_of(dataset: Any) -> list[Any]:
    """The data sets inside wrappers and subsets, or the data set itself."""
    inner = getattr(dataset, 'datasets', None) or [
        getattr(dataset, 'dataset', None)
    ]
    return [
        part for each in inner for part in (
            [dataset] if each is None else parts_of(each))
    ]


def classes_of(dataset: Any) -> tuple[str, ...] | None:
    """A data set's class names, in order; None if it has none."""
    for part in (dataset, *parts_of(dataset)):
        names = (getattr(part, 'metainfo', None) or {}).get('classes')
        if names:
            return tuple(names)
    return None


def is_labelled(dataset: Any) -> bool:
    """Whether images have labels, as far as the data set says."""
    return all(getattr(part, 'with_label', True)
               for part in parts_of(dataset))


def used_classes(dataset: Any, number: int) -> set[int]:
    """The classes that have images; all ``number`` of them if unknown."""
    used: set[int] = set()
    for part in parts_of(dataset):
        if not (hasattr(part, 'get_data_info') and len(part)):
            return set(range(number))
        for index in range(len(part)):
            label = part.get_data_info(index).get('gt_label')
            if not isinstance(label, int):
                return set(range(number))
            used.add(label)
    return used


def numbers_in(bank: Any, query: Any) -> list[int] | None:
    """The bank's number of each class of the query.

    -1 stands for a class without images that the bank lacks. None if one of
    the data sets has no class names, or if both have the same.

    Raises:
        UserError: If the query has images of a class that the bank lacks.
    """
    known, names = classes_of(bank), classes_of(query)
    if known is None or names is None or known == names:
        return None
    place = {name: i for i, name in enumerate(known)}
    lacking = [i for i, name in enumerate(names) if name not in place]
    if lacking:
        lacking = sorted(set(lacking) & used_classes(query, len(names)))
    if lacking:
        raise UserError(
            f'{len(lacking)} of the {len(names)} classes of the images to '
            f'classify, such as {names[lacking[0]]!r}, are not among the '
            f'{len(known)} classes of the bank ({listed(known)}): give both '
            'the same class folders.')
    return [place.get(name, -1) for name in names]


def check_same_numbers(train: Sequence[str] | None, dataset: Any,
                       split: str) -> None:
    """Refuse images whose classes are numbered differently from training.

    Data sets without class names cannot be compared, and pass.

    Args:
        train (Sequence[str], optional): Class names of the training.
        split (str): What to call ``dataset`` in a message.
    """
    names = classes_of(dataset)
    if train is None or names is None or tuple(train) == names:
        return
    wrong = [
        i for i in sorted(used_classes(dataset, len(names)))
        if i >= len(train) or i >= len(names) or train[i] != names[i]
    ]
    if not wrong:
        return
    odd = sorted(set(train) ^ set(names)) or [names[wrong[0]]]
    raise UserError(
        f'the {split} images number their classes otherwise than the training '
        f'({listed(names)} instead of {listed(train)}): give both the same '
        f'class folders, of which {odd[0]!r} may be empty.')


def listed(names: Sequence[str]) -> str:
    """The first names of many."""
    text = ', '.join(names[:4])
    return text if len(names) <= 4 else f'{text} ...'
