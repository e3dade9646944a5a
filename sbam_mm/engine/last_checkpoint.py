# Copyright (c) OpenMMLab. All rights reserved.
"""The newest complete checkpoint of a folder.

mmengine trusts the file ``last_checkpoint``, which a process that dies while
saving leaves empty, or naming half a file.
"""
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sbam_mm.errors import UserError
from sbam_mm.safe_loading import HoldsObjects, load_pickled, read_checkpoint

# Without optimizer: mmengine's best one so far.
NO_RESUME = ('best_', '.')


class AllDamaged(UserError):
    """There are checkpoints, and none of them can be read."""


@dataclass(frozen=True)
class LastCheckpoint:
    """The checkpoint to resume from, if any, and a note on damaged ones."""
    path: str | None
    note: str = ''


def last_checkpoint(folder: str | Path) -> LastCheckpoint:
    """Look for the newest checkpoint that can be read from start to end.

    "Newest" goes by the time in the checkpoint, which copying does not
    change. The folder need not exist.

    Raises:
        AllDamaged: If there are checkpoints and none can be read.
        HoldsObjects: If one of them holds objects that could run code.
    """
    found: list[tuple[str, int, Path]] = []
    broken: list[str] = []
    for path in sorted(Path(folder).glob('*.pth')):
        if path.name.startswith(NO_RESUME) or not path.is_file():
            continue
        try:
            saved = _saved(path)
        except HoldsObjects:
            read_checkpoint(str(path))  # says so in a sentence
            raise
        except Exception:  # half a file raises whatever it likes
            broken.append(path.name)
        else:
            found += [(*saved, path)] if saved else []
    for _, _, path in sorted(found, reverse=True):
        if _is_whole(path):
            note = (f'{", ".join(broken)} is damaged, so the run goes on with '
                    f'{path.name}.' if broken else '')
            return LastCheckpoint(str(path), note)
        broken.append(path.name)
    if broken:
        raise AllDamaged(
            f'none of the checkpoints in {folder} can be read '
            f'({", ".join(broken)}); copy one back that is whole, or leave '
            'out --resume and give another --work-dir.')
    return LastCheckpoint(None)


def _saved(path: Path) -> tuple[str, int] | None:
    """When a checkpoint was made, by the clock and by iterations.

    None of a file that is no checkpoint of a run, such as bare weights.
    """
    # Maps the tensors and reads only what stands around them.
    content = load_pickled(path, map_location='cpu', mmap=_is_zip(path))
    if not isinstance(content, dict) or 'message_hub' not in content:
        return None
    meta = content.get('meta') or {}
    return str(meta.get('time', '')), int(meta.get('iter', 0))


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _is_whole(path: Path) -> bool:
    """Whether every byte is as it was written."""
    if not _is_zip(path):
        return True  # torch's older format, which was read completely
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False
