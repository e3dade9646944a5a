# Copyright (c) OpenMMLab. All rights reserved.
"""Masks, reconstructions and curves show the numbers they stand for."""
import inspect
import json

import numpy as np
import pytest
import torch

from sbam_mm import masking
from sbam_mm.masking import TokenMask
from sbam_mm.masking.functional import hide_top, min_max
from sbam_mm.masking.named_maskers import masker_label, masker_names
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.visualization import (
    build_masker,
    center_crop,
    fit_to_model,
    labelled_maskers,
    mask_figure,
    mask_gallery,
    mask_images,
    masker_config,
    model_from_config,
    photographs,
    ratio_histogram,
    read_scalars,
    reconstruct_images,
    reconstruction_figure,
    training_figure,
)
from sbam_mm.visualization.curves import series
from sbam_mm.visualization.fitted_maskers import (
    changes_over_training,
    fit_all,
)
from sbam_mm.visualization.masks import mask_grids
from sbam_mm.visualization.pixels import (
    DARK,
    GREY,
    HATCH,
    repeat_cells,
    to_inputs,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def images():
    return {n: center_crop(i, 32) for n, i in photographs().items()}


def drawn(figure):
    """Pictures of a figure in reading order."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes]


def texts(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize('name', ['sbam', 'SBAM', 'Sbam'])
def test_names_in_any_case(name):
    assert masker_config(name) == dict(type='sbam_mm.SBAM')


def presets():
    """Every named masker that the package exports."""
    return {
        name for name in masking.__all__
        if inspect.isclass(kind := getattr(masking, name))
        and issubclass(kind, masking.Masker) and kind is not masking.Masker
    }


def test_every_masker_is_found():
    names = masker_names()
    found = {config['type'].removeprefix('sbam_mm.')
             for config in names.values()}
    assert found == presets() | {'Masker'}  # AutoMAE is composed
    assert {
        'am', 'amt', 'amt-throw-last', 'attmask', 'attmask-high',
        'attmask-hint', 'attmask-low', 'automae', 'block', 'capi', 'colormae',
        'colormae-blue', 'colormae-green', 'colormae-purple', 'colormae-red',
        'curriculum', 'gpa', 'grid', 'hpm', 'i-jepa', 'incoming',
        'inverse-block', 'milan', 'random', 'random-ratio', 'sbam',
        'sbam-batch', 'sbm', 'self-guided', 'uniform'
    } <= set(names)
    assert masker_config('RandomMasker')['type'] == 'sbam_mm.RandomMasker'
    assert masker_config('randomratio') == masker_config('Random_Ratio')
    assert masker_config('AttMask_Hint')['mode'] == 'hint'
    with pytest.raises(ValueError, match="no masker 'foo'; choose one of"):
        masker_config('foo')


def test_every_label_is_another():
    names = masker_names()
    # The same as attmask-high and colormae-green.
    del names['attmask'], names['colormae']
    assert len({*map(masker_label, names.values())}) == len(names)
    for name, config in names.items():
        assert masker_config(masker_label(config)) == config, name


def test_every_masker_draws_with_a_bare_model(tiny_mae, images):
    """No teacher, no stored maps: the model's own attention."""
    model = tiny_mae()
    pictures = list(images.values())
    for name, config in masker_names().items():
        masker = build_masker(config)
        if name == 'hpm':
            with pytest.raises(ValueError, match="HPMMasker needs 'predicted_"
                               "loss'.*type='sbam_mm.HPM'"):
                fit_to_model(masker, model)
            continue
        try:
            fit_to_model(masker, model)
        except ValueError as error:  # a map that only a pipeline can bring
            assert 'a picture lacks' in str(error), name
            continue
        mask = mask_images(model, pictures, masker, progress=1.)
        assert 0 < mask.visible_counts.min() <= mask.visible_counts.max() < 16


def test_stand_ins_are_the_own_attention(tiny_mae, images):
    model, pictures = tiny_mae(), list(images.values())
    tokens = model.backbone.embed(to_inputs(model, pictures))
    cls = model.backbone.attention(tokens, -1).mean(dim=1)
    every = model.backbone.attention(
        tokens, 1, 'patches', False, False)[:, 2]
    for name, received, words in (
            ('amt', cls, 'in place of a stored map'),
            ('am', cls, 'in place of a stored map'),
            ('attmask', cls, "in place of a teacher's"),
            ('milan', cls, "in place of a teacher's"),
            ('gpa', every, "own attention in place of a teacher's; "
             'block 1 in place of 9; head 2 in place of 11')):
        masker = build_masker(masker_config(name))
        assert words in '; '.join(fit_to_model(masker, model))
        scores = mask_images(model, pictures, masker).scores
        torch.testing.assert_close(scores, min_max(received))
    assert fit_all(
        labelled_maskers(map(masker_config, ('attmask', 'milan', 'sbam'))),
        model) == "AttMask-high, MILAN: own attention in place of a teacher's."


def test_a_teacher_is_asked_where_there_is_one(tiny_mae, images):
    model = tiny_mae()
    model.teacher = MomentumTeacher().of(model.backbone)
    masker = build_masker(masker_config('attmask-low'))
    assert fit_to_model(masker, model) == []
    assert masker.salience.source == 'teacher'
    gpa = build_masker(masker_config('gpa'))
    assert fit_to_model(gpa, model) == ['block 1 in place of 9',
                                        'head 2 in place of 11']


def test_maps_that_pictures_lack(tiny_mae):
    masker = build_masker(
        dict(
            type='sbam_mm.Masker',
            salience=dict(type='sbam_mm.StoredSalience', key='part_map'),
            ratio=dict(type='sbam_mm.FixedRatio'),
            selection=dict(type='sbam_mm.NoisyTopK')))
    with pytest.raises(ValueError, match="'part_map'.*a picture lacks"):
        fit_to_model(masker, tiny_mae())
    with pytest.raises(ValueError, match='HPM cannot be drawn: HPMMasker'):
        fit_all(labelled_maskers([masker_config('hpm')]), tiny_mae())


def test_progress_hardens_gpa(tiny_mae, images):
    """At the end the hard half is the same whatever the draws."""
    model, pictures = tiny_mae(), list(images.values())
    masker = build_masker(masker_config('gpa'))
    fit_to_model(masker, model)
    masks = [mask_images(model, pictures, masker, seed, 1.)
             for seed in range(30)]
    always = torch.stack([mask.masked for mask in masks]).all(dim=0)
    top = hide_top(masks[0].scores, 16 - 6)  # half of 12 masked
    assert (always & top).sum() == top.sum() == 6 * 4
    assert changes_over_training(masker)
    assert not changes_over_training(build_masker(masker_config('sbam')))


@pytest.mark.parametrize('ratio, throw', [(None, .4), (.3, .4), (.45, .4),
                                          (.75, .1), (.9, 0.)])
def test_fewer_are_thrown_where_more_are_masked(ratio, throw):
    masker = build_masker(masker_config('amt'), ratio)
    assert masker.selection.throw == pytest.approx(throw)
    assert masker.ratio.ratio == (ratio or .45)


@pytest.mark.parametrize('ratio, delta_r', [(.5, .15), (.75, .15), (.9, .09),
                                            (.1, .1), (0., 0.), (.995, 0.)])
def test_delta_r_shrinks_only_if_it_must(ratio, delta_r):
    part = build_masker(masker_config('sbam'), ratio).ratio
    assert part.ratio == ratio
    assert part.delta_r == pytest.approx(delta_r)


def test_ratio_of_composed_maskers_and_warm_up():
    config = dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=.75),
        selection=dict(type='sbam_mm.NoisyTopK'),
        start_epoch=100)
    masker = build_masker(config, .5)
    assert masker.ratio.ratio == .5 and masker.warm_up is None
    assert config['ratio']['ratio'] == .75 and config['start_epoch'] == 100


@pytest.mark.parametrize('ratio', [1., -.1, 2.])
def test_ratio_out_of_range(ratio):
    for name in masker_names():
        with pytest.raises(ValueError, match=r'share in \[0, 1\)'):
            build_masker(masker_config(name), ratio)


def test_same_seed_same_masks_and_generator_untouched(tiny_mae, images):
    model, pictures = tiny_mae('SBAM'), list(images.values())
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = mask_images(model, pictures, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.masked,
                       mask_images(model, pictures, seed=3).masked)
    assert not torch.equal(first.masked,
                           mask_images(model, pictures, seed=4).masked)


def test_gallery_draws_the_masks(tiny_mae, images):
    model = tiny_mae()
    maskers = labelled_maskers(
        [masker_config('random'), masker_config('sbam')], [.5])
    assert list(maskers) == ['Random, r = 0.5', 'SBAM, r = 0.5 ± 0.15']
    figure = mask_gallery(model, maskers, images, seed=1, title='T', note='N')
    pictures = list(images.values())
    cells = drawn(figure)
    assert len(cells) == 4 * 4  # image, salience, random, SBAM
    shown = texts(figure)
    for column, masker in enumerate(maskers.values(), start=2):
        mask = mask_images(model, pictures, masker, seed=1)
        hidden, _ = mask_grids(model, mask, pictures[0])
        for row in range(4):
            grey = (cells[4 * row + column] == GREY).all(-1)
            assert (grey == repeat_cells(hidden[row], (32, 32))).all()
            assert f'{hidden[row].mean():.0%} hidden' in shown
    assert {'T', 'N', 'Image', 'Salience', *maskers, *images} <= set(shown)


def test_wide_comparisons_get_two_rows_per_picture(tiny_mae, images):
    model, pictures = tiny_mae(), list(images.values())
    maskers = labelled_maskers(
        map(masker_config, ('sbam', 'attmask-high', 'amt', 'gpa', 'random')))
    for masker in maskers.values():
        fit_to_model(masker, model)
    figure = mask_gallery(model, maskers, images, progress=1.)
    cells = drawn(figure)
    # Picture and four saliences (random has none), then five masks.
    assert len(cells) == 4 * (5 + 5)
    thrown = mask_images(model, pictures, maskers['AMT, r = 0.45, 0.4 thrown'])
    for row in range(4):
        amt = cells[10 * row + 7]
        for pixels, tokens in (
            ((amt == GREY).all(-1), thrown.masked[row]),
            ((amt == DARK).all(-1) | (amt == HATCH).all(-1),
             thrown.thrown[row])):
            assert (pixels == repeat_cells(tokens.view(4, 4).numpy(),
                                     (32, 32))).all()
    shown = texts(figure)
    assert 'AMT\nr = 0.45, 0.4 thrown' in shown
    assert shown.count('44% masked, 38% thrown') == 4


def test_many_masks_without_salience_stand_beside_their_picture(tiny_mae,
                                                                images):
    names = ('i-jepa', 'colormae-red', 'inverse-block', 'capi', 'block',
             'random', 'uniform')
    maskers = labelled_maskers(map(masker_config, names))
    figure = mask_gallery(tiny_mae(), maskers, images)
    assert len(drawn(figure)) == 4 * 8
    assert 'ColorMAE-red\nr = 0.75' in texts(figure)


def test_a_warm_up_is_not_drawn(tiny_mae, images):
    masker = build_masker(masker_config('self-guided'))
    mask = mask_images(tiny_mae(), list(images.values()), masker, progress=0.)
    assert mask.scores.any()


def test_gallery_draws_sharper_than_the_model_sees(tiny_mae, images):
    model = tiny_mae()
    large = {n: center_crop(i, 96) for n, i in photographs().items()}
    maskers = {'SBAM': build_masker(masker_config('sbam'))}
    cells = drawn(mask_gallery(model, maskers, large, input_size=(32, 32)))
    mask = mask_images(model, [center_crop(i, 32) for i in large.values()],
                       maskers['SBAM'])
    grey = (cells[2] == GREY).all(-1)
    assert grey.shape == (96, 96)
    assert (grey[::24, ::24] == mask.masked[0].view(4, 4).numpy()).all()


def test_salience_columns(tiny_mae, images):
    model = tiny_mae()
    count = {}
    for names in ('random', 'block,random', 'sbm', 'sbam,sbm',
                  'sbam,incoming'):
        maskers = labelled_maskers(map(masker_config, names.split(',')), [.5])
        figure = mask_gallery(model, maskers, images)
        count[names] = sum(t.startswith('Salience') for t in texts(figure))
    assert count == {'random': 0, 'block,random': 0, 'sbm': 1, 'sbam,sbm': 1,
                     'sbam,incoming': 2}


def test_one_masker_at_several_ratios(tiny_mae, images):
    figure = mask_figure(tiny_mae(), masker_config('sbm'), images, (.25, .75))
    assert len(figure.axes) == 4 * 4
    assert {'SBM, r = 0.25', 'SBM, r = 0.75', '25% hidden',
            '75% hidden'} <= set(texts(figure))


@pytest.mark.parametrize('norm_pix', [True, False])
def test_reconstruction(tiny_mae, images, norm_pix):
    model = tiny_mae('SBAM', norm_pix=norm_pix).train()
    pictures = list(images.values())
    masked = torch.zeros(4, 16, dtype=torch.bool)
    masked[0, :3] = masked[1, 2:14] = masked[2, 5] = masked[3, 1:] = True
    results = reconstruct_images(model, pictures, TokenMask(masked))
    assert model.training
    for i, result in enumerate(results):
        inside = repeat_cells(masked[i].view(4, 4).numpy(), (32, 32))
        assert (result.masked == masked[i].view(4, 4).numpy()).all()
        assert (result.reconstruction[~inside] == pictures[i][~inside]).all()
        assert (result.reconstruction[inside] != pictures[i][inside]).any()
        assert ((result.hidden == GREY).all(-1) == inside).all()
    figure = reconstruction_figure({'a': model, 'b': model}, images)
    assert len(figure.axes) == 4 * 5
    assert any('mean and contrast' in t for t in texts(figure)) == norm_pix
    assert 'Reconstruction, b' in texts(figure)


def write_log(folder, lines):
    path = folder / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(
        line if isinstance(line, str) else json.dumps(line) + '\n'
        for line in lines))


def test_log_of_a_resumed_run(tmp_path):
    write_log(tmp_path / '20260101_000000',
              [dict(loss=3., step=1), dict(loss=2., step=2),
               dict(loss=9., step=3), '{"loss": 8., "st'])
    write_log(tmp_path / '20260102_000000',
              [dict(loss=1., step=3), dict(knn_top1=40., epoch=1, step=3)])
    records = read_scalars(tmp_path)
    assert series(records, 'loss') == ([1, 2, 3], [3., 2., 1.])
    assert series(records, 'knn_top1', 'epoch') == ([1], [40.])
    with pytest.raises(ValueError, match='no log of a training'):
        read_scalars(tmp_path / 'nothing')


def test_training_figure(tmp_path):
    for name, level in (('a', 1.), ('b', 2.)):
        write_log(tmp_path / name / '1', [
            dict(loss=level / step, mask_ratio=.7, mask_ratio_min=.6,
                 mask_ratio_max=.8, step=step, epoch=1)
            for step in range(1, 5)
        ] + [dict(knn_top1=30 + level, epoch=1, step=4)])
    figure = training_figure(
        {'A': tmp_path / 'a', 'B': tmp_path / 'b'}, {'Raw pixels': 33.})
    loss, knn, ratio = figure.axes
    assert loss.lines[1].get_ydata().tolist() == [2., 1., 2 / 3, .5]
    assert [line.get_label() for line in knn.lines] == ['A', 'B',
                                                        'Raw pixels']
    assert knn.lines[2].get_ydata()[0] == 33.
    assert len(ratio.collections) == 2  # the shaded ranges
    write_log(tmp_path / 'c' / '1', [dict(loss=1., step=1)])
    assert len(training_figure({'C': tmp_path / 'c'}).axes) == 1


def test_histogram_counts_every_image():
    figure = ratio_histogram({'one': [.75] * 8, 'many': [.6, .7, .8, .9]})
    bars = [sum(patch.get_height() for patch in container)
            for container in figure.axes[0].containers]
    assert bars == pytest.approx([1., 1.])


@pytest.mark.parametrize('text, words', [
    (None, 'does not exist'),
    ('model = ', 'cannot be read'),
    ('a = 1', 'has no model'),
    ("model = dict(type='ImageClassifier', backbone=dict(type='LeNet5'))",
     'cannot be drawn'),
])
def test_bad_config(tmp_path, text, words):
    path = tmp_path / 'x.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        model_from_config(path)
    assert '\n' not in str(error.value)


def test_config_with_preprocessor_at_the_top_and_seed(tmp_path):
    path = tmp_path / 'x.py'
    path.write_text("""
data_preprocessor = dict(type='SelfSupDataPreprocessor', mean=[1.] * 3,
                         std=[2.] * 3)
model = dict(type='sbam_mm.MAE', backbone=dict(
    type='sbam_mm.MaskedViT', img_size=16, patch_size=8,
    arch=dict(embed_dims=8, num_layers=1, num_heads=1,
              feedforward_channels=8)))
""")
    (model, report), (same, _) = model_from_config(path), model_from_config(
        path)
    assert report is None and not model.training
    assert model.data_preprocessor.mean.flatten().tolist() == [1.] * 3
    for a, b in zip(model.parameters(), same.parameters()):
        assert torch.equal(a, b)
