# Copyright (c) OpenMMLab. All rights reserved.
"""The software and machine that made a result."""
import os
import platform
import subprocess
from importlib import import_module
from pathlib import Path


def collect_versions() -> dict[str, str]:
    """Python, torch, the OpenMMLab stack, processor and accelerators."""
    versions = {'Python': platform.python_version()}
    for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmpretrain',
                 'sbam_mm'):
        versions[name] = import_module(name).__version__
    versions['Processor'] = f'{processor()}, {os.cpu_count()} cores'
    import torch
    if torch.cuda.is_available():
        names = [
            torch.cuda.get_device_name(i)
            for i in range(torch.cuda.device_count())
        ]
        versions['Accelerators'] = ', '.join(names)
    versions['System'] = platform.platform(terse=True)
    return versions


def processor() -> str:
    """The processor's name as its maker writes it."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def git_commit(root: Path) -> str:
    """Of the checkout that ``root`` is, "-dirty" if changed, or ""."""
    def git(*words: str) -> str:
        try:
            return subprocess.run(['git', '-C', root, *words],
                                  capture_output=True, text=True,
                                  check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ''

    # An installed copy may lie within somebody else's checkout.
    top = git('rev-parse', '--show-toplevel')
    if not top or Path(top).resolve() != root.resolve():
        return ''
    return git('describe', '--always', '--dirty', '--abbrev=40',
               '--exclude=*')
