# Copyright (c) OpenMMLab. All rights reserved.
"""Arguments that several tools take."""
import argparse
import os
from typing import Any

from mmengine.config import DictAction

from sbam_mm.safe_loading import VARIABLE


class TrustPickle(argparse.Action):
    """``--trust-pickle``, which holds for every file of the process."""

    def __call__(self, parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace, *args: Any) -> None:
        os.environ[VARIABLE] = '1'


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option of every tool that reads checkpoints."""
    parser.add_argument(
        '--trust-pickle',
        action=TrustPickle,
        nargs=0,
        default=argparse.SUPPRESS,
        help='read checkpoints that hold any Python object, which runs the '
        'code in them, if there is some')


class KeyValues(DictAction):
    """mmengine's ``KEY=VALUE`` arguments, and a sentence for others.

    Several options of the same name add up.

    Raises:
        SystemExit: With status 2, for an argument without "=".

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> action = parser.add_argument('--option', nargs='+',
        ...                              action=KeyValues)
        >>> parser.parse_args(['--option', 'a=1', 'b=[2,3]']).option
        {'a': 1, 'b': [2, 3]}
    """

    def __call__(self,
                 parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace,
                 values: Any,
                 option_string: str | None = None) -> None:
        for text in values:
            if '=' not in text:
                parser.error(f'{option_string} {text} sets nothing; write '
                             'KEY=VALUE, without spaces.')
        try:
            super().__call__(parser, namespace, values, option_string)
        # mmengine's way of stumbling over "dict(" and unequal brackets.
        except (RecursionError, AssertionError):
            parser.error(f'{option_string} {" ".join(values)} cannot be read; '
                         'values are numbers, words and lists such as [1,2]; '
                         'write anything else into a config file.')
