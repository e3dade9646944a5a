# Copyright (c) OpenMMLab. All rights reserved.
"""Packaging of ``sbam_mm``.

Everything is declared here; ``pyproject.toml`` only names the build system
and configures the development tools.
"""
import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What `mim` (train, test, download ...) looks for in `sbam_mm/.mim`.
MIM_FILES = ('tools', 'configs', 'model-index.yml')


class BuildWithMim(build_py):
    """Puts tools, configs and the model index into ``sbam_mm/.mim``.

    OpenMMLab's own packages look for 'develop' in ``sys.argv``, which a modern
    ``pip install -e .`` (PEP 660) never passes, so their editable installs
    have no ``.mim``. This command runs in both kinds of build: a wheel gets a
    copy, an editable install gets links, so that edited configs take effect.
    """

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):
            self.link_mim(ROOT / 'sbam_mm' / '.mim')
        else:
            self.copy_mim(Path(self.build_lib) / 'sbam_mm' / '.mim')

    def copy_mim(self, target):
        target.mkdir(parents=True, exist_ok=True)
        for name in MIM_FILES:
            copy(ROOT / name, target / name)

    def link_mim(self, target):
        target.mkdir(parents=True, exist_ok=True)
        for name in MIM_FILES:
            remove(target / name)
            try:
                # Relative, so that a moved checkout keeps working.
                os.symlink(Path('..', '..', name), target / name)
            except OSError:  # a file system without symbolic links
                copy(ROOT / name, target / name)


def remove(path):
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def copy(source, target):
    remove(target)
    if source.is_dir():
        shutil.copytree(
            source, target, ignore=shutil.ignore_patterns('__pycache__'))
    else:
        shutil.copy2(source, target)


def read_version():
    text = (ROOT / 'sbam_mm' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"__version__ = '(.+)'", text).group(1)


def read_readme():
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


# What maskers and adapters do without, beside the OpenMMLab stack.
TRAINING = [
    'packaging', 'pillow', 'rich', 'safetensors', 'scikit-learn', 'tifffile',
    'torchvision'
]
TIMM = ['timm']
# accelerate: for transformers.Trainer.
HF = ['accelerate', 'transformers']
LIGHTLY = ['lightly', 'timm']
SAM = ['scikit-image', 'transformers']
# Of the maintained distribution; installs without compiling anything.
SEGMENTATION = ['onedl-mmsegmentation']
REPORT = ['jinja2', 'matplotlib', 'scikit-image', 'tensorboard']
# 6: the version whose themes and events tools/explore.py uses.
EXPLORE = ['gradio>=6', 'matplotlib', 'scikit-image']
DOCS = ['furo', 'myst-nb', 'sphinx', 'sphinx-copybutton']

setup(
    name='sbam_mm',
    version=read_version(),
    description='Salience-Based Adaptive Masking for masked image modelling: '
    'maskers for OpenMMLab, transformers, timm, lightly and plain PyTorch',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    author='The contributors of sbam_mm',
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    keywords=[
        'masked image modelling', 'MAE', 'masking', 'self-supervised learning',
        'vision transformer'
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['sbam_mm', 'sbam_mm.*']),
    package_data={
        'sbam_mm': ['py.typed'],
        # What write_page makes a page of.
        'sbam_mm.visualization': ['page_files/*'],
    },
    cmdclass={'build_py': BuildWithMim},
    # Neither OpenMMLab distribution is required here: the original and the
    # maintained one share their import names and overwrite each other's
    # files, so the choice is the user's, made through an extra. Without one
    # there are the maskers and the adapters.
    install_requires=['numpy', 'torch'],
    extras_require={
        'onedl':
        ['onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', *TRAINING],
        # mmcv's compiled operators, which only detection needs, do not build
        # with a recent setuptools.
        'openmmlab': ['mmengine', 'mmcv-lite', 'mmpretrain', *TRAINING],
        # For those who have one of both stacks.
        'training': TRAINING,
        # docs/use_with.md: the libraries of sbam_mm.adapters.
        'timm': TIMM,
        'hf': HF,
        'lightly': LIGHTLY,
        'report': REPORT,
        # tools/explore.py: masks in a browser.
        'explore': EXPLORE,
        # make docs: the site; notebooks/.
        'docs': DOCS,
        # docs/data.md: decodes JPEGs for decode='fast'.
        'jpeg': ['simplejpeg'],
        # docs/segment_bias.md: maps of segments by SAM.
        'sam': SAM,
        'segments': SAM,  # the former name
        # docs/studies.md: cells as jobs of SLURM.
        'studies': ['matplotlib', 'submitit'],
        # docs/transfer.md: detection needs mmcv's compiled operators.
        'segmentation': SEGMENTATION,
        'detection': ['onedl-mmdetection', 'pycocotools'],
        'dev':
        [
            *TRAINING, *REPORT, *SEGMENTATION, *TIMM, *HF, *LIGHTLY, *EXPLORE,
            *DOCS, 'ipykernel', 'mypy', 'playwright', 'pytest',
            'pytest-xdist', 'ruff', 'simplejpeg', 'submitit', 'types-PyYAML'
        ],
    },
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    zip_safe=False,
)
