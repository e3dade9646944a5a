# Copyright (c) OpenMMLab. All rights reserved.
"""How every tool reads its command line, starts, and says what is wrong.

Importing this needs neither torch nor mmengine.
"""
from .arguments import (
    SEED,
    KeyValues,
    ToolParser,
    add_launcher,
    add_photographs,
    add_picture,
    add_teacher,
    add_trust,
    device,
    key_values,
    launch_parser,
    parse_launch_args,
    read_value,
    share,
    whole,
)
from .explain import sentence_of
from .start import keep_tracebacks_in, parses_first, run_or_explain, tool

__all__ = [
    'KeyValues', 'SEED', 'ToolParser', 'add_launcher',
    'add_photographs', 'add_picture', 'add_teacher',
    'add_trust', 'device', 'keep_tracebacks_in', 'key_values',
    'launch_parser', 'parse_launch_args', 'parses_first', 'read_value',
    'run_or_explain', 'sentence_of', 'share', 'tool', 'whole'
]
