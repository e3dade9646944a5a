# Copyright (c) OpenMMLab. All rights reserved.
"""Whatever is dropped in becomes an image or a sentence."""
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from sbam_mm.errors import UserError
from sbam_mm.explorer import config_of, moments, read_upload
from sbam_mm.explorer.setup import first_maskers, named_maskers

pytestmark = pytest.mark.unit
PIXELS = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)


def png_bomb(width, height, bits=b''):
    """A PNG that says how large it is, and holds nothing of it."""

    def chunk(name, content):
        check = struct.pack('>I', zlib.crc32(name + content))
        return struct.pack('>I', len(content)) + name + content + check

    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) +
            chunk(b'IDAT', zlib.compress(bits)) + chunk(b'IEND', b''))


def write_files(folder):
    """Files of many kinds by name; and what their sentence says, or None."""
    image = Image.fromarray(PIXELS)
    image.save(folder / 'fine.png')
    image.save(folder / 'wrong_ending.png', 'jpeg')
    image.convert('L').save(folder / 'grey.png')
    image.convert('P').save(folder / 'palette.png')
    image.convert('RGBA').save(folder / 'alpha.png')
    image.convert('CMYK').save(folder / 'cmyk.jpg')
    deep = (PIXELS[..., 0].astype(np.uint16) * 257)
    Image.fromarray(deep).save(folder / 'deep.png')
    tifffile.imwrite(folder / 'deep.tif', deep)
    frames = [image, Image.fromarray(PIXELS[::-1])]
    for name in ('moves.gif', 'moves.webp', 'moves.png'):
        image.save(folder / name, save_all=True, append_images=frames[1:])
    whole = (folder / 'wrong_ending.png').read_bytes()
    said = {
        'half.jpg': (whole[:len(whole) // 2], 'cannot be read'),
        'empty.jpg': (b'', 'cannot be read'),
        'text.jpg': (b'no image', 'no image of a known format'),
        'page.svg': (b'<svg xmlns="http://www.w3.org/2000/svg"/>',
                     'no image of a known format'),
        'bomb.png': (png_bomb(30_000, 30_000), 'too large'),
        'large.png': (png_bomb(9_000, 9_000), 'it has 9000 x 9000'),
        'liar.png': (png_bomb(40, 40), 'cannot be read'),
        'thin.png': (png_bomb(2**31 - 1, 1), 'too large'),
        'pickle.npy': (b'\x93NUMPY\x01\x00v\x00' + b"{'descr': '|O', "
                       b"'fortran_order': False, 'shape': (1,), }",
                       'cannot be read'),
    }
    for name, (content, _) in said.items():
        (folder / name).write_bytes(content)
    real = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    tifffile.imwrite(folder / 'real.tif', real)
    return {**{name: words for name, (_, words) in said.items()},
            'real.tif': 'value_range'}


def test_every_kind_of_file(tmp_path):
    wrong = write_files(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        if path.name in wrong:
            with pytest.raises(UserError, match=wrong[path.name]) as caught:
                read_upload(path)
            text = str(caught.value)
            # One sentence that tells no path of the server.
            assert path.name in text and str(tmp_path) not in text
            assert '\n' not in text and text.endswith('.')
            continue
        image, remark = read_upload(path)
        assert image.shape == (12, 10, 3) and image.dtype == np.uint8
        moves = path.stem == 'moves'
        assert remark == (f'{path.name} has several frames; the first is '
                          'shown.' if moves else '')
        if path.name in ('fine.png', 'moves.png'):
            assert np.array_equal(image, PIXELS)
        if path.stem == 'deep':
            assert np.array_equal(image, PIXELS[..., :1].repeat(3, 2))


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    for name, words in (('folder.jpg', 'no regular file'),
                        ('missing.jpg', 'does not exist')):
        with pytest.raises(UserError, match=words):
            read_upload(tmp_path / name)
    with pytest.raises(UserError, match='no regular file'):
        read_upload(tmp_path / 'pipe.jpg')


def test_checkpoints_of_a_training(tmp_path):
    for name in ('epoch_2.pth', 'epoch_10.pth', 'best_knn.pth', 'a.txt'):
        (tmp_path / name).touch()
    found = moments(tmp_path, dict(train_cfg=dict(max_epochs=20)))
    assert [(one.label, one.progress) for one in found] == [
        ('epoch 2 of 20', .1), ('epoch 10 of 20', .5)]
    with pytest.raises(UserError, match='has none'):
        config_of(tmp_path)
    (tmp_path / 'sbam_small.py').touch()
    assert config_of(tmp_path).name == 'sbam_small.py'
    (tmp_path / 'sub').mkdir()
    with pytest.raises(UserError, match='no checkpoints'):
        moments(tmp_path / 'sub', {})


def test_first_maskers():
    all_of_them = named_maskers()
    assert len(all_of_them) > 25
    assert first_maskers(all_of_them) == [
        'SBAM', 'Random', 'Block', 'ColorMAE-green']
    with pytest.raises(UserError, match='at most 4'):
        first_maskers(all_of_them, 'sbam,sbm,random,gpa,amt')
    with pytest.raises(UserError, match="no masker 'nothing'"):
        first_maskers(all_of_them, 'nothing')
    own = named_maskers(dict(type='sbam_mm.SBAM', noise=.25))
    assert first_maskers(own) == [
        'SBAM (config)', 'Random', 'Block', 'ColorMAE-green']
