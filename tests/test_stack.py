# Copyright (c) OpenMMLab. All rights reserved.
"""Each wrong installation gives one sentence at ``import sbam_mm.registry``.

The installations are faked by metadata folders: the check reads nothing else.
"""
import subprocess
import sys
from pathlib import Path

import pytest

from sbam_mm import __version__, installed_stack

ROOT = Path(__file__).resolve().parents[1]
ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmpretrain': '1.3.6',
}
ORIGINAL = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmpretrain': '1.2.0'}


def run_with(folder, distributions, code):
    """Runs `code` in a Python that sees nothing but `distributions`."""
    for name, version in distributions.items():
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    code = ('import sys; '
            f'sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]; ' + code)
    # -I -S: neither the environment's packages nor PYTHONPATH.
    return subprocess.run([sys.executable, '-I', '-S', '-c', code],
                          capture_output=True,
                          text=True,
                          timeout=60)


def import_with(folder, distributions):
    """Imports what imports the stack."""
    return run_with(folder, distributions, 'import sbam_mm.registry')


def check_with(folder, distributions):
    """Only checks, as no import of a faked stack succeeds."""
    return run_with(
        folder, distributions,
        'from sbam_mm import installed_stack; installed_stack.check_stack(); '
        'print(*sys.modules)')


def the_sentence(result):
    """The last line of the traceback, which must be a single sentence."""
    assert result.returncode != 0
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith('ImportError: ')
    assert error.endswith('.')
    assert '. ' not in error
    return error


@pytest.mark.parametrize('distributions', [ONEDL, ORIGINAL])
def test_one_stack_is_enough_and_the_check_is_cheap(tmp_path, distributions):
    result = check_with(tmp_path, distributions)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    modules = result.stdout.split()
    assert not {'torch', 'mmengine', 'mmpretrain'} & set(modules)


@pytest.mark.parametrize('distributions', [{}, {**ONEDL, **ORIGINAL}])
def test_the_package_itself_needs_no_stack(tmp_path, distributions):
    result = run_with(tmp_path, distributions,
                      'import sbam_mm; print(sbam_mm.__version__)')
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == __version__


@pytest.mark.parametrize('distributions', [ONEDL, ORIGINAL])
def test_the_check_comes_before_the_stack(tmp_path, distributions):
    """With nothing to complain of, the stack is what is imported next."""
    result = import_with(tmp_path, distributions)
    assert "No module named 'mmengine'" in result.stderr


@pytest.mark.parametrize('pair', [
    ('onedl-mmengine', 'mmengine'),
    ('onedl-mmcv', 'mmcv'),
    ('onedl-mmcv', 'mmcv-lite'),
    ('onedl-mmpretrain', 'mmpretrain'),
])
def test_two_distributions_of_one_name(tmp_path, pair):
    error = the_sentence(import_with(tmp_path, {**ONEDL, pair[1]: '2.0.0'}))
    assert f'pip uninstall -y {pair[0]} {pair[1]}' in error
    assert f'pip install {pair[0]}' in error


def test_no_stack(tmp_path):
    error = the_sentence(import_with(tmp_path, {}))
    assert "pip install 'sbam_mm[onedl]'" in error
    assert 'pip install onedl-mmengine onedl-mmcv onedl-mmpretrain' in error


def test_half_a_stack_is_completed_with_its_other_half(tmp_path):
    half = {name: ORIGINAL[name] for name in ('mmengine', 'mmcv')}
    error = the_sentence(import_with(tmp_path, half))
    assert 'pip install mmpretrain`' in error


@pytest.mark.parametrize('torch, warns', [('2.5.1', False), ('2.6.0', True),
                                          ('2.11.0+cu130', True)])
def test_original_mmengine_with_new_torch(tmp_path, torch, warns):
    result = check_with(tmp_path, {**ORIGINAL, 'torch': torch})
    assert result.returncode == 0, result.stderr
    assert ('cannot resume' in result.stderr) == warns


def test_source_checkout_without_metadata(tmp_path):
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain' / '__init__.py').touch()
    result = check_with(tmp_path, {
        name: ONEDL[name]
        for name in ('onedl-mmengine', 'onedl-mmcv')
    })
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('version, release', [
    ('2.11.0+cpu', (2, 11, 0)),
    ('0.10.8rc1', (0, 10)),
    ('2.6', (2, 6)),
])
def test_release(version, release):
    assert installed_stack._release(version) == release
