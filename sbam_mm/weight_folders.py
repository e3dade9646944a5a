# Copyright (c) OpenMMLab. All rights reserved.
"""Checkpoints that are folders, as hubs and ``save_pretrained`` have them.

The weights are one file or several; of several, an index says which tensor is
in which. ``config.json`` beside them says for which grid of patches the
positions are made.
"""
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.files import read_json

WEIGHTS = ('model.safetensors', 'pytorch_model.bin')


def weight_files(path: str | Path) -> dict[Path, set[str]]:
    """The files of a folder's weights, and the tensors promised of each.

    Nothing is promised of a single file. ``path`` may also be that, or the
    index of several, "model.safetensors.index.json".

    Raises:
        UserError: If there are no weights, or one of the files is missing.
    """
    folder = Path(path)
    if not folder.exists():
        raise UserError(f'the checkpoint {path} does not exist; check the '
                        'path.')
    named = [folder] if folder.is_file() else [
        folder / name for weights in WEIGHTS
        for name in (f'{weights}.index.json', weights)]
    found = next((file for file in named if file.is_file()), None)
    if found is None:
        raise UserError(
            f'the folder {path} has no weights ({", ".join(WEIGHTS)}, whole '
            'or with an index); name the file of the weights.')
    if found.suffix != '.json':
        return {found: set()}
    files: dict[Path, set[str]] = {}
    for key, name in read_json(found, weight_map=dict)['weight_map'].items():
        # Beside the index, and nowhere else.
        if not isinstance(name, str) or Path(name).name != name:
            raise UserError(f'{found} is damaged (it names {name!r:.60} as a '
                            'file beside it); download it again.')
        files.setdefault(found.parent / name, set()).add(key)
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        raise UserError(
            f'{found.parent} lacks {len(missing)} of the {len(files)} files '
            f'that {found.name} names ({", ".join(missing[:3]) or "none"}); '
            'copy or download it again, with all of its files.')
    return files


def read_folder(path: str | Path,
                read: Callable[[str], Any]) -> OrderedDict[str, Any]:
    """All weights of a folder, or of an index of files.

    Args:
        read (Callable): Reads one file.

    Raises:
        UserError: If a file does not hold what the index says.
    """
    weights: OrderedDict[str, Any] = OrderedDict()
    for file, promised in weight_files(path).items():
        content = read(str(file))
        lacking = sorted(promised - set(content))
        if lacking:
            raise UserError(
                f'{file} lacks {len(lacking)} tensors that the index beside '
                f'it promises ({lacking[0]}); it is of another model or '
                'incomplete, so copy or download the folder again.')
        weights.update(content)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    config = folder / 'config.json'
    grid = stated_grid(read_json(config)) if config.is_file() else None
    if grid is not None:
        # Where modules of this project leave theirs in a state dict.
        weights._metadata = {  # type: ignore[attr-defined]
            '': dict(version=1, grid=grid)}
    return weights


def stated_grid(config: Mapping[str, Any]) -> list[int] | None:
    """Patches per column and per row, by a config of transformers or timm.

    Example:
        >>> stated_grid(dict(image_size=[32, 48], patch_size=8))
        [4, 6]
    """
    options = config.get('model_args')
    image, patch = (
        (options.get('img_size'), options.get('patch_size'))
        if isinstance(options, dict) else
        (config.get('image_size'), config.get('patch_size')))
    sides, patches = (
        value if isinstance(value, (list, tuple)) else [value, value]
        for value in (image, patch))
    if len(sides) != 2 or len(patches) != 2 or not all(
            isinstance(value, int) and value > 0
            for value in (*sides, *patches)):
        return None
    return [side // patch for side, patch in zip(sides, patches)]
