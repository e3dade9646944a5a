# Copyright (c) OpenMMLab. All rights reserved.
"""Images and a model to masks, facts, pictures, figures."""
import io

import numpy as np
import pytest
import torch
from PIL import Image

from sbam_mm.errors import UserError
from sbam_mm.explorer import Session, export, figure_file
from sbam_mm.explorer.panels import cells, panel, score_layers, strip
from sbam_mm.explorer.session import Kept
from sbam_mm.visualization import (
    build_masker,
    draw_mask,
    mask_images,
    reconstruct_images,
)
from sbam_mm.visualization.pixels import DARK, HATCH, repeat_cells

pytestmark = pytest.mark.unit
SBAM = dict(type='sbam_mm.SBAM')
ALL = ('Mask', 'Salience', 'Reconstruction')
ATTMASK = dict(type='sbam_mm.AttMask', ratio=.75, probability=1.)


@pytest.fixture
def session(tiny_mae):
    return Session(tiny_mae('SBAM').eval())


@pytest.fixture
def keys(session):
    pixels = np.random.default_rng(0).integers(
        0, 256, (3, 50, 70, 3), np.uint8)
    return [session.add(f'{i}.png', one) for i, one in enumerate(pixels)]


def test_masks_are_those_of_the_library(session, keys):
    """With the same seed, as tools/visualize_masks.py draws them."""
    seen = [one.seen for one in session.pictures(keys)]
    assert seen[0].shape == (32, 32, 3)
    assert session.pictures(keys)[0].shown.shape == (448, 448, 3)
    found = session.mask(SBAM, keys, seed=5)
    wanted = mask_images(session.model, seen, build_masker(SBAM), 5, 1.)
    assert torch.equal(found.token_mask.masked, wanted.masked)
    assert found.label == 'SBAM, r = 0.75 ± 0.15' and not found.note
    for i, facts in enumerate(found.facts):
        assert facts['visible'] == wanted.visible_counts[i] == (
            ~found.hidden[i]).sum()
        assert facts['hidden'] == pytest.approx(found.hidden[i].mean())
        assert facts['ratio'] == pytest.approx(float(wanted.ratio[i]))
    assert found.scores.shape == (3, 4, 4)


def test_tokens_are_computed_once(session, keys, monkeypatch):
    calls = []
    embed = session.model.embed
    monkeypatch.setattr(session.model, 'embed', lambda images: (
        calls.append(len(images)), embed(images))[1])
    session.mask(SBAM, keys)
    session.mask(SBAM, keys[:2], seed=1)
    session.mask(dict(SBAM, noise=0.), keys, progress=.5)
    assert calls == [1, 1, 1]
    # Nor is a mask that was drawn before, or a reconstruction.
    found = session.mask(SBAM, keys)
    assert session.mask(SBAM, keys) is found
    assert session.reconstruct(found, keys) is session.reconstruct(found, keys)
    assert session.reconstruct(found, keys) is not session.reconstruct(
        session.mask(SBAM, keys, seed=1), keys)


def test_one_image_more_changes_no_salience(session, keys):
    alone = session.mask(SBAM, keys[:1]).scores
    assert np.allclose(alone[0], session.mask(SBAM, keys).scores[0],
                       atol=1e-6)


def test_thrown_tokens_and_stand_ins(session, keys):
    found = session.mask(dict(type='sbam_mm.AMT'), keys)
    assert (found.thrown & found.hidden == found.thrown).all()
    assert found.thrown.sum((1, 2)).tolist() == [6, 6, 6]
    assert 'own attention in place of a stored map' in found.note
    with pytest.raises(UserError, match='HPM cannot be drawn'):
        session.mask(dict(type='sbam_mm.HPMMasker'), keys)
    with pytest.raises(UserError, match='cannot be -1'):
        session.mask(dict(SBAM, noise=-1.), keys)


def test_objects(session):
    """An object in the left half; a column of it is hidden or not."""
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    key = session.add('a.png', image, lambda path, size: mask)
    found = session.mask(SBAM, [key])
    hidden = found.hidden[0]
    assert found.facts[0]['object_hidden'] == pytest.approx(
        hidden[:, :2].mean())
    assert found.facts[0]['background_hidden'] == pytest.approx(
        hidden[:, 2:].mean())


def test_limits(session, keys):
    with pytest.raises(UserError, match='no image is chosen'):
        session.mask(SBAM, [])
    with pytest.raises(UserError, match='no longer kept'):
        session.mask(SBAM, [*keys, 'abc'])
    with pytest.raises(UserError, match='at most 16'):
        session.mask(SBAM, keys * 6)
    kept = Kept(2)
    for i in range(3):
        kept.get(i, lambda: 0)
    assert 0 not in kept and 1 in kept and 2 in kept


def test_reconstruction_is_the_librarys(session, keys):
    found = session.mask(SBAM, keys)
    made = session.reconstruct(found, keys)
    wanted = reconstruct_images(
        session.model, [one.seen for one in session.pictures(keys)],
        found.token_mask)
    for one, other, masked in zip(made, wanted, found.hidden):
        where = masked.repeat(8, 0).repeat(8, 1)
        assert np.array_equal(one[where], other.reconstruction[where])


def test_attention_of_a_patch(session, keys):
    """A row of the softmax, by hand; the class token's by name."""
    vit = session.model.backbone
    tokens = session.context(keys[:1], 1.).tokens
    every = vit.prepend_cls(tokens)
    for block in vit.layers[:1]:
        every = block(every)
    attn = vit.layers[1].attn
    q, k, _ = attn.qkv(vit.layers[1].ln1(every)).view(
        1, 17, 3, 3, 8).permute(2, 0, 3, 1, 4)
    matrix = (q @ k.transpose(-1, -2) * 8**-.5).softmax(-1)[0]
    for patch, head, row in ((5, 2, matrix[2, 6]),
                             (None, None, matrix[:, 0].mean(0))):
        row = row[1:]
        wanted = (row - row.min()) / (row.max() - row.min())
        found = session.attention(keys[0], patch, 1, head)
        assert np.allclose(found.ravel(), wanted.detach(), atol=1e-5)


def test_other_weights(session, keys):
    before = session.mask(SBAM, keys).scores

    def load(model):
        torch.manual_seed(7)
        torch.nn.init.normal_(model.backbone.patch_embed.projection.weight)

    session.use('epoch_2.pth', load)
    after = session.mask(SBAM, keys).scores
    assert not np.allclose(before, after)
    session.use('epoch_2.pth', lambda model: pytest.fail('loaded twice'))


def test_cells_cover_the_grid():
    where = np.random.default_rng(2).random((5, 7)) < .5
    drawn = np.zeros_like(where)
    for run in filter(None, cells(where).replace('z', '').split('M')):
        x, y = map(int, run.partition('h')[0].split())
        width = int(run.partition('h')[2].partition('v')[0])
        assert not drawn[y, x:x + width].any()
        drawn[y, x:x + width] = True
    assert np.array_equal(drawn, where)


def test_score_layers_have_a_pixel_per_patch():
    import base64
    html, = score_layers(np.array([[[0., 1.], [.25, .5]]]))
    content = base64.b64decode(html.partition('base64,')[2].partition('"')[0])
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (2, 2)
        assert image.getpixel((1, 0)) == (252, 255, 164)  # inferno's end


def test_names_of_files_are_text(session):
    key = session.add('<img src=x onerror=alert(1)>.png',
                      np.zeros((40, 40, 3), np.uint8))
    html = strip(session.kept([key]), [])
    assert '<img' not in html and '&lt;img' in html


def test_panel_says_the_numbers(session, keys):
    found = session.mask(ATTMASK, keys)
    html = panel(found, session.pictures(keys), ('Mask', 'Salience'))
    assert '<span>Visible tokens</span><span>4 of 16</span>' in html
    assert '<span>Hidden</span><span>75 %</span>' in html
    assert 'own attention in place of a teacher' in html
    random = session.mask(dict(type='sbam_mm.RandomMasker'), keys)
    assert 'no salience' in panel(
        random, session.pictures(keys), ('Salience', ))


def test_figures(session, keys):
    """Two maskers that differ in noise alone have a column each."""
    configs = [SBAM, dict(SBAM, noise=0.), dict(type='sbam_mm.RandomMasker')]
    begins = dict(PNG=b'\x89PNG', PDF=b'%PDF', SVG=b'<?xml')
    for kind, begin in begins.items():
        content = figure_file(session, configs, keys[:2], kind, seed=1)
        assert content.startswith(begin)
    text = content.decode()
    assert 'SBAM, r = 0.75 ± 0.15 (2)' in text and '0.png' in text


def test_figures_have_what_the_page_shows(session, keys):
    """The library's predictions, in larger pixels, and notes on them."""
    found = session.mask(SBAM, keys)
    pictures = session.pictures(keys)
    wanted = reconstruct_images(
        session.model, [one.seen for one in pictures], found.token_mask)
    cells = export.layers_of(session, found, pictures, ALL)
    assert list(cells) == ['Salience', 'Mask', 'Reconstruction']
    for i, (drawn, _) in enumerate(cells['Reconstruction']):
        where = found.hidden[i].repeat(8, 0).repeat(8, 1)
        assert np.array_equal(drawn[7::14, 7::14][where],
                              wanted[i].reconstruction[where])
        true = repeat_cells(~found.hidden[i], drawn.shape)
        assert np.array_equal(drawn[true], pictures[i].shown[true])

    random = dict(type='sbam_mm.RandomMasker')
    for configs, pictured, heading in (
            ([SBAM], 4, '>Salience<'),
            # Random has no salience.
            ([SBAM, random], 6, '>Reconstruction<'),
            ([SBAM, random, ATTMASK], 9, '>r = 0.75 ± 0.15<')):
        text = figure_file(session, configs, keys[:2], 'SVG',
                           layers=ALL).decode()
        assert text.count('<image ') == 2 * pictured
        assert heading in text and 'without its mean' in text
    assert 'AttMask: own attention in place' in text
    masks = figure_file(session, [SBAM], keys[:1], 'SVG').decode()
    assert masks.count('<image ') == 2 and 'without its' not in masks


def test_what_is_thrown_is_not_reconstructed(session, keys):
    found = session.mask(dict(type='sbam_mm.AMT'), keys[:1])
    (drawn, below), = export.layers_of(
        session, found, session.pictures(keys[:1]), ALL)['Reconstruction']
    thrown = repeat_cells(found.thrown[0], drawn.shape)
    assert {tuple(colour) for colour in drawn[thrown]} == {DARK, HATCH}


def test_draws_do_not_touch_the_generator(session, keys):
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    session.mask(SBAM, keys)
    draw_mask(build_masker(SBAM), session.context(keys, 1.))
    assert torch.equal(torch.rand(3), wanted)
