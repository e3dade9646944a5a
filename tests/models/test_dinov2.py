# Copyright (c) OpenMMLab. All rights reserved.
"""iBOT with DINOv2's settings: the values are those of the formulae."""
import pytest
import torch
import torch.nn.functional as F
from short_trainings import (
    every_parameter_learns,
    two_halves_equal_the_whole,
)
from tiny_ibot import tiny_ibot

from sbam_mm.models.heads import DINOHead
from sbam_mm.models.losses import (
    DINOLoss,
    PatchLoss,
    koleo,
    sinkhorn_knopp,
)

pytestmark = pytest.mark.unit
BALANCED = dict(centring='sinkhorn', teacher_temperature=0.04)


def dinov2(**options):
    return tiny_ibot(**{
        **dict(separate=True, cls_loss=BALANCED, patch_loss=BALANCED,
               koleo_weight=0.1), **options})


def crops(batch_size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch_size, 3, size, size, generator=generator)
            for size in (32, 32, 16)]


def by_hand(logits, iterations):
    """SwAV's Algorithm in float64: Q is (K, N) and adds up to 1."""
    q = logits.double().exp().T
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


@pytest.mark.parametrize('iterations', [1, 3])
def test_sinkhorn_knopp_is_the_algorithm(iterations):
    logits = 5 * torch.randn(12, 6)
    torch.testing.assert_close(
        sinkhorn_knopp(logits, iterations),
        by_hand(logits, iterations).float())


def test_sinkhorn_knopp_balances():
    """Rows add up to 1 always, columns to N / K in the end."""
    shares = sinkhorn_knopp(torch.randn(2, 8, 4), 200)
    assert shares.shape == (2, 8, 4)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, 8))
    torch.testing.assert_close(shares.sum((0, 1)), torch.full((4, ), 4.))


def test_sinkhorn_knopp_of_extremes():
    assert sinkhorn_knopp(torch.zeros(0, 4)).shape == (0, 4)
    torch.testing.assert_close(sinkhorn_knopp(torch.zeros(3, 4)),
                               torch.full((3, 4), .25))
    # Prototypes that nobody is near.
    far = torch.tensor([[200., 0., -200.]]).expand(5, 3)
    assert sinkhorn_knopp(far).isfinite().all()


@pytest.mark.parametrize('kind', [DINOLoss, PatchLoss])
def test_targets_are_balanced_instead_of_centred(kind):
    loss = kind(6, centring='sinkhorn', teacher_temperature=0.05,
                warm_up_epochs=0)
    loss.centre.value.fill_(3.)
    logits = torch.randn(2, 4, 6)
    torch.testing.assert_close(
        loss.target(logits), sinkhorn_knopp(logits / 0.05))
    with pytest.raises(ValueError, match='centring'):
        kind(6, centring='median')


def test_koleo_is_the_formula():
    x = torch.randn(7, 5, requires_grad=True)
    unit = x / x.norm(dim=1, keepdim=True)
    apart = (unit[:, None] - unit[None]).norm(dim=-1)
    nearest = (apart + 9 * torch.eye(7)).min(dim=1).values
    expected = -nearest.log().mean()
    torch.testing.assert_close(koleo(x), expected, rtol=1e-5, atol=1e-6)


def test_koleo_pushes_neighbours_apart():
    """Also from where they are the same, with finite gradients."""
    x = torch.randn(6, 4)
    x[1] = x[0] + 0.01
    x.requires_grad_()
    before = torch.cdist(*[F.normalize(x)] * 2)[0, 1].item()
    koleo(x).backward()
    after = F.normalize(x.detach() - 0.01 * x.grad)
    assert torch.cdist(after, after)[0, 1] > before
    same = torch.ones(3, 4, requires_grad=True)
    koleo(same).backward()
    assert same.grad.isfinite().all()
    assert koleo(torch.ones(1, 4)) == 0


def test_patches_have_a_head_of_their_own():
    head = DINOHead(12, 8, hidden_dim=16, bottleneck_dim=4,
                    separate_patches=True)
    head.init_weights()
    x = torch.randn(5, 12)
    first, second = head.patch_mlp[0], head.mlp[0]
    assert (first.weight != second.weight).any()
    unit = F.normalize(head.patch_mlp(x), dim=-1)
    weight = F.normalize(head.patch_last_layer.weight, dim=1)
    torch.testing.assert_close(
        head.patch_logits(head.project_patches(x)), unit @ weight.T)
    assert len(head.prototype_parameters()) == 4
    shared = DINOHead(12, 8, hidden_dim=16, bottleneck_dim=4)
    assert torch.equal(shared.project_patches(x), shared.project(x))
    assert not any('patch' in name for name in shared.state_dict())


def test_loss_of_patches_is_the_formula():
    """Of masked patches against balanced targets, mean per view."""
    model, views = dinov2().train(), torch.cat(crops()[:2])
    masked = torch.rand(8, 16) < 0.4
    masked[3] = False
    teaching = model.teach(views)
    latent = model.backbone(views)[-1]
    loss = model.learn_patches(latent, masked, teaching)
    head = model.momentum_teacher.module['head']
    target = sinkhorn_knopp(head.patch_logits(head.project_patches(
        teaching.tokens[:, 1:][masked])) / 0.04)
    student = model.head.patch_logits(model.head.project_patches(
        latent[:, 1:][masked])) / 0.1
    entropy = torch.zeros(8, 16).masked_scatter(
        masked, -(target * student.log_softmax(-1)).sum(-1))
    counts = masked.sum(1).clamp(min=1)
    torch.testing.assert_close(loss, (entropy.sum(1) / counts).mean())
    assert not model.patch_loss.centre.value.any()


def test_koleo_is_of_each_global_view():
    model = dinov2(masker=dict(type='sbam_mm.IBOTMasker', probability=0.01),
                   mim_start_epoch=1).train()
    out = model.loss(crops())
    cls = model.backbone(torch.cat(crops()[:2]))[-1][:, 0]
    torch.testing.assert_close(
        out['loss_koleo'], 0.1 * (koleo(cls[:4]) + koleo(cls[4:])))
    assert 'loss_koleo' not in dinov2(koleo_weight=0.).loss(crops())


def test_every_parameter_learns():
    every_parameter_learns(
        dinov2(masker=dict(type='sbam_mm.SBAM', ratio=0.3)).train(), crops())


def test_two_halves_of_a_training_equal_the_whole(tmp_path):
    two_halves_equal_the_whole(
        lambda seed: dinov2().train(), crops(), tmp_path / 'half.pth')
