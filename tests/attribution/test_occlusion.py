"""Occlusion: twin, captum, counting of windows."""

import pytest
import torch

import matex
from matex.attribution.occlusion import windows
from matex.forward_pass import encode
from tests.attribution.subjects import Subject, exact
from tests.reference import removal


@pytest.fixture(params=[0, 1])
def subject(request, module, pixels, token_ids):
    return Subject(module, pixels[request.param], token_ids[request.param])


@pytest.mark.parametrize(("window", "stride"), [(None, None), (12, 5), (10, 10), (35, 1)])
def test_it_agrees_with_its_twin(model, subject, window, stride):
    found = matex.attribute(model, *subject.inputs, method="occlusion", window=window, stride=stride, batch_size=7)
    exact(found, removal.occlude_image(subject.module, subject.pixels, subject.text, window or 7, stride or 7))


def test_it_leaves_out_one_token_at_a_time(model, subject):
    found = matex.attribute(model, *subject.inputs, method="occlusion", tower="text")
    exact(found, removal.occlude_text(subject.module, subject.ids, subject.image))


def test_captum_agrees(model, subject):
    captum = pytest.importorskip("captum.attr")
    pixels, ids = subject.inputs
    target = matex.record(model, pixels, ids).image.target[0]
    theirs = captum.Occlusion(lambda x: encode(model.image, x) @ target).attribute(
        pixels, sliding_window_shapes=(3, 12, 12), strides=(3, 5, 5), perturbations_per_eval=8
    )
    exact(matex.attribute(model, pixels, ids, method="occlusion", window=12, stride=5), theirs[0, 0])


def test_windows_reach_the_border_and_are_cut_off_there():
    covered = windows(10, 4, 4, torch.zeros(()))
    assert covered.int().tolist() == [[1] * 4 + [0] * 6, [0] * 4 + [1] * 4 + [0] * 2, [0] * 8 + [1] * 2]


def test_bad_windows_are_refused(model, subject):
    with pytest.raises(matex.InputError, match="Expected stride of at most 4 pixels, the window"):
        matex.attribute(model, *subject.inputs, method="occlusion", window=4, stride=5)
    with pytest.raises(matex.InputError, match="Expected stride of at most 7 pixels, the window"):
        matex.attribute(model, *subject.inputs, method="occlusion", stride=8)
    with pytest.raises(matex.InputError, match="window of at most 35"):
        matex.attribute(model, *subject.inputs, method="occlusion", window=36)
