# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers in transformers' ViTMAE."""
import copy
import pickle

import pytest
import torch
from adapters_in_small import GRID, images, vit_mae, without_datasets

transformers = pytest.importorskip('transformers')

from sbam_mm.adapters.hf import MaskingProgress, use_masker  # noqa: E402
from sbam_mm.masking import (  # noqa: E402
    AMT,
    SBAM,
    SBM,
    RandomMasker,
    SoftToHard,
)

pytestmark = pytest.mark.unit


def test_the_model_hides_what_the_masker_says():
    model = vit_mae()
    masking = use_masker(model, SBM(noise=0.))
    out = model(images())
    assert torch.equal(out.mask, masking.mask.masked.float())
    assert torch.equal(out.ids_restore, masking.mask.ids_restore)
    # It went by tokens with positions, as our own models' maskers do.
    embeddings = model.vit.embeddings
    tokens = embeddings.patch_embeddings(images()) + (
        embeddings.position_embeddings[:, 1:])
    assert torch.equal(SBM(noise=0.)(tokens, GRID).masked,
                       masking.mask.masked)
    out.loss.backward()
    assert embeddings.patch_embeddings.projection.weight.grad.any()


def test_the_same_mask_gives_the_same_loss():
    """As what the library computes of a noise by itself."""
    model = vit_mae()
    noise = torch.rand(3, 64)
    expected = model(images(), noise=noise)
    masking = use_masker(model, RandomMasker())
    masking.masker.forward = (
        lambda context, given=None: RandomMasker().forward(context, noise))
    out = model(images())
    assert torch.equal(out.mask, expected.mask)
    torch.testing.assert_close(out.loss, expected.loss)


@pytest.mark.parametrize('ratio', [0., .1, .3, .5, .6, .75, .9, .98])
def test_any_ratio_is_met(ratio):
    model = vit_mae()
    masking = use_masker(model, RandomMasker(ratio))
    assert torch.equal(model(images()).mask, masking.mask.masked.float())
    # What is saved and loaded is as it was.
    assert model.config.mask_ratio == .75


def test_a_ratio_per_batch():
    model = vit_mae()
    masking = use_masker(model, SBAM(scope='batch', delta_r=.2))
    counts = set()
    for contrast in (0., .1, 10.):
        out = model(images() * contrast)
        assert torch.equal(out.mask, masking.mask.masked.float())
        counts.add(masking.mask.num_visible)
    assert len(counts) > 1


def test_a_given_noise_has_its_way():
    model = vit_mae()
    noise = torch.rand(3, 64)
    expected = model(images(), noise=noise).mask
    use_masker(model, RandomMasker(.5))
    assert model(images()).mask.sum() == 3 * 32
    assert torch.equal(model(images(), noise=noise).mask, expected)


def test_images_of_another_size():
    model = vit_mae()
    masking = use_masker(model, SBM())
    larger = torch.randn(2, 3, 48, 32)
    out = model(larger, interpolate_pos_encoding=True)
    assert out.mask.shape == (2, 96)
    assert torch.equal(out.mask, masking.mask.masked.float())


def test_the_encoder_alone():
    model = vit_mae().vit
    masking = use_masker(model, SBM())
    out = model(images())
    assert out.last_hidden_state.shape == (3, 1 + 16, 24)
    assert torch.equal(out.mask, masking.mask.masked.float())


def test_weights_and_config_are_the_librarys(tmp_path):
    model = vit_mae()
    names, config = list(model.state_dict()), model.config.to_dict()
    use_masker(model, SBM())
    model(images())
    assert list(model.state_dict()) == names
    assert model.config.to_dict() == config
    model.save_pretrained(tmp_path)
    loaded = transformers.ViTMAEForPreTraining.from_pretrained(tmp_path)
    noise = torch.rand(3, 64)
    assert torch.equal(loaded(images(), noise=noise).loss,
                       model(images(), noise=noise).loss)


def test_a_copy_has_a_masker_of_its_own():
    model = vit_mae()
    masking = use_masker(model, SBM())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other(images()).mask.sum() == 3 * 48
    assert not hasattr(masking, 'mask')


@pytest.mark.parametrize('masker, words', [
    (SBAM(), "its own number of tokens.*PackedViT.*scope='batch'"),
    (AMT(), r"needs 'attention_map'.*pass providers=dict\(attention_map="),
])
def test_what_cannot_be_is_said_at_once(masker, words):
    with pytest.raises(ValueError, match=words) as error:
        use_masker(vit_mae(), masker)
    assert '\n' not in str(error.value)


def test_thrown_tokens_are_refused():
    model = vit_mae()
    use_masker(model, AMT(), dict(
        attention_map=lambda context: torch.rand(3, 64)))
    with pytest.raises(ValueError, match='AMT throws tokens away'):
        model(images())


def test_trainer(tmp_path, monkeypatch):
    """Its masker knows how far the training is, and the loss falls."""
    pytest.importorskip('accelerate')
    without_datasets(monkeypatch)
    model = vit_mae(norm_pix_loss=False)
    masking = use_masker(model, SBM())
    seen = []

    class Seen(SoftToHard):

        def forward(self, scores, num_visible, context, noise=None):
            seen.append((context.progress, context.epoch))
            return super().forward(scores, num_visible, context, noise)

    masking.masker.selection = Seen()
    # What is the same in all images can be learnt in six steps.
    data = [dict(pixel_values=2 + .1 * image) for image in images(8)]
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            str(tmp_path), num_train_epochs=3, per_device_train_batch_size=4,
            learning_rate=1e-2, logging_steps=1, report_to=[], use_cpu=True,
            remove_unused_columns=False, disable_tqdm=True),
        train_dataset=data,
        callbacks=[MaskingProgress(masking)])
    trainer.train()
    assert seen == [(step / 6, step // 2) for step in range(6)]
    losses = [record['loss'] for record in trainer.state.log_history
              if 'loss' in record]
    assert len(losses) == 6 and losses[-1] < losses[0]
