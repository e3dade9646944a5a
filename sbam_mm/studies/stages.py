# Copyright (c) OpenMMLab. All rights reserved.
"""What is measured of a training, and after which epochs."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.evaluation.protocols import settings_of


@dataclass(frozen=True)
class Stage:
    """A protocol of ``tools/evaluate.py`` at some checkpoints of a training.

    What the training itself logs (loss, ``KNNHook``, ``MaskMetricsHook``)
    needs no stage.

    Args:
        protocol (str): "knn", "linear", "linear-sweep", "finetune",
            "fewshot".
        at (str, list or int): After which epochs: "last", "all", a list of
            epochs as integers and of shares of the training as floats in
            (0, 1], or a number n for every n-th and the last.
        settings (dict): Of the protocol, as ``--set`` changes them.
        options (list[str]): Others of ``tools/evaluate.py``, e.g.
            ["--classes", "imagenet100"].
    """
    protocol: str
    at: str | int | Sequence[int | float] = 'last'
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Sequence[str] = ()

    @property
    def changes(self) -> list[str]:
        """As ``--set`` takes them."""
        return [f'{self.protocol}.{key}={value}'.replace(' ', '')
                for key, value in self.settings.items()]

    @property
    def stored(self) -> list[Any]:
        """What decides its numbers, as JSON has it."""
        return [self.protocol, self.changes, list(self.options)]

    def epochs(self, total: int) -> list[int]:
        """Epochs of a training of ``total``.

        Example:
            >>> Stage('knn', at=[.25, 8]).epochs(10)
            [2, 8]
        """
        if self.at == 'last':
            return [total]
        if self.at == 'all':
            return list(range(1, total + 1))
        if isinstance(self.at, int):
            return sorted({*range(self.at, total + 1, self.at), total})
        assert not isinstance(self.at, str)
        found = {time if isinstance(time, int) else max(1, round(time * total))
                 for time in self.at}
        late = [epoch for epoch in found if epoch > total]
        if late:
            raise UserError(f'the stage {self.protocol} is to look at epoch '
                            f'{late[0]} of trainings that have {total}; '
                            'correct at.')
        return sorted(found)


def make_stage(content: Mapping[str, Any]) -> Stage:
    """A stage from a study file.

    Raises:
        UserError: If the protocol, its settings or the epochs are unusable.
    """
    names = ('protocol', 'at', 'settings', 'options')
    unknown = [name for name in content if name not in names]
    if unknown or 'protocol' not in content:
        raise UserError(f'a stage has {", ".join(names)}, got '
                        f'{", ".join(content)}; correct it.')
    stage = Stage(**content)
    settings_of([stage.protocol], stage.changes)
    good = stage.at in ('last', 'all')
    if isinstance(stage.at, int):
        good = stage.at > 0
    elif isinstance(stage.at, (list, tuple)):
        good = len(stage.at) > 0 and all(
            time >= 1 if isinstance(time, int) else 0 < time <= 1
            for time in stage.at)
    if not good:
        raise UserError(f'the stage {stage.protocol} has at={stage.at!r}; '
                        'give "last", "all", a number of epochs, or a list '
                        'of epochs from 1 and of shares in (0, 1].')
    return stage


