# Copyright (c) OpenMMLab. All rights reserved.
"""GPA's Table 9 on this machine: what is counted is what is computed."""
import argparse
import importlib.util
import sys

import pytest
import torch
from started_tools import ROOT

pytestmark = pytest.mark.unit


@pytest.fixture
def tool(monkeypatch):
    folder = ROOT / 'tools/benchmarks'
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location(
        'methods_benchmark', folder / 'methods.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_teacher_costs_its_blocks(tool):
    args = argparse.Namespace(
        arch='tiny', size=32, patch=16, batch=2, amp=False, rounds=1,
        device='cpu')
    batch = tool.crops(2, 32)
    counts, learnt = {}, {}
    for name in tool.TABLE_9:
        model = tool.method(name, args)
        parameters = [p for p in model.parameters() if p.requires_grad]
        learnt[name] = sum(p.numel() for p in parameters)
        step = tool.SummedStep(
            model, batch, torch.optim.SGD(parameters, lr=0.), False)
        counts[name] = tool.flops(step)
    tokens, width = 5, 192  # class token and 2 x 2 patches
    embedding = 2 * 4 * (3 * 16 * 16) * width
    block = 24 * tokens * width**2 + 4 * tokens**2 * width
    score = 2 * tokens * 3 * width**2 + 2 * tokens * width
    teacher = 2 * (embedding + 9 * block + score)
    for part in ('forward', 'step'):
        assert counts['GPA, as teacher'][part] - counts['MAE'][
            part] == teacher
    assert learnt['GPA, as teacher'] == learnt['MAE']
    assert counts['HPM']['forward'] > counts['GPA, as teacher']['forward']
    assert learnt['HPM'] > learnt['MAE']
    # Two of three masked patches left out: in 12 blocks 512 wide, a query's
    # projections, its attention to a class token and a patch, and its pixels.
    query = 12 * (20 * 512**2 + 4 * 2 * 512) + 2 * 512 * 3 * 16 * 16
    assert counts['CrossMAE']['forward'] - counts['CrossMAE, a third'][
        'forward'] == 2 * 2 * query
