# Copyright (c) OpenMMLab. All rights reserved.
"""Position tables know the grid of patches they were made for.

A table is (1, E + h * w, D) or so, and nothing in it tells 2 x 3 patches from
3 x 2, or 2 x 8 from 4 x 4. Models of this project store the grid beside their
weights, in what PyTorch keeps of every module with a state dict; of older
files the config in their ``meta`` is read, as data. Other projects' tables are
square.
"""
import math
from collections.abc import Collection, Mapping
from typing import (
    Any,
    NamedTuple,
)

from mmpretrain.models.utils import resize_pos_embed, to_2tuple
from torch import Tensor, nn

from sbam_mm.errors import UserError

from .stored_config import stored_options

Grid = tuple[int, int]
KEY = 'grid'


class Table(NamedTuple):
    """A table of positions in a model, by its key in the state dict.

    ``grid`` is (patches per column, per row), ``extra`` the number of rows in
    front of the patches', and ``mode`` how it is interpolated.
    """
    key: str
    grid: Grid
    extra: int
    mode: str


def grid_of(module: nn.Module) -> Grid | None:
    """For which patches a module's own table is made, None without one."""
    grid = getattr(module, 'patch_resolution', None)
    if grid is None:
        grid = getattr(module, 'grid', None)
    return (grid[0], grid[1]) if isinstance(grid, (tuple, list)) else None


def table_of(module: nn.Module, prefix: str = '') -> Table | None:
    grid = grid_of(module)
    for name in ('pos_embed', 'decoder_pos_embed'):
        table = getattr(module, name, None)
        if grid is not None and isinstance(table, Tensor):
            return Table(prefix + name, grid,
                         table.shape[1] - grid[0] * grid[1],
                         getattr(module, 'interpolate_mode', 'bicubic'))
    return None


def check_count(count: int, table: Tensor, extra: int = 0) -> None:
    """Stop unless ``count`` tokens have a position in a table (1, M, D).

    The first ``extra`` positions need not be asked for.
    """
    if not table.shape[1] - extra <= count <= table.shape[1]:
        raise UserError(
            f'{count} tokens per image came to a decoder with '
            f'{table.shape[1]} positions; set img_size and patch_size of '
            'model.neck to those of the images.')


def remember_grid(module: nn.Module) -> None:
    """Let a module's state dicts say for which grid its tables are made.

    Where such a state dict is loaded into a module of another grid, tables
    of absolute positions are resized. The module has its grid in
    ``patch_resolution`` or ``grid``.
    """
    module._register_state_dict_hook(_store)
    handle = module._register_load_state_dict_pre_hook(
        resize_own, with_module=True)
    # Before mmpretrain's own, which takes every grid for a square.
    module._load_state_dict_pre_hooks.move_to_end(handle.id, last=False)


def _store(module: nn.Module, state: Any, prefix: str,
           metadata: dict[str, Any]) -> None:
    grid = grid_of(module)
    if grid is not None:
        metadata[KEY] = [int(side) for side in grid]


def resize_own(module: nn.Module, state: dict[str, Any], prefix: str,
               metadata: Mapping[str, Any], *args: Any) -> None:
    """Before loading: bring a module's table to the module's grid."""
    stored = metadata.get(KEY)
    if not stored or tuple(stored) == grid_of(module):
        return
    check_relative(module, state, prefix, [(stored[0], stored[1])],
                   'the state dict')
    table = table_of(module, prefix)
    if table is not None and table.key in state:
        count = state[table.key].shape[1] - table.extra
        if count == stored[0] * stored[1]:
            state[table.key] = resize_pos_embed(
                state[table.key], tuple(stored), table.grid, table.mode,
                table.extra)


def stored_grids(checkpoint: Any) -> frozenset[Grid]:
    """The grids that a checkpoint, or a state dict, says its tables have.

    Example:
        >>> from sbam_mm.models import MaskedViT
        >>> vit = MaskedViT('tiny', img_size=(16, 24), patch_size=8)
        >>> stored_grids(dict(state_dict=vit.state_dict()))
        frozenset({(2, 3)})
    """
    found = set()
    states = [checkpoint]
    if isinstance(checkpoint, Mapping):
        states += [part for part in checkpoint.values()
                   if isinstance(part, Mapping)]
    for state in states:
        for told in dict(getattr(state, '_metadata', None) or {}).values():
            grid = told.get(KEY) if isinstance(told, Mapping) else None
            if isinstance(grid, (list, tuple)) and len(grid) == 2:
                found.add((int(grid[0]), int(grid[1])))
    if not found and isinstance(checkpoint, Mapping):
        grid = _grid_of_config(checkpoint)
        found |= {grid} if grid else set()
    return frozenset(found)


def _grid_of_config(checkpoint: Any) -> Grid | None:
    """The backbone's grid in a stored config."""
    options = stored_options(checkpoint, 'model', 'backbone')
    if options is None:
        return None
    try:
        height, width = to_2tuple(options.get('img_size', 224))
        patch = (math.prod(options['patch_sizes'])
                 if 'patch_sizes' in options else options.get(
                     'patch_size', 16))
        return int(height) // int(patch), int(width) // int(patch)
    except (ValueError, TypeError, ZeroDivisionError):
        return None


def fit_tables(model: nn.Module,
               state: Mapping[str, Tensor],
               grids: Collection[Grid] = (),
               name: str = 'the checkpoint') -> dict[str, Tensor]:
    """Weights, by a model's names, whose tables are resized to its grid.

    ``grids`` are those of :func:`stored_grids`, or what the user says.

    Raises:
        UserError: If a table's grid is not known, or its positions are
            relative and of another grid.
    """
    fitted = dict(state)
    for path, module in model.named_modules():
        prefix = f'{path}.' if path else ''
        check_relative(module, fitted, prefix, grids, name)
        table = table_of(module, prefix)
        own = getattr(module, table.key[len(prefix):]) if table else None
        value = fitted.get(table.key) if table else None
        if (table is None or value is None or own is None
                or value.dim() != own.dim()
                or value.shape[-1] != own.shape[-1]):
            continue
        count = value.shape[1] - table.extra
        if table.extra == 0 and value.shape[1] == own.shape[1] + 1:
            continue  # mmpretrain takes the class token's row off
        grid = _true_grid(count, table, grids, name)
        if grid != table.grid:
            fitted[table.key] = resize_pos_embed(value, grid, table.grid,
                                                 table.mode, table.extra)
    return fitted


def _true_grid(count: int, table: Table, grids: Collection[Grid],
               name: str) -> Grid:
    """The grid of a file's table, as far as it can be known."""
    known = {grid for grid in grids if grid[0] * grid[1] == count}
    if table.grid in known:
        return table.grid
    if len(known) == 1:
        return known.pop()
    side = math.isqrt(max(count, 0))
    # As many positions as the model's, which are no square: either of two.
    same = count == table.grid[0] * table.grid[1]
    if (not known and count > 0 and side**2 == count
            and (not same or table.grid == (side, side))):
        return side, side
    raise UserError(
        f'{name} does not say for which grid its {count} positions '
        f'{table.key} are made, which the model wants for {table.grid[0]} x '
        f'{table.grid[1]} patches; write it into the file with `'
        'tools/convert_checkpoint.py SRC DST --to ours --grid ROWS COLUMNS`.')


def check_relative(module: nn.Module, state: Mapping[str, Tensor],
                   prefix: str, grids: Collection[Grid], name: str) -> None:
    """Stop if relative positions are, or may be, those of another grid.

    Of all modules only BEiT's encoders with one table for all blocks are
    looked at; ``grids`` are those known for the file.
    """
    grid = grid_of(module)
    key = f'{prefix}rel_pos_bias.relative_position_bias_table'
    if grid is None or key not in state or getattr(
            module, 'rel_pos_bias', None) is None:
        return
    rows = len(state[key]) - 3
    known = {(h, w) for h, w in grids
             if (2 * h - 1) * (2 * w - 1) == rows}
    if rows != (2 * grid[0] - 1) * (2 * grid[1] - 1) or grid in known:
        return  # other sizes are told from their shapes
    if known or grid[0] != grid[1]:
        theirs = ' or '.join(f'{h} x {w}' for h, w in sorted(known))
        raise UserError(
            f'{name} has relative positions {key} of '
            f'{theirs or "an unknown grid of"} patches, the model of '
            f'{grid[0]} x {grid[1]}; build the model with the img_size of the '
            'checkpoint.')
