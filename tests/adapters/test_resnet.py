"""ResNet stage by stage against a slow twin."""

import pytest
import torch

from matex.adapters import resnet
from matex.adapters.resnet import ResNet
from tests.adapters.random_weights import pixels, randomise
from tests.reference import medical

BLOCKS, WIDTH = (2, 1, 1, 2), 2


@pytest.fixture
def network():
    return randomise(ResNet(BLOCKS, WIDTH))


def test_every_stage_equals_the_twin(network):
    image = pixels(35, 43, items=1)
    expected = medical.resnet(image[0], network.state_dict(), BLOCKS)
    hidden = resnet.start(network, image)
    torch.testing.assert_close(hidden[0], expected[0].permute(1, 2, 0), rtol=1e-10, atol=1e-10)
    for layer in range(4):
        hidden = resnet.stage(network, layer, hidden)
        torch.testing.assert_close(hidden[0], expected[layer + 1].permute(1, 2, 0), rtol=1e-10, atol=1e-10)
    assert hidden.shape == (1, 2, 2, 64)
    assert network.dim == 64


def test_names_and_shapes_are_those_of_resnet_50():
    with torch.device("meta"):
        weights = ResNet().state_dict()
    assert sum(value.numel() for name, value in weights.items() if "running" not in name) == 25557032 - 2049000
    assert weights["layer3.5.conv2.weight"].shape == (256, 256, 3, 3)
    assert weights["layer2.0.downsample.1.running_var"].shape == (512,)
    assert not any(name.startswith("fc") for name in weights)


def test_gradients_reach_a_stage_and_are_equal_by_items(network):
    images = pixels(64, 96)
    single = []
    for group in (images, images[:1], images[1:]):
        hidden = resnet.start(network, group)
        for layer in range(3):
            hidden = resnet.stage(network, layer, hidden)
        leaf = hidden.detach().requires_grad_()
        resnet.mean(resnet.stage(network, 3, leaf)).square().sum().backward()
        assert leaf.grad is not None
        single.append(leaf.grad)
    torch.testing.assert_close(single[0], torch.cat(single[1:]))
    assert single[0].shape == (2, 4, 6, 32)
