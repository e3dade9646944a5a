# Copyright (c) OpenMMLab. All rights reserved.
"""Two processes that share an evaluation find what one process finds."""
import numpy as np
import pytest
import torch
from mmengine.dist import all_reduce
from PIL import Image
from torch import nn
from two_processes import run_two

from sbam_mm.command_line import run_or_explain
from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.evaluation.features import FrozenEncoder
from sbam_mm.evaluation.image_sets import read_image_set
from sbam_mm.evaluation.linear_heads import (
    HeadSpec,
    SharedBatchNorm,
    cached_stream,
    train_heads,
)
from sbam_mm.evaluation.processes import broadcast_from_main, gather_results
from sbam_mm.evaluation.protocols import KNN, FewShot, Linear, Sweep
from sbam_mm.evaluation.run_protocols import (
    Evaluation,
    run_few_shot,
    run_knn,
    run_linear,
    run_sweep,
)

pytestmark = [pytest.mark.integration, pytest.mark.dist]
ARCH = dict(
    embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)


@pytest.fixture
def folder(tmp_path):
    """Three classes of one colour each: 51 images to learn from, 15 others."""
    rng = np.random.default_rng(0)
    for half, count in (('train', 17), ('test', 5)):
        for label in range(3):
            place = tmp_path / 'data' / half / str(label)
            place.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 200, (16, 16, 3), dtype=np.uint8)
                pixels[..., label] += 40
                Image.fromarray(pixels).save(place / f'{i:02}.png')
    return tmp_path


def evaluation_of(folder, out):
    torch.manual_seed(0)
    recipe = encoder_recipe(arch=ARCH, patch=8, size=16)
    # Batches of 7 do not fill the images, and leave a process without any in
    # the last round.
    encoder = FrozenEncoder(recipe.build(), recipe.preprocessor(),
                            batch_size=7)
    return Evaluation(recipe, encoder, read_image_set(folder / 'data'),
                      'a.pth', 'hash', 'teacher', folder / out)


def evaluate(rank, folder, out):
    """All protocols but fine-tuning; steps have 3 images, 2 + 1 shared."""
    found = evaluation_of(folder, out)
    return dict(
        knn=run_knn(found, KNN((3, 20))),
        linear=run_linear(found, Linear(3, base_lr=5., warm_up=1,
                                        augment=False)),
        augmented=run_linear(found, Linear(2, base_lr=5., warm_up=1)),
        sweep=run_sweep(found, Sweep(2, rates=(0.1, 1.), augment=False)),
        few=run_few_shot(found, FewShot((0.2, ))))


def test_every_protocol_and_the_stored_features(folder):
    one = evaluate(0, folder, 'one')
    both = run_two(evaluate, folder, folder, 'two')
    for two in both:
        assert two['knn'] == one['knn']
        assert two['few']['top1'] == one['few']['top1']
        for name in ('linear', 'augmented', 'sweep'):
            assert two[name]['curves'].keys() == one[name]['curves'].keys()
            for key, curve in one[name]['curves'].items():
                for a, b in zip(two[name]['curves'][key], curve, strict=True):
                    assert a == pytest.approx(b, rel=1e-5), (name, key)
            assert two[name]['top1'] == pytest.approx(one[name]['top1'])
    # The losses tell the rules apart: they left the start, and differently.
    loss = [one[name]['curves']['cls, lr=0.0586'][-1]['loss']
            for name in ('linear', 'augmented')]
    start = np.log(3)
    assert min(abs(x - y) for x, y in ((loss[0], loss[1]), (loss[0], start),
                                       (loss[1], start))) > 0.005
    stored = [{path.relative_to(folder / out): path.read_bytes()
               for kind in ('features', 'few_shot', 'lists')
               for path in (folder / out / kind).iterdir()}
              for out in ('one', 'two')]
    assert len(stored[0]) == 11
    assert stored[0] == stored[1]


def normalise(rank):
    rows = 100 + 3 * torch.randn(
        11, 4, generator=torch.Generator().manual_seed(0))
    own = [rows[:8], rows[8:]][rank]
    norm = SharedBatchNorm(4, affine=False)
    return norm(own), norm.running_mean, norm.running_var, norm.eval()(own)


def test_batch_norm_sees_all_images(tmp_path):
    rows = 100 + 3 * torch.randn(
        11, 4, generator=torch.Generator().manual_seed(0))
    norm = nn.BatchNorm1d(4, affine=False)
    expected = norm(rows)
    parts = run_two(normalise, tmp_path)
    close = dict(atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        torch.cat([part[0] for part in parts]), expected, **close)
    for _, mean, var, _ in parts:
        torch.testing.assert_close(mean, norm.running_mean, **close)
        torch.testing.assert_close(var, norm.running_var, **close)
    torch.testing.assert_close(
        torch.cat([part[3] for part in parts]), norm.eval()(rows), **close)


def sentence(work, *args):
    with pytest.raises(ValueError) as caught:
        work(*args)
    return str(caught.value)


class Unreadable:
    """Stands for a data set whose second batch, of rank 1, has gone."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        if index == 8:
            raise OSError('the disk has gone.')
        return self.images[index]


def fail_alone(rank, folder):
    """Rank 1 cannot read, rank 0 cannot write, and both hear of it."""
    def work(who):
        if rank == who:
            raise OSError(f'rank {who} cannot.')
        return rank

    found = evaluation_of(folder, 'out')
    whole = found.dataset
    found.dataset = lambda *args: Unreadable(whole(*args))
    features = dict(cls=np.zeros((4, 2), np.float16))
    heads = ([HeadSpec(0.1)],
             cached_stream(features, torch.zeros(4), 1),
             (features, torch.zeros(4)), 2, 4, 1, 1)
    return [sentence(gather_results, lambda: work(1)),
            sentence(broadcast_from_main, lambda: work(0)),
            sentence(found.features, 'train', ['cls']),
            sentence(train_heads, *heads),
            gather_results(lambda: rank), broadcast_from_main(lambda: rank)]


def test_a_failure_of_one_is_a_sentence_in_all(folder):
    for told in run_two(fail_alone, folder, folder):
        assert told[:3] == ['rank 1 cannot.', 'rank 0 cannot.',
                            'the disk has gone.']
        assert 'start at most 1.' in told[3]
        assert told[4:] == [[0, 1], 0]
    assert not list((folder / 'out' / 'features').iterdir())


def end(rank, where, folder):
    """One process fails before a collective call of the other."""
    import sys

    from sbam_mm.errors import UserError

    def work():
        if rank == where:
            raise UserError('the sentence.')
        all_reduce(torch.ones(1))

    with open(folder / f'{rank}.txt', 'w') as sys.stderr:
        try:
            run_or_explain(work)
        except SystemExit as stop:
            return stop.code


@pytest.mark.parametrize('where', [0, 1])
def test_who_fails_first_says_why_and_the_other_ends(tmp_path, where):
    assert run_two(end, tmp_path, where, tmp_path) == [2, 2]
    told = [(tmp_path / f'{rank}.txt').read_text() for rank in (0, 1)]
    assert told[where] == 'error: the sentence.\n'
    assert told[1 - where] == ''
