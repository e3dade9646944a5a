# Copyright (c) OpenMMLab. All rights reserved.
"""kNN against scikit-learn's, the linear probe against what must come out."""
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

from sbam_mm.evaluation import knn_predict, knn_top1, linear_probe


def blobs(spread, count=600, classes=5, width=12):
    points, labels = make_blobs(
        count, width, centers=classes, cluster_std=spread, random_state=0)
    points = torch.tensor(points, dtype=torch.float32)
    labels = torch.tensor(labels)
    half = count // 2
    return points[:half], labels[:half], points[half:], labels[half:]


@pytest.mark.unit
@pytest.mark.parametrize('temperature', [.07, 1.])
def test_knn_equals_sklearn(temperature):
    bank, bank_labels, queries, query_labels = blobs(spread=8.)
    ks = [1, 7, 50, 300]
    found = knn_predict(
        bank, bank_labels, queries, ks, temperature, chunk=64)
    for k in ks:
        reference = KNeighborsClassifier(
            k,
            metric='cosine',
            algorithm='brute',
            weights=lambda distance: np.exp(-distance / temperature))
        reference.fit(bank.double().numpy(), bank_labels.numpy())
        expected = reference.predict(queries.double().numpy())
        np.testing.assert_array_equal(found[k].numpy(), expected)
    accuracy = knn_top1(bank, bank_labels, queries, query_labels, ks,
                        temperature)
    for k in ks:
        share = (found[k] == query_labels).double().mean().item()
        assert accuracy[k] == pytest.approx(100 * share)
    assert 30 < accuracy[50] < 100  # neither trivial nor chance


@pytest.mark.unit
def test_knn_weighs_by_similarity():
    # Two far neighbours of class 1 are outvoted by a near one of class 0.
    bank = torch.tensor([[1., 0.], [0., 1.], [0., 1.]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[3., 1.]])
    assert knn_predict(bank, labels, query, [3])[3].tolist() == [0]
    assert knn_predict(bank, labels, query, [3], 100.)[3].tolist() == [1]


@pytest.mark.unit
def test_knn_sentences():
    bank, labels = torch.randn(5, 3), torch.arange(5)
    for k in ([], [0], [6]):
        with pytest.raises(ValueError, match='bank of 5'):
            knn_predict(bank, labels, bank, k)
    bank[2, 1] = float('nan')
    with pytest.raises(ValueError, match='diverged'):
        knn_predict(bank, labels, bank, [1])


@pytest.mark.unit
def test_linear_probe_separates_blobs_and_not_noise():
    train, train_labels, test, test_labels = blobs(spread=1.)
    # Scale and offset are the standardiser's to remove.
    scale = torch.logspace(-3, 3, 12)
    assert linear_probe(train * scale + 5, train_labels, test * scale + 5,
                        test_labels) == 100
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(2000, 8, generator=generator)
    test = torch.randn(2000, 8, generator=generator)
    train_labels = torch.arange(2000) % 4
    chance = linear_probe(train, train_labels, test, train_labels)
    assert 21 < chance < 29  # four standard deviations about 25


@pytest.mark.unit
def test_linear_probe_sentences(monkeypatch):
    points, labels = torch.randn(20, 3), torch.arange(20) % 2
    with pytest.raises(ValueError, match='two classes'):
        linear_probe(points, labels * 0, points, labels)
    with pytest.raises(ValueError, match='diverged'):
        linear_probe(points / 0, labels, points, labels)
    said = []
    # The package's attribute of this name is the function.
    module = sys.modules['sbam_mm.evaluation.linear_probe']
    monkeypatch.setattr(module, 'print_log',
                        lambda text, **_: said.append(text))
    linear_probe(points, labels, points, labels)
    assert not said
    linear_probe(points, labels, points, labels, max_iter=1)
    assert 'max_iter' in said[0]
