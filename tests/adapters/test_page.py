# Copyright (c) OpenMMLab. All rights reserved.
"""The code of docs/use_with.md, section by section, as a reader copies it."""
import pytest
import torch
from adapters_in_small import without_datasets
from extend_pages import blocks

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def names(tmp_path_factory):
    """What the code of the page leaves behind, after all of it has run."""
    for library in ('timm', 'transformers', 'accelerate', 'lightly'):
        pytest.importorskip(library)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('page'))
        without_datasets(patch)
        torch.manual_seed(0)
        for number, code in enumerate(blocks('use_with.md', 'python')):
            exec(compile(code, f'use_with.md, block {number}', 'exec'), found)
        found['loaded'] = found['ViTMAEForPreTraining'].from_pretrained(
            'work_dirs/vit_mae/last')
    return found


def test_the_trainer_has_trained(names):
    losses = [record['loss'] for record in names['trainer'].state.log_history
              if 'loss' in record]
    assert len(losses) == 4
    assert all(0 < loss < 2 for loss in losses)
    assert names['masking'].progress == 3 / 4
    images, noise = torch.rand(2, 3, 32, 32), torch.rand(2, 64)
    assert torch.equal(
        names['loaded'].eval()(images, noise=noise).loss.cpu(),
        names['model'].eval().cpu()(images, noise=noise).loss)


def test_counts_are_unequal_where_the_page_says_so(names):
    counts = names['encoder'].mask.visible_counts
    assert len(set(counts.tolist())) > 1
    assert names['latent'].packed.shape == (4 + int(counts.sum()), 192)
    assert names['loss'].isfinite()
    assert names['mask_token'].grad.any()


def test_the_rest(names):
    assert names['encoded'].shape == (4, 17, 192)
    assert names['idx_keep'].shape[1] + names['idx_mask'].shape[1] == 17
    assert names['full'].shape == names['tokens'].shape
    assert (names['dropper'].mask.visible_counts == 4).all()
