"""Swin stage by stage against transformers' SwinModel."""

import dataclasses

import pytest
import torch
import transformers

from matex.adapters import swin
from matex.adapters.swin import Swin, SwinConfig
from matex.errors import InputError
from tests.adapters.random_weights import SWIN, pixels, published_swin, transformers_swin


def pair(config=SWIN):
    theirs = transformers_swin(config=config)
    ours = Swin(config).double()
    ours.load_state_dict(published_swin(theirs))
    return ours, theirs


@pytest.mark.parametrize(("height", "width"), [(56, 56), (24, 36), (50, 61), (24, 24)])
def test_every_stage_and_the_pooled_output_equal_those_of_transformers(height, width):
    """Grids that windows fill and do not fill, odd ones, and ones of a single window after merging."""
    ours, theirs = pair()
    images = pixels(height, width)
    outputs = theirs(images, output_hidden_states=True, output_hidden_states_before_downsampling=True)
    hidden = swin.start(ours, images)
    torch.testing.assert_close(hidden, outputs.reshaped_hidden_states[0].permute(0, 2, 3, 1), rtol=0, atol=1e-10)
    for layer in range(2):
        hidden = swin.stage(ours, layer, hidden)
        expected = outputs.reshaped_hidden_states[layer + 1].permute(0, 2, 3, 1)
        torch.testing.assert_close(hidden, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(swin.norm(ours, hidden).flatten(1, 2), outputs.last_hidden_state, rtol=0, atol=1e-10)
    pooled = swin.norm(ours, hidden).mean(dim=(1, 2))
    torch.testing.assert_close(pooled, outputs.pooler_output, rtol=0, atol=1e-10)


def test_gradients_of_pixels_equal_those_of_transformers():
    ours, theirs = pair()
    found = []
    for run in (lambda x: theirs(x).pooler_output, lambda x: _pooled(ours, x)):
        images = pixels(40, 56).requires_grad_()
        run(images).square().sum().backward()
        found.append(images.grad)
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


def _pooled(ours, images):
    hidden = swin.start(ours, images)
    for layer in range(2):
        hidden = swin.stage(ours, layer, hidden)
    return swin.norm(ours, hidden).mean(dim=(1, 2))


def test_windows_come_back_to_their_places():
    grid = torch.arange(2 * 6 * 9 * 5).view(2, 6, 9, 5)
    windows = swin.to_windows(grid, 3)
    assert windows.shape == (2, 6, 9, 5)
    torch.testing.assert_close(windows[1, 4, 5], grid[1, 4, 5])  # window (1, 1), token (1, 2)
    torch.testing.assert_close(swin.from_windows(windows, 3, (6, 9)), grid)


def test_a_grid_below_a_window_is_refused():
    with pytest.raises(InputError, match="at least 3 rows and columns"):
        _pooled(Swin(SWIN).double(), pixels(16, 40))


def test_defaults_are_the_sizes_of_swin_tiny():
    with torch.device("meta"):
        ours = Swin(SwinConfig()).state_dict()
        theirs = transformers.SwinModel(transformers.SwinConfig())
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in published_swin(theirs).items()
    }
    assert sum(value.numel() for value in ours.values()) == 27519354
    assert dataclasses.asdict(SwinConfig())["depths"] == (2, 2, 6, 2)
