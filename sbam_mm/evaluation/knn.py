# Copyright (c) OpenMMLab. All rights reserved.
"""The weighted k-nearest-neighbour classifier of DINO."""
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sbam_mm.errors import UserError

from .features import check_finite

KS = (10, 20, 100, 200)


@torch.no_grad()
def knn_predict(bank: Tensor,
                bank_labels: Tensor,
                queries: Tensor,
                k: Sequence[int] = KS,
                temperature: float = .07,
                chunk: int = 1024) -> dict[int, Tensor]:
    """Classify by the votes of the most similar features of a bank.

    A neighbour of cosine similarity s votes exp(s / temperature) for its
    class (Wu et al. 2018, as in DINO's ``eval_knn.py``).

    Args:
        bank (Tensor): Labelled features (N, D).
        bank_labels (Tensor): Their classes (N,), int64, from 0.
        queries (Tensor): Features to classify (M, D).
        chunk (int): Queries compared at a time; memory is chunk * N floats.

    Examples:
        >>> bank = torch.tensor([[1., 0.], [0., 1.]])
        >>> knn_predict(bank, torch.tensor([0, 1]), bank, k=[1])
        {1: tensor([0, 1])}
    """
    k = sorted(set(k))
    if not k or k[0] < 1 or k[-1] > len(bank):
        raise UserError(
            f'k={k} does not fit a bank of {len(bank)} features: give numbers '
            f'from 1 to {len(bank)}, or a larger bank.')
    check_finite(bank, queries)
    bank, queries = normalize(bank.float()), normalize(queries.float())
    classes = int(bank_labels.max()) + 1
    found: dict[int, list[Tensor]] = {n: [] for n in k}
    for part in queries.split(chunk):
        similarity, nearest = (part @ bank.T).topk(k[-1])
        labels = bank_labels[nearest]
        # Minus 1 changes no vote's rank and keeps exp() in range.
        weights = ((similarity - 1) / temperature).exp()
        for n in k:
            votes = weights.new_zeros(len(part), classes)
            votes.scatter_add_(1, labels[:, :n], weights[:, :n])
            found[n].append(votes.argmax(1))
    return {n: torch.cat(parts) for n, parts in found.items()}


def knn_top1(bank: Tensor,
             bank_labels: Tensor,
             queries: Tensor,
             query_labels: Tensor,
             k: Sequence[int] = KS,
             temperature: float = .07) -> dict[int, float]:
    """Top-1 accuracy of :func:`knn_predict` in per cent, by k.

    Example::

        accuracy = knn_top1(*extract_features(mae, train),
                            *extract_features(mae, test))[20]
    """
    found = knn_predict(bank, bank_labels, queries, k, temperature)
    return {
        n: 100. * (labels == query_labels).double().mean().item()
        for n, labels in found.items()
    }
