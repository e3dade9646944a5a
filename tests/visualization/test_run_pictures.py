# Copyright (c) OpenMMLab. All rights reserved.
"""Pictures of a training are those that its model and masker make."""
import numpy as np
import pytest
from mmengine.config import Config

from sbam_mm.errors import UserError
from sbam_mm.visualization import (
    center_crop,
    mask_images,
    photographs,
    reconstruct_images,
    run_pictures,
    with_channels,
)
from sbam_mm.visualization.pixels import hide_patches, repeat_cells
from sbam_mm.visualization.run_pictures import (
    as_seen,
    kept_checkpoints,
    run_config,
)

pytestmark = pytest.mark.unit


def test_mask_and_reconstruction_are_of_the_same_draws(tiny_mae):
    model = tiny_mae('SBAM')
    images = {n: center_crop(i, 32) for n, i in photographs().items()}
    grid = run_pictures(model, images, 0.5, seed=3)
    assert grid.columns == ['Image', 'Salience', 'Masked', 'Reconstruction']
    pictures = list(images.values())
    mask = mask_images(model, pictures, seed=3, progress=0.5)
    results = reconstruct_images(model, pictures, mask)
    for i, (name, cells) in enumerate(grid.rows.items()):
        hidden = mask.masked[i].view(4, 4).numpy()
        image, _, (masked, share), (reconstruction, error) = cells
        assert image[1] == name and (image[0] == pictures[i]).all()
        assert (masked == hide_patches(pictures[i], hidden)).all()
        assert share == f'{hidden.mean():.0%} hidden'
        assert (reconstruction == results[i].reconstruction).all()
        where = repeat_cells(hidden, (32, 32))
        off = (reconstruction[where].astype(float) - pictures[i][where]) / 255
        assert error == f'error {np.sqrt((off**2).mean()):.3f}'


def test_channels_and_size_are_the_models():
    image = photographs(['coffee'])['coffee']
    grey = with_channels(image, 1)
    assert grey.shape == (*image.shape[:2], 1)
    assert (with_channels(grey, 3) == grey).all()
    config = Config(dict(model=dict(backbone=dict(
        in_channels=1, img_size=(24, 40)))))
    assert as_seen(image, config).shape == (24, 40, 1)


def test_checkpoints_by_epoch_or_iteration(tmp_path):
    for name in ('epoch_10', 'epoch_9', 'best_epoch_3', 'epoch_x', 'iter_7'):
        (tmp_path / f'{name}.pth').touch()
    assert list(kept_checkpoints(tmp_path)) == [9, 10]
    (tmp_path / 'epoch_9.pth').unlink()
    (tmp_path / 'epoch_10.pth').unlink()
    assert list(kept_checkpoints(tmp_path)) == [7]


@pytest.mark.parametrize('text', [
    None, '', 'model = 3', 'model = dict(', "import os\nos.abort()"])
def test_no_config_of_a_training(tmp_path, text):
    if text is not None:
        folder = tmp_path / '1' / 'vis_data'
        folder.mkdir(parents=True)
        (folder / 'config.py').write_text(text)
    with pytest.raises(UserError, match='no config with a model'):
        run_config(tmp_path)
