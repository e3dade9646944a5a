# Copyright (c) OpenMMLab. All rights reserved.
"""The patch embedding as a product is the convolution."""
import pytest
import torch
from torch import nn

from sbam_mm.layers.patches import PatchProjection, product_of_patches
from sbam_mm.models import MaskedViT

pytestmark = pytest.mark.unit


@pytest.mark.parametrize('size', [(32, 32), (24, 40), (37, 30)])
@pytest.mark.parametrize('patch, bias', [((8, 8), True), ((4, 8), False)])
def test_values_and_gradients(size, patch, bias):
    """Also of images with a rest on the right and at the bottom."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 10, patch, stride=patch, bias=bias).double()
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    results = []
    for run in (conv, product_of_patches(conv).multiply):
        conv.zero_grad()
        out = run(images)
        out.square().sum().backward()
        results.append([out.detach(), *(p.grad for p in conv.parameters())])
    for want, got in zip(*results):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_only_windows_that_touch():
    for conv in (nn.Conv2d(3, 4, 4, stride=2),
                 nn.Conv2d(3, 4, 4, stride=4, padding=2),
                 nn.Conv2d(4, 4, 4, stride=4, groups=2)):
        assert type(product_of_patches(conv)) is nn.Conv2d


def test_an_encoder_has_it_under_the_usual_names():
    vit = MaskedViT('tiny', img_size=32, patch_size=8)
    assert isinstance(vit.patch_embed.projection, PatchProjection)
    assert 'patch_embed.projection.weight' in vit.state_dict()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_on_cuda():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 64, 8, stride=8).cuda()
    images = torch.randn(4, 3, 32, 32, device='cuda')
    with torch.autocast('cuda', torch.bfloat16):
        want = conv(images)
        got = product_of_patches(conv)(images)
    assert got.dtype == want.dtype == torch.bfloat16
    torch.testing.assert_close(got, want, rtol=2e-2, atol=2e-2)
