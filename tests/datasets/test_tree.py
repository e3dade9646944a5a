# Copyright (c) OpenMMLab. All rights reserved.
"""What real folders hold besides images, and what must not hang or crash."""
import io
import logging
import os
import socket
import zlib

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image

from sbam_mm.datasets import ImageFolder, UnreadableImagesError
from sbam_mm.datasets.reading.tree import (
    class_folders,
    image_files,
    printable,
    relative_images,
)
from sbam_mm.datasets.sources import read_image_source
from sbam_mm.evaluation.image_sets import read_image_set

JUNK = ('.ipynb_checkpoints', '__MACOSX', '@eaDir', '.git', '.AppleDouble',
        'lost+found', 'System Volume Information', '$RECYCLE.BIN', '#recycle',
        '__pycache__', '.Trash-1000')


def png(seed=0, size=8):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, 'png')
    return buffer.getvalue()


def write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png() if content is None else content)


def tree(root, classes='ab', count=3):
    for half in ('train', 'test'):
        for name in classes:
            for index in range(count):
                write(root / half / name / f'{index}.png', png(index))
    return root


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.unit
@pytest.mark.parametrize('junk', JUNK)
def test_system_folders_are_no_classes_and_their_files_no_images(
        tmp_path, junk):
    root = tree(tmp_path)
    for place in (root, root / 'train', root / 'train' / 'a',
                  root / 'train' / 'a' / 'deeper'):
        write(place / junk / 'x.png')
    write(root / 'train' / 'a' / '._0.png', b'AppleDouble')
    write(root / 'train' / 'Thumbs.db', b'thumbs')

    dataset = ImageFolder(str(root), data_prefix='train')
    assert dataset.metainfo['classes'] == ('a', 'b')
    assert [i['gt_label'] for i in dataset] == [0] * 3 + [1] * 3
    loose = ImageFolder(str(root), data_prefix='train', with_label=False)
    assert len(loose) == 6

    images = read_image_set(root)
    assert images.classes == ('a', 'b')
    assert len(images.train) == len(images.test) == 6
    source = read_image_source(str(root))
    assert (source.num_classes, source.num_train) == (2, 6)


@pytest.mark.unit
def test_a_junk_file_does_not_make_a_folder_one_without_labels(tmp_path):
    root = tree(tmp_path)
    write(root / 'train' / '._x.png', b'AppleDouble')
    assert ImageFolder(str(root), data_prefix='train')[0]['gt_label'] == 0
    # One real image among the folders still does.
    write(root / 'train' / 'x.png')
    assert 'gt_label' not in ImageFolder(str(root), data_prefix='train')[0]


@pytest.mark.unit
def test_an_empty_class_folder_keeps_its_number_and_is_named(tmp_path, log):
    root = tree(tmp_path, 'ac')
    (root / 'train' / 'b').mkdir()
    dataset = ImageFolder(str(root), data_prefix='train')
    assert dataset.metainfo['classes'] == ('a', 'b', 'c')
    assert {i['gt_label'] for i in dataset} == {0, 2}
    assert '(b), which keep their numbers' in log.text


@pytest.mark.unit
def test_links_are_followed_but_not_in_circles(tmp_path, log):
    root = tree(tmp_path / 'data')
    write(tmp_path / 'elsewhere' / 'far.png')
    os.symlink(tmp_path / 'elsewhere', root / 'train' / 'a' / 'linked')
    os.symlink(root, root / 'train' / 'a' / 'up')
    os.symlink(root / 'train' / 'a', root / 'train' / 'a' / 'me')
    os.symlink(root / 'train' / 'a', tmp_path / 'elsewhere' / 'back')
    os.symlink(root, root / 'train' / 'whole')
    os.symlink(tmp_path / 'elsewhere', root / 'train' / 'c')
    os.symlink('self.png', root / 'train' / 'b' / 'self.png')
    assert class_folders(root / 'train') == ['a', 'b', 'c']
    assert relative_images(root / 'train' / 'a') == [
        '0.png', '1.png', '2.png', 'linked/far.png'
    ]
    assert 'a link to a folder that it lies in' in log.text
    dataset = ImageFolder(str(root), data_prefix='train')
    numbers = [info['gt_label'] for info in map(dataset.get_data_info,
                                                range(len(dataset)))]
    # a/linked/far, b/self (unreadable); c holds far and the images of a.
    assert numbers == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.unit
def test_what_is_no_readable_file_is_skipped_and_logged(tmp_path, log):
    root = tree(tmp_path, count=40)
    folder = root / 'train' / 'a'
    write(folder / 'zero.png', b'')
    write(folder / 'cut.png', png(3)[:60])
    write(folder / 'directory.jpg' / 'inside.png')
    os.mkfifo(folder / 'pipe.png')
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(str(folder / 'socket.png'))
    except OSError:  # the path is longer than a socket's may be
        pass
    bomb = bytearray(png())
    # 50,000 x 50,000 pixels in the header, with its checksum.
    bomb[16:24] = (50000).to_bytes(4, 'big') * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, 'big')
    write(folder / 'bomb.png', bytes(bomb))
    strange = os.fsencode(folder) + b'/caf\xe9.png'
    with open(strange, 'wb') as file:
        file.write(png())
    with open(os.fsencode(folder) + b'/bad\xe9.png', 'wb') as file:
        file.write(b'no image')

    dataset = ImageFolder(str(root), data_prefix='train')
    read = [dataset.prepare_data(i) for i in range(len(dataset))]
    assert dataset.num_unreadable == 4  # zero, cut, bomb, bad
    assert len([i for i in read if i is not None]) == 80 + 2
    names = {os.path.basename(i['img_path']) for i in read if i is not None}
    assert {'inside.png', 'caf\udce9.png'} <= names
    assert 'pipe.png' in log.text
    assert 'Skipped an unreadable image: ' in log.text
    assert 'bad\\xe9.png' in log.text
    assert 'decompression bomb' in log.text
    log.text.encode()  # may be printed
    assert read_image_source(str(root)).num_classes == 2


@pytest.mark.unit
def test_a_listed_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'list.txt').write_text('pipe.jpg 0\n')
    dataset = ImageFolder(
        str(tmp_path), ann_file='list.txt', pipeline=[], max_unreadable=1)
    assert dataset.prepare_data(0) is None
    dataset = ImageFolder(str(tmp_path), ann_file='list.txt')
    with pytest.raises(UnreadableImagesError, match='no regular file'):
        dataset.prepare_data(0)


@pytest.mark.unit
def test_names_that_are_no_utf8_reach_a_list_and_come_back(tmp_path):
    root = tree(tmp_path / 'data')
    for half in (b'train', b'test'):
        path = os.fsencode(root) + b'/' + half + b'/b/caf\xe9 1.png'
        with open(path, 'wb') as file:
            file.write(png())
    images = read_image_set(root)
    assert len(images.fingerprint) == 64
    options = images.dataset('train', [], tmp_path / 'lists')
    assert options.pop('type') == 'sbam_mm.ImageFolder'
    dataset = ImageFolder(**options)
    assert len(dataset) == 7
    assert all(dataset.prepare_data(i) is not None for i in range(7))
    assert printable('caf\udce9') == 'caf\\xe9'


@pytest.mark.unit
def test_images_without_a_training_half_are_taken_without_labels(
        tmp_path, log):
    for name in ('0.png', 'sub/1.png', 'sub/deeper/2.png', '.git/3.png'):
        write(tmp_path / name)
    dataset = ImageFolder(str(tmp_path), data_prefix='train')
    assert len(dataset) == 3
    assert 'gt_label' not in dataset[0]
    assert 'has no folder train: all images' in log.text
    # A test half speaks for a mistake.
    (tmp_path / 'val').mkdir()
    with pytest.raises(FileNotFoundError, match='train.*does not exist'):
        ImageFolder(str(tmp_path), data_prefix='train')
    (tmp_path / 'val').rmdir()
    for options in (dict(data_prefix='trian'),
                    dict(data_prefix='train', with_label=True)):
        with pytest.raises(FileNotFoundError, match='does not exist'):
            ImageFolder(str(tmp_path), **options)


@pytest.mark.unit
def test_order_is_that_of_the_names(tmp_path):
    for name in ('b.png', 'a/z.png', 'a.png', 'a/0/1.png'):
        write(tmp_path / name)
    assert relative_images(tmp_path) == ['a.png', 'a/0/1.png', 'a/z.png',
                                         'b.png']
    assert [p.relative_to(tmp_path).as_posix()
            for p in image_files(tmp_path)] == ['a/0/1.png', 'a/z.png',
                                                'a.png', 'b.png']


@pytest.mark.unit
def test_a_jpeg_bomb_is_refused_before_it_is_cut():
    from sbam_mm.datasets import EncodedImage
    buffer = io.BytesIO()
    Image.new('RGB', (16, 16)).save(buffer, 'jpeg')
    content = bytearray(buffer.getvalue())
    start = content.index(b'\xff\xc0') + 5
    content[start:start + 4] = (65000).to_bytes(2, 'big') * 2
    with pytest.raises(Image.DecompressionBombError):
        EncodedImage(bytes(content))
