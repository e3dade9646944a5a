# Copyright (c) OpenMMLab. All rights reserved.
"""`--masker NAME` changes in a config what a file of its own would change."""
from pathlib import Path

import pytest
from mmengine.config import Config
from started_tools import load_tool

from sbam_mm.engine.replace_masker import replace_masker
from sbam_mm.engine.trial_build import check_buildable
from sbam_mm.masking.named_maskers import default_of, masker_names
from sbam_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.unit

MOMENTUM = dict(
    type='sbam_mm.MomentumTeacher', momentum=0.996, end_momentum=1.)


def sbam(**options):
    return dict(dict(type='sbam_mm.SBAM', ratio=0.75, delta_r=0.15, delta=0.1,
                     noise=0.5, scope='sample'), **options)


def attmask(mode, ratio=0.75, probability=1.):
    return dict(type='sbam_mm.AttMask', mode=mode, ratio=ratio,
                probability=probability, source='teacher')


def amt(**options):
    return dict(dict(type='sbam_mm.AMT', ratio=0.45, throw=0.4), **options)


def at_075(name):
    return dict(type=f'sbam_mm.{name}', ratio=0.75)


# Config, words of --masker, the masker that is wanted, the teacher.
SAME = [
    ('mae', 'random', at_075('RandomMasker'), None),
    ('mae', 'sbam', sbam(), None),
    ('mae', 'sbm', dict(at_075('SBM'), noise=0.5), None),
    ('mae', 'am', at_075('AM'), None),
    ('mae', 'amt', amt(), None),
    ('mae', 'amt-throw-last', amt(throw_last=True), None),
    ('mae', 'random-throw', dict(type='sbam_mm.RandomThrow'), None),
    ('mae', 'attmask-high', attmask('high'), MOMENTUM),
    ('mae', 'attmask-hint', attmask('hint'), MOMENTUM),
    ('mae', 'attmask-low', attmask('low'), MOMENTUM),
    ('mae', 'milan', at_075('MILANMasker'), MOMENTUM),
    ('mae', 'block', at_075('BlockMasker'), None),
    ('mae', 'grid', dict(type='sbam_mm.GridMasker'), None),
    ('mae', 'uniform', dict(type='sbam_mm.UniformMasker'), None),
    ('mae', 'hpm', dict(at_075('HPMMasker'), start=0., end=0.5), None),
    ('mae', 'semmae', dict(at_075('SemMAEMasker'), power=2.), None),
    ('mae', 'ijepa', dict(type='sbam_mm.IJEPAMasker'), None),
    ('mae', 'colormae', dict(at_075('ColorMAEMasker'), color='green'), None),
    ('mae', 'inverse-block', at_075('InverseBlockMasker'), None),
    ('mae', 'capi', dict(at_075('InverseBlockMasker'), size=None), None),
    ('mae', 'self-guided', at_075('SelfGuidedMasker'), None),
    ('mae', 'curriculum', at_075('CurriculumMasker'), None),
    ('mae', 'random-ratio', dict(at_075('RandomRatioMasker'), delta_r=0.15),
     None),
    ('mae', 'automae', dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
        selection=dict(type='sbam_mm.Bump', top=0.25, bump=0.5)), None),
    ('bootmae', 'sbam', sbam(), None),
    ('convmae', 'sbam', sbam(), None),
    ('cae', 'sbam', sbam(ratio=0.5), None),
    ('cmae', 'sbam', sbam(ratio=0.65, cell=2), None),
    ('simmim', 'sbam', sbam(ratio=0.6, cell=2), None),
    ('segment_bias_mae', 'sbam', sbam(), None),
    ('ibot', 'attmask-high', attmask('high', (0.1, 0.5), 0.5), None),
    ('ibot', 'sbam', dict(type='sbam_mm.MaskSomeViews', probability=0.5,
                          masker=sbam(ratio=0.3)), None),
]
MAPS = {
    'am': dict(type='sbam_mm.LoadAttentionMap', grid=(8, 8)),
    'semmae': dict(
        type='sbam_mm.LoadPartMap', path='data/part_maps.npy', grid=(8, 8)),
}


def read(name):
    return Config.fromfile(ROOT / f'configs/small/{name}_small.py')


def without_defaults(part):
    """A config in which no option says what its class would do anyway."""
    if isinstance(part, (list, tuple)):
        return [without_defaults(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = MODELS.get(str(part['type'])) if str(
        part.get('type')).startswith('sbam_mm.') else None
    return {
        key: without_defaults(value) for key, value in part.items()
        if made is None or key == 'type' or value != default_of(made, key)
    }


def as_dict(cfg):
    """All of a config, in the same form however it was made."""
    return without_defaults(Config(cfg.to_dict()).to_dict())


def with_maps(cfg, name):
    """The config of a training whose images bring a map."""
    loader = MAPS['semmae' if name == 'semmae' else 'am']
    key = 'part_map' if name == 'semmae' else 'attention_map'
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[0].type = 'sbam_mm.RandomResizedCrop'
    pipeline[2:] = [
        loader, dict(type='PackInputs', algorithm_keys=[key])]
    cfg.train_pipeline = pipeline
    if name != 'semmae':
        cfg.custom_hooks = [
            dict(type='sbam_mm.AttentionMapHook', interval=1),
            *cfg.custom_hooks]


@pytest.mark.parametrize('base, name, masker, teacher', SAME)
def test_masker_teacher_and_maps(base, name, masker, teacher):
    cfg, wanted = read(base), read(base)
    replace_masker(cfg, name)
    wanted.model.masker = masker
    if teacher:
        wanted.model.teacher = teacher
    if name in ('am', 'amt', 'amt-throw-last', 'semmae'):
        with_maps(wanted, name)
    if name == 'hpm':
        wanted.model.update(
            type='sbam_mm.HPM', learning='relative', momentum=0.999,
            end_momentum=0.9999, ramp_epochs=100)
    assert as_dict(cfg) == as_dict(wanted)


def test_gpa_asks_the_encoder_that_is_named():
    cfg = read('mae')
    with pytest.raises(ValueError, match='with --teacher'):
        replace_masker(read('mae'), 'gpa')
    replace_masker(cfg, 'gpa', dict(block=3, head=2), 'a.pth')
    wanted = read('mae')
    wanted.model.masker = dict(
        type='sbam_mm.GPA', ratio=0.75, block=3, head=2, hard=(0., 0.5),
        soft=(0.5, 0.))
    wanted.model.teacher = dict(
        type='sbam_mm.FrozenTeacher', backbone=wanted.model.backbone,
        checkpoint='a.pth')
    assert as_dict(cfg) == as_dict(wanted)

    replace_masker(own := read('mae'), 'gpa', dict(source='self'))
    assert 'teacher' not in own.model
    with pytest.raises(ValueError, match="'sbam' asks no teacher"):
        replace_masker(read('mae'), 'sbam', None, 'a.pth')


@pytest.mark.parametrize('name', sorted(set(masker_names()) - {'gpa'}))
def test_every_named_masker_trains_mae(name):
    cfg = read('mae')
    replace_masker(cfg, name)
    if name != 'semmae':
        check_buildable(cfg)
        return
    with pytest.raises(ValueError, match='there is no map file'):
        check_buildable(cfg)


def test_options_go_to_the_masker_inside():
    cfg = read('ibot')
    replace_masker(cfg, 'sbam', {'noise': 0.25, 'salience.layer': 1})
    assert cfg.model.masker.probability == 0.5
    assert cfg.model.masker.masker.noise == 0.25
    assert cfg.model.masker.masker.salience == dict(layer=1)
    with pytest.raises(ValueError, match="no masker 'foo'; choose one of"):
        replace_masker(cfg, 'foo')
    with pytest.raises(ValueError, match='no model.masker to replace'):
        replace_masker(Config(dict(model=dict(type='MAE'))), 'sbam')


def test_a_masker_inside_mmpretrains_encoder():
    cfg = Config.fromfile(ROOT / 'configs/drop_in/mmpretrain_mae_vitb_sbam.py')
    replace_masker(cfg, 'random')
    assert cfg.model.backbone.masker.type == 'sbam_mm.RandomMasker'


def test_the_command_line(monkeypatch):
    tool = load_tool('train')
    monkeypatch.setattr('sys.argv', [
        'train', str(ROOT / 'configs/small/mae_small.py'), '--masker', 'sbam',
        'noise=0.25', '--cfg-options', 'model.masker.delta=0.2'])
    cfg = tool.read_training(tool.parse_args())
    assert cfg.model.masker == dict(
        type='sbam_mm.SBAM', ratio=0.75, delta_r=0.15, noise=0.25, delta=0.2)
    assert cfg.work_dir == 'work_dirs/mae_small_sbam_noise=0.25'
