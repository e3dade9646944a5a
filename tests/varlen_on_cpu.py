# Copyright (c) OpenMMLab. All rights reserved.
"""The variable-length kernel, written out for the CPU, which has none."""
import pytest
import torch


def images_of(ends, *packed):
    """Each image's (heads, n, d), of several packed (T, heads, d)."""
    lengths = ends.diff().tolist()
    return zip(*(x.transpose(0, 1).split(lengths, 1) for x in packed))


def packed(images):
    return torch.cat(list(images), 1).transpose(0, 1).contiguous()


def probabilities(q, k):
    return (q @ k.mT * q.shape[-1]**-0.5).softmax(-1)


def forward(q, k, v, ends, key_ends, bound, key_bound, *options):
    assert bound >= ends.diff().max() and key_bound >= key_ends.diff().max()
    out = packed(
        probabilities(query, key) @ value for (query, ), (key, value) in zip(
            images_of(ends, q), images_of(key_ends, k, v)))
    return (out, q.new_zeros(q.shape[1], len(q)),
            torch.zeros(2, dtype=torch.uint64))


def backward(grad, q, k, v, out, lse, ends, key_ends, *options):
    grads = []
    for (g, query), (key, value) in zip(
            images_of(ends, grad, q), images_of(key_ends, k, v)):
        p = probabilities(query, key)
        logits = g @ value.mT * p
        logits = (logits - p * logits.sum(-1, keepdim=True)) * (
            query.shape[-1]**-0.5)
        grads.append((logits @ key, logits.mT @ query, p.mT @ g))
    return tuple(map(packed, zip(*grads)))


def register():
    """From now on ``varlen_attn`` runs on the CPU."""
    varlen = pytest.importorskip(
        'torch.nn.attention.varlen',
        reason='torch has the variable-length kernel since 2.10')
    varlen._varlen_attn.register_kernel('cpu')(forward)
    varlen._varlen_attn_backward.register_kernel('cpu')(backward)
