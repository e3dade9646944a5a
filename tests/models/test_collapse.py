# Copyright (c) OpenMMLab. All rights reserved.
"""A short real run of iBOT: the teacher neither collapses nor stays blank."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from tiny_ibot import tiny_ibot

pytestmark = pytest.mark.integration
PROTOTYPES = 64
STEPS = 60


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def photographs():
    """Four photographs at a quarter of their size, normalised."""
    data = pytest.importorskip('skimage.data')
    images = []
    for name in ('astronaut', 'coffee', 'chelsea', 'rocket'):
        pixels = torch.from_numpy(getattr(data, name)().copy()).float()
        image = F.avg_pool2d(pixels.permute(2, 0, 1)[None], 4)[0]
        images.append((image - image.mean()) / image.std())
    return images


def crop(image, side, size, generator):
    """A random square, perhaps flipped, brighter or darker."""
    top, left = (
        int(torch.randint(n - side + 1, (), generator=generator))
        for n in image.shape[1:])
    flip, gain, shift = torch.rand(3, generator=generator).tolist()
    view = image[:, top:top + side, left:left + side]
    view = F.interpolate(view[None], (size, size), mode='bilinear')[0]
    view = view.flip(2) if flip < 0.5 else view
    return view * (0.6 + 0.8 * gain) + shift - 0.5


def batches(generator, batch_size=16):
    """Crops of squares of 48 pixels, which stand for images."""
    images = photographs()
    while True:
        squares = [
            crop(images[i % 4], 48, 48, generator) for i in range(batch_size)
        ]
        yield [
            torch.stack([crop(s, side, size, generator) for s in squares])
            for side, size in ((40, 32), (40, 32), (20, 16), (20, 16))
        ]


def train(centre_momentum):
    """Entropies of the teacher's class token in every step, (steps, 2)."""
    loss = dict(teacher_temperature=0.04, centre_momentum=centre_momentum)
    model = tiny_ibot(
        width=48,
        prototypes=PROTOTYPES,
        hidden=64,
        bottleneck=32,
        cls_loss=loss,
        patch_loss=loss,
        momentum=0.9,
        end_momentum=1.)
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', STEPS)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-3)
    log = []
    source = batches(torch.Generator().manual_seed(0))
    for step in range(STEPS):
        hub.update_info('iter', step)
        out = model.loss(next(source))
        optimizer.zero_grad()
        (out['loss_cls'] + out['loss_patch']).backward()
        optimizer.step()
        log.append([out['target_entropy'], out['prototype_entropy']])
    return torch.tensor(log)


def test_entropies_of_the_teacher_stay_healthy():
    most = math.log(PROTOTYPES)
    target, prototype = train(centre_momentum=0.9)[STEPS // 2:].mean(0)
    # Not one prototype for all images, not all prototypes for each image.
    assert 0.05 * most < target < 0.9 * most
    assert 0.25 * most < prototype
    # Images differ more than one image is undecided.
    assert prototype - target > 0.1 * most


def test_without_centring_the_teacher_collapses():
    """The control: the run above would show a collapse."""
    target, prototype = train(centre_momentum=1.)[STEPS // 2:].mean(0)
    most = math.log(PROTOTYPES)
    assert target < 0.05 * most and prototype < 0.25 * most
