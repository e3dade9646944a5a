# Copyright (c) OpenMMLab. All rights reserved.
"""Where quickstart's images come from, and in which order."""
import gzip
import hashlib
import os
import struct
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import FashionMNIST

from sbam_mm.datasets import ImageFolder, find_image_source, sources
from sbam_mm.datasets.sources import SourceUnavailable, read_image_source

TOOL = Path(__file__).parents[2] / 'tools' / 'prepare_data.py'


def write_tree(root, test='test', classes=('cat', 'dog'), mode='RGB'):
    for half in ('train', test):
        for name in classes:
            folder = root / half / name
            folder.mkdir(parents=True)
            for index in range(3 if half == 'train' else 2):
                Image.new(mode, (40, 24)).save(folder / f'{index}.png')
    return str(root)


@pytest.mark.unit
@pytest.mark.parametrize('test, mode, channels', [('test', 'RGB', 3),
                                                  ('val', 'L', 1)])
def test_a_named_folder_wins(tmp_path, test, mode, channels):
    root = write_tree(tmp_path / 'pets', test, mode=mode)
    said = []
    source = find_image_source(root, log=said.append)
    assert (source.name, source.root) == ('pets', root)
    assert (source.num_classes, source.num_train, source.num_test) == (2, 6, 4)
    assert (source.image_size, source.channels) == (24, channels)
    assert source.test_prefix == test
    assert root in said[-1]


@pytest.mark.unit
def test_first_images_of_each_class(tmp_path):
    """The first by name, to the byte; nothing is left of a refused copy."""
    root = Path(write_tree(tmp_path / 'pets', 'val'))
    for index, path in enumerate(sorted(root.rglob('*.png'))):
        Image.new('RGB', (40, 24), (index, 0, 0)).save(path)
    source, out = read_image_source(str(root)), tmp_path / 'out'
    with pytest.raises(ValueError, match='train/cat .* has 3 images, not 4'):
        sources.copy_first_images(source, str(out), 4, 1)
    assert not list(out.iterdir())
    copy = sources.copy_first_images(source, str(out), 2, 1)
    assert (copy.name, copy.num_train, copy.num_test) == ('pets_2_1', 4, 2)
    names = [str(path.relative_to(copy.root))
             for path in sorted(Path(copy.root).rglob('*.png'))]
    assert names == ['test/cat/0.png', 'test/dog/0.png', 'train/cat/0.png',
                     'train/cat/1.png', 'train/dog/0.png', 'train/dog/1.png']
    for name in names:
        assert (Path(copy.root, name).read_bytes()
                == (root / name.replace('test', 'val')).read_bytes())
    # A second call takes what is there.
    Path(copy.root, names[2]).unlink()
    again = sources.copy_first_images(source, str(out), 2, 1)
    assert again.num_train == 3
    # And such a copy may be copied from in turn.
    assert sources.copy_first_images(copy, str(out), 1, 1).name == (
        'pets_2_1_1_1')


@pytest.mark.unit
def test_a_wrong_folder_gets_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='train/<class>'):
        read_image_source(str(tmp_path / 'nowhere'))
    root = write_tree(tmp_path / 'a')
    (tmp_path / 'a' / 'test' / 'horse').mkdir()
    with pytest.raises(ValueError, match="'horse'"):
        read_image_source(root)
    for name in ('train', 'test'):
        (tmp_path / 'b' / name / 'cat').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='holds no image'):
        read_image_source(str(tmp_path / 'b'))


@pytest.mark.unit
def test_unlabelled_test_images_give_way_to_val(tmp_path):
    root = write_tree(tmp_path, 'val')
    (tmp_path / 'test').mkdir()
    assert read_image_source(root).test_prefix == 'val'


@pytest.mark.unit
def test_order_of_sources(tmp_path, monkeypatch):
    tried = []

    def failing(name):

        def download(*_, **__):
            tried.append(name)
            raise SourceUnavailable(f'{name} is away.')

        return download

    monkeypatch.setattr(sources, 'download_cifar10', failing('cifar10'))
    monkeypatch.setattr(sources, 'download_fashion_mnist', failing('fashion'))
    with pytest.raises(
            SourceUnavailable,
            match=r'\(cifar10 is away; fashion is away\).*DATA_ROOT'):
        find_image_source(out=str(tmp_path), log=str)
    assert tried == ['cifar10', 'fashion']
    write_tree(tmp_path / 'fashion_mnist')
    assert find_image_source(out=str(tmp_path), log=str).num_train == 6
    assert tried == ['cifar10', 'fashion']


class _Digits:
    """What torchvision's data sets look like."""
    classes = ['T-shirt/top', 'Ankle boot']

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return Image.new('L', (28, 28), index * 10), index % 2


@pytest.mark.unit
def test_tree_is_lossless_and_appears_at_once(tmp_path):
    target = tmp_path / 'out' / 'fashion_mnist'
    with pytest.raises(KeyError), \
            sources._workspace(str(target)) as (_, tree):
        sources._write_tree(_Digits(), tree, 'train')
        raise KeyError
    assert os.listdir(tmp_path / 'out') == []
    with sources._workspace(str(target)) as (_, tree):
        for half in ('train', 'test'):
            sources._write_tree(_Digits(), tree, half)
        source = sources._finish(tree, str(target), 'fashion_mnist', 'Tiny.')
    assert os.listdir(tmp_path / 'out') == ['fashion_mnist']
    assert (source.name, source.provenance) == ('fashion_mnist', 'Tiny.')
    assert (source.channels, source.image_size) == (1, 28)
    dataset = ImageFolder(data_root=source.root, data_prefix='train')
    assert dataset.CLASSES == ('Ankle_boot', 'T-shirt-top')
    assert [int(s['img'].max()) for s in dataset] == [10, 30, 0, 20]


def _idx(array):
    head = struct.pack('>BBBB', 0, 0, 8, array.ndim)
    return gzip.compress(
        head + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes())


@pytest.fixture
def mirror():
    """Serves a folder on this machine."""
    servers = []

    def serve(folder):
        handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
        servers.append(ThreadingHTTPServer(('127.0.0.1', 0), handler))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f'http://127.0.0.1:{servers[-1].server_port}/'

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.unit
def test_fashion_mnist_through_torchvision(tmp_path, monkeypatch, mirror):
    """From a mirror of two images, checksums and all."""
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    resources = []
    for half in ('train', 't10k'):
        for what, array in (('images-idx3', images),
                            ('labels-idx1', np.array([0, 9], np.uint8))):
            name, data = f'{half}-{what}-ubyte.gz', _idx(array)
            (tmp_path / name).write_bytes(data)
            resources.append((name, hashlib.md5(data).hexdigest()))
    monkeypatch.setattr(FashionMNIST, 'mirrors', [mirror(tmp_path)])
    monkeypatch.setattr(FashionMNIST, 'resources', resources)
    source = sources.download_fashion_mnist(
        str(tmp_path / 'fashion_mnist'), log=str)
    assert (source.name, source.num_train, source.num_classes,
            source.channels) == ('fashion_mnist', 2, 10, 1)
    folder = Path(source.root)
    first = Image.open(folder / 'test' / 'T-shirt-top' / '00000.png')
    np.testing.assert_array_equal(np.asarray(first), images[0])
    assert (folder / 'train' / 'Ankle_boot' / '00001.png').is_file()

    (tmp_path / resources[0][0]).write_bytes(b'cut short')
    with pytest.raises(SourceUnavailable, match='Fashion-MNIST cannot be had'):
        sources.download_fashion_mnist(str(tmp_path / 'again'), log=str)
    assert not (tmp_path / 'again').exists()


@pytest.mark.unit
def test_dead_and_slow_hosts(monkeypatch):

    def refused(*_, **__):
        raise OSError('Name or service not known')

    monkeypatch.setattr('urllib.request.urlopen', refused)
    with pytest.raises(SourceUnavailable, match='Name or service not known'):
        sources.download_cifar10('unused', log=str)

    class Slow:
        length = 170_000_000

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, count):
            return b'0' * count

    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr('urllib.request.urlopen', lambda *_, **__: Slow())
    monkeypatch.setattr('time.monotonic', lambda: next(clock))
    with pytest.raises(SourceUnavailable, match='about .* minutes'):
        sources.download_cifar10('unused', log=str)


@pytest.mark.integration
def test_tool(tmp_path):
    root = write_tree(tmp_path / 'pets')
    env = {k: v for k, v in os.environ.items() if k != 'DATA_ROOT'}
    run = subprocess.run([sys.executable, TOOL, '--data', root],
                         capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    assert f'DATA_ROOT={root}' in run.stdout
    run = subprocess.run([sys.executable, TOOL],
                         capture_output=True, text=True,
                         env=dict(env, DATA_ROOT=str(tmp_path / 'none')))
    assert run.returncode == 2
    assert 'Traceback' not in run.stderr
    assert 'name another folder' in run.stderr
