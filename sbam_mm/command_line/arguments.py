# Copyright (c) OpenMMLab. All rights reserved.
"""Arguments that several tools take."""
import argparse
import os
import sys
from collections.abc import Callable, Sequence
from math import nan
from typing import Any, NoReturn

from sbam_mm.errors import UserError
from sbam_mm.run_switches import TRUST_PICKLE


class ToolParser(argparse.ArgumentParser):
    """Shows a tool's docstring as it is, and says what is wrong in a sentence.

    Of the processes that a launcher starts on a machine, one says it.
    """

    def __init__(self, description: str | None):
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        if os.environ.get('LOCAL_RANK', '0') == '0':
            print(f'error: {message} (see --help).', file=sys.stderr)
        sys.exit(2)


class TrustPickle(argparse.Action):
    """``--trust-pickle``, which holds for every file of the process."""

    def __call__(self, parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace, *args: Any) -> None:
        TRUST_PICKLE.turn_on()


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option of every tool that reads checkpoints."""
    parser.add_argument(
        '--trust-pickle',
        action=TrustPickle,
        nargs=0,
        default=argparse.SUPPRESS,
        help='read checkpoints that hold any Python object, which runs the '
        'code in them, if there is some')


def add_picture(parser: argparse.ArgumentParser, default: str,
                kinds: str) -> None:
    """The options of every tool that draws one picture.

    Args:
        kinds (str): ".png or .html".
    """
    parser.add_argument(
        '--dpi', type=whole(1), default=150,
        help='of a .png (default: 150)')
    parser.add_argument(
        '--out', default=default, help=f'{kinds} file (default: {default})')


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """The option of every tool that draws photographs where none is given."""
    parser.add_argument(
        '--photographs', metavar='A,B,...',
        help='which photographs of scikit-image to draw where no image is '
        'given')


def add_teacher(parser: argparse.ArgumentParser, when: str = '') -> None:
    """The option of every tool whose maskers may ask a teacher."""
    parser.add_argument(
        '--teacher',
        metavar='TEACHER',
        help=f'{when}whom the masker asks: timm:NAME or hf:NAME, with =FILE '
        'for weights of your own; a folder that timm or transformers wrote; '
        'or a checkpoint of an encoder like the model')


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The ``type`` of an argument that is a whole number in [low, high]."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            end = '' if high is None else f' to {high}'
            raise argparse.ArgumentTypeError(
                f'a whole number from {low}{end} is wanted, got {text!r}')
        return value

    return read


# What random number generators of numpy take.
SEED = whole(0, 2**32 - 1)


def share(text: str) -> float:
    """The ``type`` of an argument that is a number in [0, 1]."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f'a share from 0 to 1 is wanted, got {text!r}')
    return value


def device(text: str) -> str:
    """The ``type`` of an argument that names a device of this machine.

    "auto" is CUDA's where there is one, else the CPU.
    """
    if text == 'cpu':
        return text
    import torch
    if text == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=text)
    # torch tells of a wrong name, a missing driver and a missing device.
    except (RuntimeError, AssertionError):
        raise argparse.ArgumentTypeError(
            f'this machine has no device {text!r}; cpu is always there, and '
            f'torch sees {torch.cuda.device_count()} of cuda') from None
    return text


def read_value(text: str) -> Any:
    """A number, True, False, None, a word, or a list of these like [1,2].

    Example:
        >>> read_value('[x,(2.5,True)]')
        ['x', (2.5, True)]
    """
    from mmengine.config import DictAction
    try:
        return DictAction._parse_iterable(text)
    # mmengine's way of stumbling over "dict(" and unequal brackets.
    except (RecursionError, AssertionError) as error:
        raise UserError(
            f'the value {text} cannot be read; values are numbers, words and '
            'lists such as [1,2]; write anything else into a config file.'
        ) from error


def key_values(words: Sequence[str], option: str) -> dict[str, Any]:
    """Read the ``KEY=VALUE`` words behind an option."""
    found = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals:
            raise UserError(f'{option} {word} sets nothing; write KEY=VALUE, '
                            'without spaces.')
        found[key] = read_value(value)
    return found


class KeyValues(argparse.Action):
    """An option of ``KEY=VALUE`` words; options of the same name add up."""

    def __call__(self, parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace, values: Any,
                 option: str | None = None) -> None:
        before = getattr(namespace, self.dest) or {}
        try:
            read = key_values(values, option or self.dest)
        except UserError as error:
            parser.error(str(error))
        setattr(namespace, self.dest, {**before, **read})


def launch_parser(description: str | None) -> ToolParser:
    """The options that every launched tool has."""
    parser = ToolParser(description)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='where everything goes that is written (default: the work_dir '
        'of the config, or work_dirs/<config name>)')
    parser.add_argument(
        '--data-root',
        help='folder of the data set, for configs that read DATA_ROOT')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValues,
        metavar='KEY=VALUE',
        help='override values of the config, e.g. '
        'model.masker.delta=0.2 or "betas=(0.9,0.95)"')
    add_trust(parser)
    add_launcher(parser)
    return parser


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """The options by which a launcher says what it started."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started this process')
    # Passed by launchers older than torchrun; torchrun sets LOCAL_RANK.
    parser.add_argument(
        '--local-rank',
        '--local_rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS)


def parse_launch_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line and tell mmengine the process's number."""
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
