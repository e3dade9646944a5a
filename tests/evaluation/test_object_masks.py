# Copyright (c) OpenMMLab. All rights reserved.
"""Objects are where the annotation files say, in every form they have."""
import json

import numpy as np
import pytest
from PIL import Image

from sbam_mm.evaluation.object_masks import (
    decode_counts,
    find_images,
    polygon_mask,
    read_object_masks,
    rle_mask,
    token_coverage,
)

pytestmark = pytest.mark.unit


def encode_counts(counts):
    """The letters of run lengths: the definition, the other way round."""
    text = ''
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 0x1f, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + (bits | 0x20 * more))
            if not more:
                break
    return text


@pytest.fixture
def mask():
    """An object of 6 x 9 pixels in the picture's upper left part."""
    mask = np.zeros((20, 30), bool)
    mask[2:8, 4:13] = True
    return mask


def runs(mask):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    return np.diff([0, *edges, flat.size]).tolist()


def test_run_lengths_in_both_forms():
    rng = np.random.default_rng(0)
    for shape in ((20, 30), (300, 400)):
        mask = rng.random(shape).cumsum(axis=0) % 7 < 3
        mask[0, 0] = False
        counts = runs(mask)
        assert decode_counts(encode_counts(counts)) == counts
        for form in (counts, encode_counts(counts)):
            assert (rle_mask(dict(size=shape, counts=form)) == mask).all()


def test_letters_of_a_real_file():
    """The first runs of an object in COCO's image 139, 426 pixels high.

    It begins in column 413, which is where its box begins.
    """
    counts = decode_counts('iP\\52W=100O')
    assert counts == [413 * 426 + 215, 2, 423, 3, 423, 3, 422]


def test_polygon_of_a_rectangle(mask):
    polygon = [4, 2, 13, 2, 13, 8, 4, 8]
    drawn = polygon_mask([polygon], mask.shape)
    # Pillow draws the outline as well: at most a pixel more on two sides.
    assert (drawn[2:8, 4:13]).all() and drawn.sum() <= 7 * 10
    both = polygon_mask([polygon, [20, 10, 25, 10, 25, 15]], mask.shape)
    assert both[11, 24] and not both[14, 20] and (both[drawn]).all()


def coco(tmp_path, mask, segmentation, **image):
    path = tmp_path / 'instances.json'
    annotation = dict(image_id=7, id=1, category_id=1, iscrowd=0,
                      bbox=[4, 2, 9, 6])
    if segmentation is not None:
        annotation['segmentation'] = segmentation
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=7, file_name='val/a.jpg', height=20, width=30,
                         **image),
                    dict(id=8, file_name='b.jpg', height=20, width=30)
                ],
                annotations=[annotation])))
    return path


def test_coco_file(tmp_path, mask):
    for segmentation in (dict(size=[20, 30], counts=runs(mask)),
                         dict(size=[20, 30],
                              counts=encode_counts(runs(mask))), None, []):
        masks = read_object_masks(coco(tmp_path, mask, segmentation))
        assert (masks('folder/a.jpg', (20, 30)) == mask).all()
        assert not masks('b.jpg', (20, 30)).any()  # listed, no object
    masks = read_object_masks(
        coco(tmp_path, mask, [[4, 2, 13, 2, 13, 8, 4, 8]]))
    assert masks('a.jpg', (20, 30))[mask].all()


def test_all_objects_of_an_image(tmp_path, mask):
    path = coco(tmp_path, mask, None)
    content = json.loads(path.read_text())
    content['annotations'].append(dict(image_id=7, bbox=[20, 10, 2, 3]))
    path.write_text(json.dumps(content))
    found = read_object_masks(path)('a.jpg', (20, 30))
    assert found[mask].all() and found.sum() == mask.sum() + 6


def test_boxes(tmp_path, mask):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps({'a.jpg': [[4, 2, 9, 6]], 'b.jpg': []}))
    masks = read_object_masks(path)
    assert (masks('x/a.jpg', (20, 30)) == mask).all()
    assert not masks('b.jpg', (20, 30)).any()


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'I;16', 'RGB', 'RGBA', 'LA'])
def test_png_files(tmp_path, mask, mode):
    if mode == 'I;16':
        # Below 256, where a careless conversion to 8 bits gives 0.
        image = Image.fromarray(mask.astype(np.uint16) * 3)
    elif mode == 'P':
        # Index 1 is black, too, and index 0 white: only indices count.
        image = Image.fromarray(mask.astype(np.uint8)).convert('P')
        image.putpalette([255, 255, 255, 0, 0, 0])
    else:
        # An opaque background: alpha is not an object.
        image = Image.fromarray(mask.astype(np.uint8) * 9).convert(mode)
    image.save(tmp_path / 'a.png')
    masks = read_object_masks(tmp_path)
    wanted = mask if mode != '1' else np.asarray(image)
    assert (masks('photos/a.jpeg', (20, 30)) == wanted).all()


def test_bad_annotations(tmp_path, mask):
    Image.fromarray(mask).save(tmp_path / 'a.png')
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    masks = read_object_masks(tmp_path)
    boxes = tmp_path / 'boxes.json'
    boxes.write_text('{"a.jpg": [[1, 2, 3, 4]]}')
    instances = read_object_masks(coco(tmp_path, mask, None))
    wrong = read_object_masks(
        coco(tmp_path, mask, dict(size=[20, 20], counts=[400])))
    damaged = read_object_masks(
        coco(tmp_path, mask, dict(size=[20, 30], counts=[4, 5])))
    for call, words in (
        (lambda: masks('b.jpg', (20, 30)), 'no annotation for b.jpg'),
        (lambda: masks('a.jpg', (30, 20)), 'has 30 x 20 pixels, but'),
        (lambda: masks('broken.jpg', (20, 30)), 'cannot be read'),
        (lambda: read_object_masks(boxes)('c.jpg', (9, 9)),
         'no annotation for c.jpg'),
        (lambda: instances('c.jpg', (20, 30)), 'no annotation for c.jpg'),
        (lambda: instances('a.jpg', (9, 9)), 'drawn on 20 x 30'),
        (lambda: wrong('a.jpg', (20, 30)), 'drawn on 20 x 20'),
        (lambda: damaged('a.jpg', (20, 30)), 'fill 9 pixels of 20 x 30'),
        (lambda: read_object_masks(tmp_path / 'no.json'), 'do not exist'),
        (lambda: find_images([tmp_path / 'no']), 'does not exist'),
    ):
        with pytest.raises(ValueError, match=words) as error:
            call()
        assert '\n' not in str(error.value)
    for text, words in (('{', 'cannot be read as JSON'),
                        ('[1]', 'lack "images"'),
                        ('{"images": [{"id": 1}], "annotations": []}',
                         'lack "images"'), ('{"a.jpg": 3}', 'lack "images"')):
        boxes.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_object_masks(boxes)


def test_coverage_is_the_average_over_each_patch():
    rng = np.random.default_rng(0)
    masks = [rng.random((32, 48)) < .4 for _ in range(2)]
    cover = token_coverage(masks, (32, 48), 8)
    assert cover.shape == (2, 24)
    for mask, row in zip(masks, cover.view(2, 4, 6)):
        for i in range(4):
            for j in range(6):
                share = mask[8 * i:8 * i + 8, 8 * j:8 * j + 8].mean()
                assert row[i, j].item() == pytest.approx(share)


def test_coverage_is_cut_like_the_picture():
    """The centre of a wide image: the left third is not seen."""
    mask = np.zeros((32, 64), bool)
    mask[:, :24] = True
    cover = token_coverage([mask], (16, 16), 4).view(4, 4)
    assert (cover == np.array([1, 0, 0, 0], np.float32)).all()
    small = np.ones((4, 4), bool)
    assert (token_coverage([small], (16, 16), 4) == 1).all()


def test_cells_of_many_images_in_one_file(tmp_path):
    cells = np.zeros((2, 4, 4), bool)
    cells[0, 0, 1:3] = cells[1, 3, 3] = True
    path = tmp_path / 'objects.npz'
    np.savez(path, names=np.array(['val/cat/07', 'val/dog/07']),
             masks=np.packbits(cells.reshape(2, -1), axis=1), shape=(4, 4))
    masks = read_object_masks(path)
    for name, expected in zip(('cat', 'dog'), cells):
        found = masks(tmp_path / 'images' / 'val' / name / '07.jpg', (8, 12))
        assert found.shape == (8, 12)
        assert (found == expected.repeat(2, 0).repeat(3, 1)).all()
        assert (token_coverage([found], (8, 12), 4) >= 0).all()
    with pytest.raises(ValueError, match='no annotation for .*08.jpg'):
        masks('val/cat/08.jpg', (8, 8))
    with pytest.raises(ValueError, match='do not exist'):
        read_object_masks(tmp_path / 'missing.npz')
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match='are damaged, or no .npz'):
        read_object_masks(path)
    np.savez(path, names=np.array(['a', 'b']), masks=np.zeros((1, 2), 'u1'),
             shape=(4, 4))
    with pytest.raises(ValueError, match='are damaged'):
        read_object_masks(path)
