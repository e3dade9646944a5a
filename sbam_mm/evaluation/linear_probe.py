# Copyright (c) OpenMMLab. All rights reserved.
"""Linear probe: logistic regression on frozen features."""
import logging
import warnings

from mmengine.logging import print_log
from torch import Tensor

from sbam_mm.errors import UserError

from .features import check_finite

PROTOCOL = ('Linear probe: frozen features of the un-augmented images, '
            'standardised by the training set, multinomial logistic '
            'regression (scikit-learn, L-BFGS, L2 with C={c:g}), top-1 on '
            'the test set.')


def linear_probe(train: Tensor,
                 train_labels: Tensor,
                 test: Tensor,
                 test_labels: Tensor,
                 c: float = .1,
                 max_iter: int = 500) -> float:
    """Top-1 accuracy in per cent of a linear classifier on frozen features.

    The protocol is stated in ``PROTOCOL``. It is not MAE's linear probing
    (90 epochs of LARS with augmentation, ``configs/``), whose numbers are not
    comparable: it takes seconds and has no learning rate to tune.

    Args:
        train (Tensor): Features (N, D).
        test (Tensor): Features (M, D).
        max_iter (int): L-BFGS steps; reaching them is logged.

    Example::

        linear_probe(*extract_features(mae, train),
                     *extract_features(mae, test))
    """
    if train_labels.unique().numel() < 2:
        raise UserError(
            'A linear probe needs at least two classes: give training images '
            'of more than one class folder.')
    check_finite(train, test)
    # A second of every start, of which a training needs nothing.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    probe = make_pipeline(StandardScaler(),
                          LogisticRegression(C=c, max_iter=max_iter))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', ConvergenceWarning)
        # float32 halves the time; L-BFGS keeps its own precision.
        probe.fit(train.float().numpy(), train_labels.numpy())
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        print_log(
            f'The linear probe stopped at {max_iter} steps before it had '
            'converged: raise max_iter for the last tenth of a per cent.',
            logger='current',
            level=logging.WARNING)
    return 100. * float(
        probe.score(test.float().numpy(), test_labels.numpy()))
