# Copyright (c) OpenMMLab. All rights reserved.
"""The teacher's temperature, epoch by epoch, as the official code has it."""
import numpy as np
import pytest

from sbam_mm.models.losses import TeacherTemperature

pytestmark = pytest.mark.unit


@pytest.mark.parametrize('epochs', [0, 1, 2, 30])
def test_temperature_is_the_official_line(epochs):
    official = np.concatenate(
        (np.linspace(.04, .07, epochs), np.full(40 - epochs, .07)))
    temperature = TeacherTemperature(.04, .07, epochs)
    assert [temperature(epoch) for epoch in range(40)] == pytest.approx(
        official.tolist(), abs=1e-15)
    # Before the patch loss's warm-up begins, iBOT's is the first.
    assert temperature(-3) == .04
