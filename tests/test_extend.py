# Copyright (c) OpenMMLab. All rights reserved.
"""The pages for people who extend the project, done as they say."""
import importlib
import inspect
import re
import sys

import pytest
import torch
from extend_pages import blocks, commands, run_command, write_files
from mmengine.config import Config
from small_runs import write_images
from tiny_configs import ARCH, SIZE, stored_maps

from sbam_mm.engine.run_log import read_scalars
from sbam_mm.masking import MaskingContext
from sbam_mm.registry import MODELS, ModelRegistry

pytestmark = pytest.mark.integration


@pytest.fixture
def follow(tmp_path, monkeypatch):
    """Return a function that writes a page's files and stands beside them."""
    MODELS.import_from_location()
    before = dict(MODELS.module_dict)
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / 'data' / 'cifar10', (('train', 12), ('test', 4)))

    def write(name):
        project = write_files(f'extend/{name}.md', tmp_path)
        monkeypatch.syspath_prepend(project)
        return project

    yield write
    MODELS.module_dict.clear()
    MODELS.module_dict.update(before)
    for path in tmp_path.glob('my_project/*.py'):
        sys.modules.pop(path.stem, None)


def own_tests(name):
    """Run the tests that a page gives its reader."""
    module = importlib.import_module(name)
    found = [value for key, value in vars(module).items()
             if key.startswith('test_')]
    assert len(found) == 2
    for test in found:
        assert not inspect.signature(test).parameters
        test()


def done(command):
    ended = run_command(command)
    assert ended.code == 0, ended.err[-2000:]
    return ended


def refused(command, page):
    """The one sentence that a page shows."""
    ended = run_command(command)
    assert ended.code == 2
    sentence, = re.findall('^error: .*$', ended.err, re.M)
    shown = [' '.join(block.split()) for block in blocks(page, 'text')]
    assert sentence in shown


def training(work_dir):
    """Config, checkpoint and logged values of a run."""
    folder = work_dir / (work_dir / 'last_checkpoint').read_text().strip()
    config, = work_dir.glob('*.py')
    return Config.fromfile(config), torch.load(
        folder, weights_only=False), read_scalars(work_dir)


def check_training(work_dir, kind):
    """It has learnt, from masks of unequal ratios, and kNN was measured."""
    config, checkpoint, records = training(work_dir)
    assert config.model.masker.type == f'sbam_mm.{kind}'
    steps = [record for record in records if 'loss' in record]
    assert len(steps) == config.train_cfg.max_epochs
    assert all(0 < record['loss'] < 3 for record in steps)
    assert len({record['loss'] for record in steps}) == len(steps)
    scores = [record['knn_top1'] for record in records
              if 'knn_top1' in record]
    assert len(scores) == 1 + len(steps)
    assert all(0 <= score <= 100 for score in scores)
    return config, checkpoint['state_dict'], steps


def test_a_masker(follow, tmp_path):
    follow('masker')
    draw, train = commands('extend/masker.md')[:2]
    assert 'Written: masks.png' in done(draw).out
    assert (tmp_path / 'masks.png').stat().st_size > 10_000
    done(train)
    _, _, steps = check_training(tmp_path / 'work_dirs/my_mae', 'EdgeMasker')
    for step in steps:
        assert .59 < step['mask_ratio_min'] < step['mask_ratio_max'] < .91
    own_tests('test_my_masker')


def test_a_masker_with_other_options(follow, tmp_path):
    follow('masker')
    less_noise, other = commands('extend/masker.md')[2:4]
    done(less_noise)
    config, *_ = check_training(
        tmp_path / 'work_dirs/less_noise', 'EdgeMasker')
    assert config.model.masker.noise == .1
    done(other)
    config, *_ = check_training(
        tmp_path / 'work_dirs/my_mae_adaptive-incoming_delta=0.2',
        'AdaptiveIncoming')
    assert config.model.masker.delta == .2
    assert config.model.masker.ratio == .75


def test_a_masker_that_asks(follow, tmp_path):
    follow('masker')
    refusal, train = commands('extend/masker.md')[4:]
    refused(refusal, 'extend/masker.md')
    done(train)
    _, weights, steps = check_training(
        tmp_path / 'work_dirs/my_seen_mae', 'Masker')
    assert any(name.startswith('teacher.average.') for name in weights)
    assert {step['mask_ratio'] for step in steps} == {.75}
    # It goes by both: edges that the teacher does not look at do not count.
    images, heads = torch.rand(1, 3, 8, 8), torch.eye(4)[None, :1]
    context = MaskingContext(
        torch.zeros(1, 4, 2), grid=(2, 2), images=images,
        providers=dict(teacher_attention=lambda block: heads))
    scores = MODELS.build(dict(type='sbam_mm.SeenEdges'))(context)
    assert scores[0, 1:].tolist() == [0, 0, 0]


@pytest.mark.parametrize('change, sentence', [
    (('my_masker', 'my_makser'), "needs the module 'my_makser', which Python "
     'does not find; put its folder into PYTHONPATH'),
    (("'sbam_mm.EdgeMasker'", "'EdgeMasker'"), "asks for the model "
     "'EdgeMasker', which is not known; did you mean sbam_mm.EdgeMasker?"),
])
def test_what_goes_wrong_with_a_masker(follow, change, sentence):
    project = follow('masker')
    config = project / 'my_mae.py'
    text = config.read_text()
    assert change[0] in text
    config.write_text(text.replace(*change))
    ended = run_command(commands('extend/masker.md')[1])
    assert ended.code == 2
    assert sentence in ended.err


def test_a_name_that_is_taken(follow):
    """It is not replaced in silence, whoever comes first."""
    project = follow('masker')
    table = ModelRegistry('model', scope='of_a_test')
    table.register_module(
        module=type('SBAM', (torch.nn.Module, ), dict(__module__='mine')))
    with pytest.raises(ValueError, match='mine registers a class SBAM, and so '
                       'does sbam_mm; give yours another name'):
        table.get('SBAM')
    MODELS.get('sbam_mm.SBAM')
    file = project / 'my_masker.py'
    file.write_text(file.read_text().replace('class EdgeMasker', 'class SBAM'))
    ended = run_command(commands('extend/masker.md')[1])
    assert ended.code == 2
    assert 'SBAM is already registered in model' in ended.err


def test_a_framework(follow, tmp_path):
    follow('framework')
    train, _, judge, _ = commands('extend/framework.md')
    done(train)
    _, weights, _ = check_training(
        tmp_path / 'work_dirs/my_latent_small', 'SBAM')
    # The target follows slowly: it is neither the start nor the student.
    name = 'patch_embed.projection.weight'
    student = weights[f'backbone.{name}']
    target = weights[f'target.average.module.{name}']
    assert 0 < (student - target).norm() < .5 * student.norm()
    assert 'knn' in done(f'{judge} --workers 0 --set knn.k=5').out


def test_a_framework_in_other_ways(follow, tmp_path):
    follow('framework')
    _, attmask, _, in_place = commands('extend/framework.md')
    done(attmask)
    _, weights, _ = check_training(
        tmp_path / 'work_dirs/my_latent_small_attmask-high', 'AttMask')
    # The target answers, so that no teacher was added.
    assert not any(name.startswith('teacher.') for name in weights)
    done(in_place)
    _, weights, steps = check_training(
        tmp_path / 'work_dirs/my_latent_in_place_small', 'SBAM')
    assert weights['mask_token'].any()


def test_a_framework_in_parts(follow):
    project = follow('framework')
    own_tests('test_my_latent')
    small_model = sys.modules['test_my_latent'].small_model
    # It follows a guide, to which the target is deaf.
    biased = dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE,
                  segment_bias=dict())
    model = small_model(backbone=biased)
    model.loss(torch.randn(2, 3, 32, 32), stored_maps())['loss'].backward()
    assert model.backbone.segment_bias is not None
    assert all(p.grad.any() for p in model.backbone.segment_bias.parameters())
    # A provider of its own, which other methods lack.
    importlib.import_module('my_latent_error')
    masker = dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.LatentGap'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=.75),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.))
    with pytest.raises(ValueError, match="Masker needs 'latent_gap', which "
                       'LatentMAE cannot give'):
        small_model(masker=masker)
    options = Config.fromfile(project / 'my_latent_small.py').model.to_dict()
    options.update(type='sbam_mm.LatentGapMAE', masker=masker)
    model = MODELS.build(options)
    model.init_weights()
    model.follow_student()
    images = torch.randn(2, 3, 32, 32)
    mask = model.mask(model.embed(images), images)
    assert mask.visible_counts.tolist() == [16, 16]
    # The target is a copy of the start and has the same tokens.
    assert not mask.scores.any()
    with torch.no_grad():
        model.backbone.layers[-1].ffn.layers[1].weight += .1
    assert model.mask(model.embed(images), images).scores.any()


def test_a_decoder(follow, tmp_path):
    follow('decoder')
    train, draw, refusal = commands('extend/decoder.md')
    done(train)
    _, weights, steps = check_training(
        tmp_path / 'work_dirs/my_decoder_small', 'SBAM')
    assert weights['neck.mlp.1.weight'].shape == (512, 128)
    assert any(step['mask_ratio_min'] < step['mask_ratio_max']
               for step in steps)
    assert 'Written: rec.png' in done(draw).out
    refused(refusal, 'extend/decoder.md')
    own_tests('test_my_decoder')
    # Thrown patches are neither looked at nor predicted.
    options = Config.fromfile('my_project/my_decoder_small.py').model.to_dict()
    model = MODELS.build(
        dict(options, masker=dict(type='sbam_mm.RandomThrow')))
    out = model.loss(torch.randn(2, 3, 32, 32))
    assert out['loss'].isfinite() and out['thrown_tokens'] > 0
    # A wrong option is a sentence.
    for option, wrong in (('embed_dim', 48), ('patch_size', 8)):
        broken = dict(options, neck=dict(options['neck'], **{option: wrong}))
        with pytest.raises(ValueError, match=rf'neck\.{option}='):
            MODELS.build(broken)


def test_a_decoder_learns_where_a_patch_is(follow):
    """A picture that is the same every time is learnt by heart."""
    follow('decoder')
    importlib.import_module('my_decoder')
    torch.manual_seed(0)
    options = Config.fromfile('my_project/my_decoder_small.py').model.to_dict()
    model = MODELS.build(dict(options, data_preprocessor=None))
    model.init_weights()
    images = torch.randn(1, 3, 32, 32).expand(4, -1, -1, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = model.loss(images)['loss']
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # Patches have variance 1, so without positions it would stay near 1.
    assert losses[-1] < .8 * losses[0]
