# Copyright (c) OpenMMLab. All rights reserved.
"""What gets installed, as a wheel and as an editable install."""
import ast
import email
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('sbam_mm', 'tools', 'configs', 'setup.py', 'pyproject.toml',
           'MANIFEST.in', 'model-index.yml', 'constraints.txt', 'LICENSE',
           'README.md')


def copy_sources(target):
    """Copy what is built: builds write next to the sources."""
    target.mkdir()
    ignore = shutil.ignore_patterns('__pycache__', '.mim')
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copy2(source, target / name)
    return target


@pytest.fixture
def checkout(tmp_path):
    return copy_sources(tmp_path / 'checkout')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A built wheel, with the checkout beside it."""
    folder = tmp_path_factory.mktemp('wheel')
    checkout = copy_sources(folder / 'checkout')
    pip('wheel', str(checkout), '--wheel-dir', str(folder))
    # The source tree itself stays as it was.
    assert not (checkout / 'sbam_mm' / '.mim').exists()
    wheel, = folder.glob('sbam_mm-*.whl')
    return wheel


def pip(*args):
    result = subprocess.run([
        sys.executable, '-m', 'pip', *args, '--no-deps', '--no-index',
        '--no-build-isolation', '--quiet'
    ],
                            capture_output=True,
                            text=True,
                            timeout=300)
    assert result.returncode == 0, result.stderr


@pytest.mark.integration
def test_wheel_contains_mim(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name in ('model-index.yml', 'configs/sbam/metafile.yml',
                 'tools/train.py', 'tools/dist_train.sh'):
        assert f'sbam_mm/.mim/{name}' in names
    assert 'sbam_mm/registry.py' in names
    assert 'sbam_mm/py.typed' in names
    assert {f'sbam_mm/visualization/page_files/{name}' for name in (
        'page.html', 'style.css', 'script.js')} <= names
    assert {'sbam_mm/adapters/hf.py', 'sbam_mm/packed/layout.py'} <= names
    assert not [name for name in names if name.startswith('tests')]


def wheel_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name, = (name for name in archive.namelist()
                 if name.endswith('.dist-info/METADATA'))
        return email.message_from_bytes(archive.read(name))


@pytest.mark.integration
def test_metadata_of_the_wheel(wheel):
    """What an index shows, and what each extra installs."""
    about = wheel_metadata(wheel)
    assert about['Description-Content-Type'] == 'text/markdown'
    assert about.get_payload().startswith('# sbam_mm')
    assert about['License-Expression'] == 'Apache-2.0'
    assert about['License-File'] == 'LICENSE'
    required = about.get_all('Requires-Dist')
    assert {line for line in required if 'extra' not in line} == {
        'numpy', 'torch'}
    extras = {extra: {line.split(';')[0] for line in required
                      if f'extra == "{extra}"' in line}
              for extra in about.get_all('Provides-Extra')}
    assert extras['timm'] == {'timm'}
    assert extras['hf'] == {'accelerate', 'transformers'}
    assert extras['lightly'] == {'lightly', 'timm'}
    assert extras['sam'] == extras['segments']
    assert {'mmengine', 'torchvision', 'scikit-learn'} <= extras['openmmlab']
    assert {'onedl-mmengine', 'torchvision'} <= extras['onedl']
    # What continuous integration tests has every adapter's library, pinned.
    assert (extras['timm'] | extras['hf'] | extras['lightly']
            <= extras['dev'])
    pins = {line.split('==')[0] for line in
            (ROOT / 'constraints.txt').read_text().splitlines()}
    assert {re.split('[<>=]', name)[0].lower()
            for name in extras['dev']} <= pins


@pytest.mark.integration
def test_editable_install_links_mim(checkout, tmp_path):
    site = Path(sysconfig.get_path('purelib'))
    before = sorted(site.glob('*sbam_mm*'))
    # Without --ignore-installed pip would first uninstall the package that
    # these tests run from, --prefix or not.
    pip('install', '--ignore-installed', '--editable', str(checkout),
        '--prefix', str(tmp_path / 'prefix'))
    assert sorted(site.glob('*sbam_mm*')) == before
    mim = checkout / 'sbam_mm' / '.mim'
    # A link, so that an edited config takes effect without a reinstall.
    (checkout / 'configs' / 'mine.py').write_text('lr = 1')
    assert (mim / 'configs' / 'mine.py').exists()
    assert (mim / 'tools' / 'train.py').exists()
    assert (mim / 'model-index.yml').exists()
    assert not (mim / 'configs').readlink().is_absolute()


def metafiles():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [ROOT / name for name in index['Import']]


@pytest.mark.parametrize('path', metafiles(), ids=lambda path: path.name)
def test_metafile_lists_what_exists_and_claims_nothing(path):
    metafile = yaml.safe_load(path.read_text())
    collections = {item['Name'] for item in metafile['Collections']}
    for model in metafile['Models']:
        assert model['In Collection'] in collections
        assert (ROOT / model['Config']).exists(), model['Config']
        # Numbers are for models that were trained and can be downloaded.
        assert ('Results' in model) == ('Weights' in model)


def test_neither_stack_is_a_hard_requirement():
    tree = ast.parse((ROOT / 'setup.py').read_text())
    required = next(
        ast.literal_eval(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == 'install_requires')
    assert not [name for name in required if 'mm' in name]


def test_every_constraint_is_an_exact_pin():
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith('#')]
    assert pins
    assert not [pin for pin in pins if pin.count('==') != 1]
