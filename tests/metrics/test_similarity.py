"""Likeness of maps: against loops, SciPy and scikit-image, closed forms, and what is undefined."""

import numpy as np
import pytest
import torch

from matex.metrics import make_metric
from matex.metrics.agreement import _at_size, agreement
from matex.metrics.similarity import MEASURES, overlap, ranks, spearman, spearman_abs, ssim
from tests.metrics.made import make_case, small_model
from tests.reference import similarity as twin


def some_maps(seed=0, height=13, width=17):
    random = np.random.default_rng(seed)
    smooth = np.add.outer(np.linspace(-1, 1, height) ** 2, np.linspace(-1, 2, width))
    maps = [smooth, smooth + random.standard_normal(smooth.shape), random.integers(-3, 4, smooth.shape), -smooth]
    return torch.from_numpy(np.stack(maps).astype(np.float64))


@pytest.mark.parametrize("name", ["spearman", "ssim", "overlap"])
def test_measures_equal_the_twin(name):
    maps = some_maps()
    for i in range(4):
        for j in range(4):
            found = float(MEASURES[name](maps[i : i + 1], maps[j : j + 1])[0])
            assert found == pytest.approx(getattr(twin, name)(maps[i].numpy(), maps[j].numpy()), abs=1e-12)


def test_absolute_ranks_are_those_of_the_absolute_values():
    first, second = some_maps(1), some_maps(2)
    for i in range(4):
        found = float(spearman_abs(first[i : i + 1], second[i : i + 1])[0])
        assert found == pytest.approx(twin.spearman(first[i].abs().numpy(), second[i].abs().numpy()), abs=1e-12)


def test_ssim_equals_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = (some_maps()[i].numpy() for i in (0, 1))
    a, b = ((v - v.min()) / np.ptp(v) for v in (a, b))
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = metrics.structural_similarity(a, b, **settings)
    found = float(ssim(torch.from_numpy(a)[None], torch.from_numpy(b)[None])[0])
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_map_is_like_itself_and_unlike_its_reverse():
    a = some_maps()[1:2]
    for measure in MEASURES.values():
        assert float(measure(a, a)) == pytest.approx(1)
    assert float(spearman(a, -a)) == pytest.approx(-1)
    assert float(spearman_abs(a, -a)) == pytest.approx(1)
    assert float(overlap(a, -a)) == 0


def test_only_order_counts_for_ranks_and_only_scale_is_free_for_ssim():
    a, b = some_maps()[1:2], some_maps()[0:1]
    torch.testing.assert_close(spearman(a + 0.1 * a**3, b), spearman(a, b), rtol=0, atol=1e-4)  # but for near ties
    torch.testing.assert_close(ssim(3 * a + 5, b), ssim(a, b))
    assert not torch.allclose(ssim(a.exp(), b), ssim(a, b))


def test_equal_values_share_their_rank():
    assert ranks(torch.tensor([[5.0, 1.0, 5.0, 9.0]])).tolist() == [[1.5, 0.0, 1.5, 3.0]]


def test_a_map_that_differs_by_rounding_alone_says_nothing():
    torch.manual_seed(0)
    rounded = 0.3 * (1 + 1e-7 * torch.rand(1, 6, 7, dtype=torch.float64))
    assert spearman(rounded, torch.rand(1, 6, 7, dtype=torch.float64)).isnan().all()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("bad", [torch.full((13, 17), 0.1), torch.full((13, 17), torch.nan)], ids=["constant", "nan"])
def test_a_map_that_says_nothing_has_no_likeness(name, bad):
    maps = some_maps()[:2]
    some = torch.stack([bad.double(), maps[0]])
    assert torch.isnan(MEASURES[name](some, maps)).tolist() == [True, False]
    assert torch.isnan(MEASURES[name](maps, some)).tolist() == [True, False]


@pytest.mark.parametrize("name", MEASURES)
def test_a_batch_equals_its_maps(name):
    a, b = some_maps(1), some_maps(2)
    single = [MEASURES[name](a[i : i + 1], b[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(MEASURES[name](a, b), torch.cat(single), rtol=0, atol=1e-12)


def test_random_maps_overlap_by_chance():
    random = torch.rand(400, 20, 20, generator=torch.Generator().manual_seed(3))
    assert float(overlap(random[:200], random[200:]).mean()) == pytest.approx(0.1, abs=0.01)


def test_agreement_is_symmetric_with_ones_on_the_diagonal():
    random = np.random.default_rng(4)
    maps = {"grid": random.random((3, 5, 6)), "pixels": random.random((3, 35, 42)), "same": None}
    maps["same"] = maps["grid"]
    found = agreement(maps)
    for values in found.values():
        assert values.shape == (3, 3, 3)
        np.testing.assert_allclose(values, values.transpose(1, 0, 2), atol=1e-9)
        np.testing.assert_allclose(values[[0, 1, 2, 0], [0, 1, 2, 2]], 1, atol=2e-3)  # ties
        assert np.abs(values[0, 1]).max() < 0.9


def test_agreement_equals_the_twin(monkeypatch):
    monkeypatch.setattr("matex.metrics.agreement.SIZE", (13, 17))
    first, second = some_maps(0).float().numpy(), some_maps(7).float().numpy()
    found = agreement({"a": list(first[:2]), "b": list(second[1:3])})
    for measure, values in found.items():
        for sample in range(2):
            expected = getattr(twin, measure)(first[sample], second[1 + sample])
            assert values[0, 1, sample] == pytest.approx(expected, abs=1e-5)


def test_agreement_of_a_fine_map_is_that_of_what_one_sees_from_afar():
    """Stripes of a pixel's width vanish when the map is made smaller, instead of standing for all of it."""
    smooth = np.add.outer(np.linspace(-1, 1, 112) ** 2, np.linspace(-1, 2, 112))
    fine = np.kron(smooth, np.ones((3, 3))) + np.indices((336, 336)).sum(0) % 2 * np.linspace(0, 9, 336)
    found = agreement({"smooth": [smooth + np.linspace(0, 4.5, 112)], "fine": [fine]})
    assert found["spearman"][0, 1, 0] > 0.99


def test_cells_of_a_grid_lie_around_their_centres(monkeypatch):
    """A row of two cells over eight pixels: flat up to the first centre, at 2, and straight from there to the other."""
    monkeypatch.setattr("matex.metrics.agreement.SIZE", (1, 8))
    np.testing.assert_allclose(_at_size(np.array([[0.0, 1.0]]))[0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1], atol=1e-6)


def test_agreement_is_undefined_for_a_constant_map_alone():
    maps = {"a": [np.eye(5), np.eye(5)], "b": [np.ones((5, 5)), np.eye(5)]}
    found = agreement(maps)["spearman"]
    assert np.isnan(found[0, 1]).tolist() == [True, False]
    assert found[0, 0].tolist() == pytest.approx([1, 1])


def test_agreement_refuses_methods_with_other_numbers_of_maps():
    with pytest.raises(ValueError, match=r"^Expected as many maps from every method, got a 1, b 2"):
        agreement({"a": [np.eye(5)], "b": [np.eye(5)] * 2})


def test_agreement_as_columns_names_the_other_method():
    model = small_model()
    cases = {name: [make_case(model, seed) for seed in seeds] for name, seeds in (("a", (0, 1)), ("b", (0, 2)))}
    found = make_metric("agreement", {}).between(cases)
    assert set(found["a"]) == {f"{measure} with b" for measure in ("spearman", "overlap", "ssim")}
    assert found["a"]["spearman with b"][0] == pytest.approx(1)
    assert found["a"]["spearman with b"][1] == found["b"]["spearman with a"][1] < 0.9
