# Copyright (c) OpenMMLab. All rights reserved.
"""Photographs under several teachers: the maps, the panels, the tool."""
import numpy as np
import pytest
import torch
from library_vits import NORMALISATION, hf_folder
from PIL import Image
from started_tools import ROOT, call_tool

from sbam_mm.errors import UserError
from sbam_mm.masking import AttentionSalience
from sbam_mm.masking import functional as F
from sbam_mm.models.teachers import HFTeacher
from sbam_mm.visualization import (
    attention_figure,
    model_from_config,
    teacher_map,
)
from sbam_mm.visualization.pixels import heat_map, to_inputs
from sbam_mm.visualization.teachers import question, short_names

CONFIG = ROOT / 'configs' / 'small' / 'sbam_small.py'


@pytest.fixture
def pictures():
    """Of the size that the libraries' small models are made for."""
    return [*np.random.default_rng(0).integers(
        0, 255, (2, 32, 32, 3), np.uint8)]


@pytest.fixture(scope='module')
def student():
    return model_from_config(CONFIG)[0]


def test_the_map_is_the_librarys_on_its_own_grid(tmp_path, pictures, student):
    """From the pixels on: RGB, the teacher's mean and deviation."""
    library = hf_folder('DINOv2', tmp_path)
    mean, std = (np.array(NORMALISATION[key]) for key in
                 ('image_mean', 'image_std'))
    seen = torch.from_numpy(
        (np.stack(pictures) / 255 - mean) / std).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        eager = library(seen, output_attentions=True).attentions
    teacher = HFTeacher(str(tmp_path))
    for words, received in (
            ('attmask', eager[-1][:, :, 0, 1:].mean(1)),
            ('head=2,block=1', eager[1][:, 2, 0, 1:]),
            ('queries=all,head=sum', eager[-1].sum((1, 2))[:, 1:])):
        found = teacher_map(teacher, question(words), pictures, student)
        assert found.shape == (2, 4, 4)
        np.testing.assert_allclose(
            found.reshape(2, 16), F.min_max(received), atol=1e-4)


def test_on_a_students_grid_it_is_what_a_masker_gets(tmp_path, pictures):
    """That of the model that has this teacher, of patches of 4 in 32."""
    hf_folder('DINOv3', tmp_path)
    student, _ = model_from_config(CONFIG, teacher=str(tmp_path))
    inputs = to_inputs(student, pictures)
    context = student.context(student.embed(inputs), inputs)
    asked = question('gpa,block=1,head=sum')
    with torch.no_grad():
        wanted = asked(context)
    # 8 x 8 patches of the teacher's 8 pixels are made of 64, not of 32.
    larger = [np.asarray(Image.fromarray(picture).resize(
        (64, 64), Image.Resampling.BICUBIC)) for picture in pictures]
    found = teacher_map(student.teacher, asked, larger, student, side=8)
    assert found.shape == (2, 8, 8)
    np.testing.assert_allclose(found.reshape(2, 64), wanted, atol=.05)
    assert np.corrcoef(found.flatten(), wanted.flatten())[0, 1] > .995


def test_questions():
    for words, options in (
            ('attmask', {}), ('head=2', dict(head=2)),
            ('queries=all,block=8,head=sum', dict(
                queries='all', block=8, head='sum')),
            ('gpa', dict(block=9, head=11, queries='patches', softmax=False,
                         own_query=False)),
            ('gpa,own_query=True,head=mean', dict(
                block=9, head='mean', queries='patches', softmax=False))):
        wanted = AttentionSalience(**options, source='teacher')
        for key in ('block', 'head', 'queries', 'softmax', 'own_query',
                    'normalize', 'source'):
            assert getattr(question(words), key) == getattr(wanted, key)


@pytest.mark.parametrize('words, said', [
    ('nonsense', "no masker 'nonsense'"),
    ('sbam', '--masker sbam'),
    ('heads=2', "'heads'"),
    ('head=two', 'head must be'),
    ('block=1.5', 'with block=1.5; give something like block=-1'),
    ('head=1.5', 'something like head=mean'),
    ('softmax=no', 'something like softmax=True'),
    ('queries=cls,head', 'KEY=VALUE'),
    (str(CONFIG), 'before the first --teacher'),
])
def test_wrong_questions(words, said):
    with pytest.raises(UserError, match=said):
        question(words)


def test_short_names(tmp_path):
    for run in 'ab':
        (tmp_path / run).mkdir()
        (tmp_path / run / 'x.pth').touch()
    one, other = (str(tmp_path / run / 'x.pth') for run in 'ab')
    assert short_names([one, f'timm:vit={other}', 'hf:some/vit.small']) == [
        'a/x', 'b/x', 'vit.small']
    assert short_names(['hf:one/vit', 'hf:two/vit']) == [
        'hf:one/vit', 'hf:two/vit']


def test_panels():
    """One row for each photograph; every map over its own patches."""
    random = np.random.default_rng(1)
    images = {name: random.integers(0, 255, (50, 70, 3), np.uint8)
              for name in ('one', 'two', 'three')}
    maps = {'fine': random.random((3, 37, 37)),
            'coarse': random.random((3, 2, 4))}
    figure = attention_figure(images, maps, note='A note.')
    panels = [axes.images[0].get_array() for axes in figure.axes]
    assert len(panels) == 3 * 3
    for i in range(3):
        for j, grid in enumerate([(37, 37), (2, 4)]):
            drawn = panels[3 * i + 1 + j]
            height, width = (side // n for side, n in zip(drawn.shape, grid))
            assert height == width >= 336 / max(grid)
            # As drawn on nothing but grey.
            scores = [*maps.values()][j][i]
            flat = heat_map(np.zeros_like(drawn), scores)
            picture = drawn.astype(int) - flat
            assert 0 <= picture.min() and picture.max() <= .25 * 255 + 1
    texts = [text.get_text() for text in figure.texts]
    assert texts.count('37 × 37 patches') == texts.count(
        '2 × 4 patches') == 3
    assert {'Photograph', 'fine', 'coarse', 'A note.', *images} <= {*texts}


@pytest.fixture
def there(tmp_path, pictures):
    """A photograph, teachers of three kinds, and an empty folder."""
    Image.fromarray(pictures[0]).save(tmp_path / 'photo.png')
    (tmp_path / 'empty').mkdir()
    for name, folder in (('DINOv2', 'dino'), ('SigLIP', 'siglip')):
        hf_folder(name, tmp_path / folder)
    model, _ = model_from_config(CONFIG, seed=5)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'ours.pth')
    return tmp_path


def draw(there, *args, photo='photo.png'):
    return call_tool('visualize_teachers', there / photo, '--config', CONFIG,
                     '--out', there / 'out.svg', *args)


@pytest.mark.integration
def test_the_tool(there):
    ended = draw(there, '--teacher', there / 'dino', 'head=1', 'gpa,block=2,'
                 'head=sum', '--teacher', there / 'siglip', 'queries=all',
                 '--teacher', there / 'ours.pth', '--masker', 'sbam')
    assert ended.code == 0, ended.err
    figure = (there / 'out.svg').read_text(encoding='utf-8')
    # The photograph, four maps of teachers, and SBAM's.
    assert figure.count('<image') == 6
    for words in ('block 2, head 1', 'block 2, sum of heads', 'all tokens',
                  'class token', 'patches, logits', 'SBAM', 'ours',
                  'random weights, seed 0', '4 × 4 patches',
                  '8 × 8 patches'):
        assert words in figure, words
    for kind, begin in (('png', b'\x89PNG'), ('pdf', b'%PDF')):
        assert draw(there, '--teacher', there / 'dino', '--grid', 3, '--out',
                    there / f'a.{kind}').code == 0
        assert (there / f'a.{kind}').read_bytes().startswith(begin)


@pytest.mark.integration
@pytest.mark.parametrize('teacher, more, said', [
    ('dino', ['--out', 'a.gif'], '--out a.gif must end in'),
    ('siglip', [], 'siglip cannot be drawn: the attention of the class token'),
    ('nothing.pth', [], 'nothing.pth'),
    ('empty', [], 'has no config.json'),
    ('dino', ['--photographs', 'cat'], 'leave one of the two out'),
    ('dino', ['--masker', 'random'], 'Random has no salience'),
])
def test_what_is_wrong_is_one_sentence(there, teacher, more, said):
    before = sorted(there.rglob('*'))
    ended = draw(there, '--teacher', there / teacher, *more)
    assert ended.code == 2
    assert said in ended.err and 'Traceback' not in ended.err
    assert ended.err.strip().count('\n') == 0
    assert sorted(there.rglob('*')) == before


@pytest.mark.integration
def test_a_folder_without_images(there):
    ended = draw(there, '--teacher', there / 'nothing.pth', photo='empty')
    assert ended.code == 2 and 'empty has no images' in ended.err
