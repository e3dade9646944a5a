# Copyright (c) OpenMMLab. All rights reserved.
"""Image sets in the files they are distributed in, with few images."""
import hashlib
import pickle

import numpy as np
from PIL import Image

from sbam_mm.datasets.torchvision_images import SOURCES


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def painted(labels, side):
    """An image for each label: a bright sky, and its colour on the left.

    Returns:
        np.ndarray: (N, side, side, 3) uint8.
    """
    images = np.full((len(labels), side, side, 3), 40, np.uint8)
    for image, label in zip(images, labels):
        image[:, :side // 2] = (label * 2, 255 - label * 2, label * 37 % 256)
        image[:side // 4] = 250
    return images


def cifar(folder, monkeypatch, name, train, test):
    """Pickles with a row of red, green and blue planes for each image."""
    source = SOURCES[name]
    hundred = name == 'CIFAR100'
    base = folder / source.base_folder
    base.mkdir(parents=True)

    def write(file, content):
        (base / file).write_bytes(pickle.dumps(content, protocol=2))
        return file, md5(base / file)

    def batch(file, labels):
        planes = painted(labels, 32).transpose(0, 3, 1, 2)
        given = dict(
            fine_labels=labels, coarse_labels=[i // 5 for i in labels]
        ) if hundred else dict(labels=labels)
        return write(file, dict(
            batch_label=file, data=planes.reshape(len(labels), -1),
            filenames=[f'{i}_s_{i:06d}.png' for i in labels], **given))

    files = ['train'] if hundred else [
        f'data_batch_{number}' for number in range(1, 6)]
    monkeypatch.setattr(source, 'train_list', [
        batch(file, part.tolist())
        for file, part in zip(files, np.array_split(train, len(files)))])
    monkeypatch.setattr(source, 'test_list', [
        batch('test' if hundred else 'test_batch', list(test))])
    fine = [f'fine {i:02d}' for i in range(100)]
    _, mark = write(source.meta['filename'], dict(
        fine_label_names=fine, coarse_label_names=[
            f'coarse {i:02d}' for i in range(20)])
        if hundred else dict(label_names=fine[:10], num_vis=3072))
    monkeypatch.setattr(source, 'meta', dict(source.meta, md5=mark))
    return folder


def stl10(folder, monkeypatch, train, test):
    """Planes stored column after column, labels from 1; 100 folds."""
    source = SOURCES['STL10']
    base = folder / source.base_folder
    base.mkdir(parents=True)

    def write(half, labels):
        images = painted(labels, 96).transpose(0, 3, 2, 1)
        (base / f'{half}_X.bin').write_bytes(images.tobytes())
        (base / f'{half}_y.bin').write_bytes(
            (np.array(labels, np.uint8) + 1).tobytes())
        return [(f'{half}_{kind}.bin', md5(base / f'{half}_{kind}.bin'))
                for kind in 'Xy']

    monkeypatch.setattr(source, 'train_list', write('train', train))
    monkeypatch.setattr(source, 'test_list', write('test', test))
    (base / 'class_names.txt').write_text(
        ''.join(f'class {i}\n' for i in range(10)))
    (base / 'fold_indices.txt').write_text('0 1 2 \n' * 10)
    return folder


def tiny_imagenet(folder, train, test):
    """Class folders for training, one folder and a table for validation."""
    names = [f'n{100 + label:08d}' for label in range(max(train) + 1)]
    for number, (label, image) in enumerate(zip(train, painted(train, 64))):
        name = names[label]
        images = folder / 'train' / name / 'images'
        images.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(images / f'{name}_{number}.JPEG')
        (images.parent / f'{name}_boxes.txt').write_text(
            f'{name}_{number}.JPEG\t0\t0\t62\t62\n')
    table = ''
    for half in ('val', 'test'):
        (folder / half / 'images').mkdir(parents=True)
        for number, (label, image) in enumerate(zip(test, painted(test, 64))):
            name = f'{half}_{number}.JPEG'
            Image.fromarray(image).save(folder / half / 'images' / name)
            if half == 'val':
                table += f'{name}\t{names[label]}\t0\t32\t44\t62\n'
    (folder / 'val/val_annotations.txt').write_text(table)
    (folder / 'wnids.txt').write_text('\n'.join(reversed(names)) + '\n')
    (folder / 'words.txt').write_text(
        ''.join(f'{name}\ta thing\n' for name in names))
    return folder


def write_image_set(name, folder, monkeypatch, train, test):
    """A set in its distributed files; torchvision takes their checksums.

    Args:
        name (str): "CIFAR10", "CIFAR100", "STL10" or "TinyImageNet".
        folder (Path): Gets the folder that torchvision expects, or the set.
        monkeypatch (MonkeyPatch): For the checksums.
        train (list[int]): Labels of the training images.
        test (list[int]): Labels of the test images.
    """
    if name == 'TinyImageNet':
        return tiny_imagenet(folder, train, test)
    if name == 'STL10':
        return stl10(folder, monkeypatch, train, test)
    return cifar(folder, monkeypatch, name, train, test)
