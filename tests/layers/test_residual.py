# Copyright (c) OpenMMLab. All rights reserved.
"""What blocks add up, in bfloat16."""
import pytest
import torch
from torch._subclasses import fake_tensor

from sbam_mm.layers import Block, as_residual
from sbam_mm.masking import TokenMask
from sbam_mm.models import MaskedBEiT, MaskedViT
from sbam_mm.models.necks import CrossDecoder, MAEDecoder

pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(
    embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
DECODERS = {
    MAEDecoder: dict(decoder_depth=2),
    CrossDecoder: dict(decoder_depth=2, looks_at=()),
}


def build(encoder, decoder, **options):
    torch.manual_seed(0)
    parts = encoder(arch=ARCH, **SIZE, **options), decoder(
        embed_dim=24, decoder_embed_dim=24, decoder_num_heads=3,
        **SIZE, **DECODERS[decoder], **options)
    for part in parts:
        part.init_weights()
    return parts


def run(parts, autocast, dtype=torch.bfloat16):
    """The prediction of masked patches, gradients, types around blocks."""
    encoder, decoder = parts
    torch.manual_seed(1)
    mask = TokenMask(
        torch.rand(4, 16) < torch.tensor([[.3], [.5], [.7], [.8]]))
    types = set()
    decoder.decoder_norm.register_forward_pre_hook(
        lambda norm, args: types.add(args[0].dtype))
    with torch.autocast('cpu', dtype, enabled=autocast):
        latent = encoder.encode(
            encoder.embed(torch.randn(4, 3, 32, 32)), mask,
            ('input', *range(3)))
        types |= {x.dtype for x in latent.blocks}
        out = decoder.predict_masked(latent, mask).packed.float()
    (out * torch.randn(out.shape)).mean().backward()
    grads = torch.cat([
        p.grad.flatten() for part in parts for p in part.parameters()
        if p.grad is not None
    ])
    return out.detach(), grads, types


@pytest.mark.parametrize('encoder', [MaskedViT, MaskedBEiT])
@pytest.mark.parametrize('decoder', list(DECODERS))
def test_close_to_float32(encoder, decoder):
    """The difference is that of bfloat16's rounding, a few in a thousand."""
    plain = run(build(encoder, decoder), True)
    halved = run(build(encoder, decoder, residual_dtype='bfloat16'), True)
    assert torch.bfloat16 not in plain[2] and halved[2] == {torch.bfloat16}
    for want, got in zip(plain[:2], halved[:2]):
        assert 0 < (got - want).norm() < 0.05 * want.norm()


def test_without_autocast_nothing_changes():
    want = run(build(MaskedViT, MAEDecoder), False)
    got = run(
        build(MaskedViT, MAEDecoder, residual_dtype='bfloat16'), False)
    assert torch.equal(got[0], want[0]) and torch.equal(got[1], want[1])


def test_where_it_makes_no_sense(monkeypatch):
    with pytest.raises(ValueError, match='residual_dtype must be one of'):
        build(MaskedViT, MAEDecoder, residual_dtype='float16')
    parts = build(MaskedViT, MAEDecoder, residual_dtype='bfloat16')
    with pytest.raises(ValueError, match='is for training in bfloat16'):
        run(parts, True, torch.float16)
    # Tensors of a GPU, which need not be there.
    monkeypatch.setattr(fake_tensor, 'init_gpu_context', lambda *args: None)
    with fake_tensor.FakeTensorMode():
        tokens = torch.zeros(2, 3, device='cuda')
    with pytest.raises(ValueError, match='is for training in bfloat16'):
        as_residual(parts[0], tokens)
    assert as_residual(parts[0].eval(), tokens) is tokens
    assert all(module.residual_dtype == 'bfloat16'
               for module in parts[0].modules() if isinstance(module, Block))
