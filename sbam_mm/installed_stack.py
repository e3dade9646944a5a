# Copyright (c) OpenMMLab. All rights reserved.
"""Check that the OpenMMLab stack is installed, once, and usable.

mmengine hides a failed ``import sbam_mm.registry`` behind a log line and later
reports a misleading ``KeyError``. ``sbam_mm/registry.py`` checks the installed
distributions before it imports the stack, which turns the three usual causes
into one sentence each.
"""
import importlib.util
import warnings
from importlib import metadata

# Import name -> distributions that install it. The first is the maintained
# one and the one that `constraints.txt` pins.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
}


def check_stack() -> None:
    """Check the installed stack; reads metadata only, imports nothing.

    Raises:
        ImportError: If two distributions of one import name are installed, or
            if one of mmengine, mmcv and mmpretrain is missing.
    """
    versions = _installed()
    _check_one_of_each(versions)
    _check_present(versions)
    _warn_if_resume_fails(versions)


def _installed() -> dict[str, str]:
    """Versions of the installed distributions of the stack."""
    versions = {}
    for names in DISTRIBUTIONS.values():
        for name in names:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                pass
    return versions


def _check_one_of_each(versions: dict[str, str]) -> None:
    doubled: list[str] = []
    keep: list[str] = []
    for names in DISTRIBUTIONS.values():
        found = [name for name in names if name in versions]
        if len(found) > 1:
            doubled += found
            keep.append(found[0])
    if doubled:
        # Removing only one of a pair deletes files of the other as well,
        # hence all of them go and one comes back.
        raise ImportError(
            f"{' and '.join(doubled)} are installed together and overwrite "
            "each other's files, so run `pip uninstall -y "
            f"{' '.join(doubled)}` and then `pip install {' '.join(keep)}`.")


def _check_present(versions: dict[str, str]) -> None:
    missing = [
        module for module, names in DISTRIBUTIONS.items()
        # A source checkout on PYTHONPATH has no metadata but does import.
        if not any(name in versions for name in names)
        and importlib.util.find_spec(module) is None
    ]
    if missing:
        # Half of a stack is completed with its other half.
        original = any(
            name in versions for names in DISTRIBUTIONS.values()
            for name in names[1:])
        wanted = [DISTRIBUTIONS[module][int(original)] for module in missing]
        install = f"`pip install {' '.join(wanted)}`"
        if len(missing) == len(DISTRIBUTIONS):
            install = f"`pip install 'sbam_mm[onedl]'` (or {install})"
        raise ImportError(
            'all of sbam_mm but its maskers and adapters needs '
            f"{', '.join(missing)}, not found in this environment, so run "
            f'{install}.')


def _warn_if_resume_fails(versions: dict[str, str]) -> None:
    mmengine = versions.get('mmengine', versions.get('mmengine-lite'))
    if mmengine is None:
        return
    try:
        torch = metadata.version('torch')
    except metadata.PackageNotFoundError:
        return
    if _release(mmengine) < (0, 10, 8) and _release(torch) >= (2, 6):
        warnings.warn(
            f'mmengine {mmengine} cannot resume or load its own checkpoints '
            f'with torch {torch}, whose torch.load reads weights only by '
            'default, so use onedl-mmengine or torch<2.6.',
            stacklevel=3)


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: '2.11.0+cpu' -> (2, 11, 0)."""
    numbers = []
    for part in version.split('+')[0].split('.'):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
