# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers run with torch and nothing else that is installed."""
import subprocess
import sys
from pathlib import Path

import pytest

from sbam_mm.errors import MissingLibrary

ROOT = Path(__file__).parents[2]
# torch and what it imports by itself are there; of the rest, nothing.
WITH_TORCH_ALONE = '''
import sys
import torch.utils.checkpoint  # of older torch, with sympy
there = {name.split('.')[0] for name in sys.modules}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split('.')[0]
        if top not in there | {'sbam_mm'} | set(sys.stdlib_module_names):
            raise ModuleNotFoundError(f'No module named {top!r}', name=top)

for name in ('mmengine', 'mmcv', 'mmpretrain', 'torchvision', 'PIL',
             'matplotlib'):
    assert name not in there, name
sys.meta_path.insert(0, Refuse())
from sbam_mm.masking import *
'''
ALL_MASKERS = '''
tokens = torch.randn(2, 196, 16)
received = torch.rand(2, 12, 196)
parts = torch.randint(0, 7, (2, 196)).byte()
context = MaskingContext(
    tokens, (14, 14), images=torch.randn(2, 3, 224, 224), progress=.5,
    providers=dict(
        attention=lambda *which: received,
        teacher_attention=lambda *which: received,
        attention_map=lambda: received.mean(1),
        predicted_loss=lambda: received.sum(1),
        layer_tokens=lambda layer: tokens,
        part_map=lambda: parts))
for masker, hidden in [
        (SBM(), 147), (IncomingMasker(), 147), (SBAM(delta_r=0.), 147),
        (AMT(), 88), (AM(), 147), (RandomThrow(), 88), (GPA(), 147),
        (AttMask('hint', .75, probability=1., show=0.), 147),
        (AttMask('high', .75, probability=1., source='self'), 147),
        (HPMMasker(), 147), (MILANMasker(), 147), (RandomMasker(), 147),
        (RandomRatioMasker(delta_r=0.), 147), (BlockMasker(), 79),
        (BootMAEMasker(), 147), (UniformMasker(), 147), (GridMasker(), 147),
        (SemMAEMasker(), 147), (SBM(cell=2, rounding='floor'), 148),
        (MaskSomeViews(SBM(), probability=1.), 147),
        (ColorMAEMasker(), 147), (ColorMAEMasker('red'), 147),
        (InverseBlockMasker(), 157), (SelfGuidedMasker(), 147),
        (InverseBlockMasker(.65, 'ceil', size=None), 127),
        (CurriculumMasker(), 147),
        (Masker(NoSalience(), FixedRatio(.5), Bump()), 98)]:
    assert masker(context).masked.sum(1).tolist() == [hidden] * 2, masker
assert (IBOTMasker()(context).masked.sum(1) <= 98).all()
assert (IJEPAMasker()(context).masked.sum(1) <= 160).all()
assert 'mmengine' not in sys.modules
'''


def run(code):
    return subprocess.run([sys.executable, '-c', WITH_TORCH_ALONE + code],
                          cwd=ROOT,
                          capture_output=True,
                          text=True,
                          timeout=300)


def test_every_masker():
    result = run(ALL_MASKERS)
    assert result.returncode == 0, result.stderr


def test_every_preset_is_among_them():
    from sbam_mm import masking
    for name in masking.__all__:
        kind = getattr(masking, name)
        if isinstance(kind, type) and issubclass(
                kind, (masking.Masker, masking.MaskSomeViews)):
            assert f'{name}(' in ALL_MASKERS, name


@pytest.mark.parametrize('code, words', [
    ("SBAM(noise=float('nan'))", 'noise=nan of SBAM is no finite number'),
    ('SBAM(ratio=2.)', 'leaves [0, 1)'),
    ("MaskSomeViews(dict(type='sbam_mm.SBAM'))", "No module named 'mmengine'"),
])
def test_what_is_wrong_is_said_without_the_stack(code, words):
    """Only a config needs the registry, and with it the stack."""
    result = run(code)
    assert result.returncode != 0
    assert words in result.stderr.splitlines()[-1]


ADAPTERS = '''
import sbam_mm.adapters
from sbam_mm.adapters import asking, lightly, stable_pretraining
tokens = torch.randn(2, 16, 8)
mask = SBAM()(tokens, (4, 4))
assert mask.masked.shape == (2, 16)
masking = stable_pretraining.PatchMasking(SBM())
assert masking(tokens, 4, 4).visible.shape == (2, 4, 8)
from sbam_mm.packed import PackedLayout
assert PackedLayout(mask.visible).pack(tokens).shape[1] == 8
'''


def test_adapters_whose_library_is_handed_in():
    result = run(ADAPTERS)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('adapter, library, extra', [
    ('hf', 'transformers', 'hf'), ('timm', 'timm', 'timm'),
    ('packed', 'timm', 'timm')])
def test_other_adapters_name_their_extra(adapter, library, extra):
    result = run(f'import sbam_mm.adapters.{adapter}')
    assert result.stderr.splitlines()[-1] == (
        f'sbam_mm.errors.MissingLibrary: this adapter of sbam_mm needs '
        f'{library}, which is not installed; run `pip install '
        f"'sbam_mm[{extra}]'`.")
    assert issubclass(MissingLibrary, ModuleNotFoundError)


def test_nothing_else_is_imported_where_it_is_installed():
    """So it takes a fraction of a second."""
    code = (
        'import sys, torch; before = set(sys.modules); '
        'import sbam_mm, sbam_mm.masking, sbam_mm.adapters; '
        'print(*{name.split(".")[0] for name in set(sys.modules) - before}); '
        'print("sbam_mm.registry" in sys.modules)')
    out = subprocess.run([sys.executable, '-c', code],
                         cwd=ROOT,
                         capture_output=True,
                         text=True,
                         check=True,
                         timeout=300).stdout
    new, registry = out.splitlines()
    assert set(new.split()) - set(sys.stdlib_module_names) == {'sbam_mm'}
    assert registry == 'False'


def test_the_registry_has_all_that_is_listed():
    from torch import nn

    from sbam_mm import masking
    from sbam_mm.registry import MODELS
    kinds = [
        kind for kind in map(vars(masking).get, masking.__all__)
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    ]
    assert len(kinds) > 30
    for kind in kinds:
        assert MODELS.get(f'sbam_mm.{kind.__name__}') is kind
