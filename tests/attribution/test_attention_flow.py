"""Attention flow agrees with its twin, with networkx, and with what can be worked out by hand."""

import sys

import numpy as np
import pytest
import torch

import matex
from matex.attribution.attention_flow import attention_flow
from tests.reference import attention_flow as slow

pytest.importorskip("scipy")


def test_attention_flow_agrees_with_its_twin(model, pair):
    few = [1, 8, 13, 25]  # the twin takes seconds for all
    grid = matex.attribute(model, *pair.inputs, method="attention-flow").flatten()
    expected = torch.tensor(slow.attention_flow(pair.image, few), dtype=torch.float64)
    torch.testing.assert_close(grid[[i - 1 for i in few]], expected, atol=1e-7, rtol=0)
    pair.check("attention-flow", text=slow.attention_flow(pair.text, pair.tokens), tolerance=1e-7)


def test_a_path_carries_its_narrowest_edge():
    attention = np.array([[[0.3, 0.7], [0.4, 0.6]], [[0.8, 0.2], [0.5, 0.5]]])
    # To token 1: 0 -> 0 -> 1 carries min(.8, .7), 0 -> 1 -> 1 carries min(.2, .6).
    np.testing.assert_allclose(attention_flow(attention, 0, [0, 1]), [0.3 + 0.2, 0.7 + 0.2], atol=1e-8)


def test_networkx_finds_the_same_flows():
    networkx = pytest.importorskip("networkx")
    attention = np.random.default_rng(0).dirichlet(np.full(4, 0.4), size=(3, 4))
    graph = networkx.DiGraph()
    for block, query, key in np.ndindex(attention.shape):
        graph.add_edge((block + 1, query), (block, key), capacity=attention[block, query, key])
    expected = [networkx.maximum_flow_value(graph, (3, 2), (0, token)) for token in range(4)]
    np.testing.assert_allclose(attention_flow(attention, 2, [0, 1, 2, 3]), expected, atol=1e-7)


def test_without_scipy_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match=r"Attention flow needs scipy: pip install matex\[train\]"):
        attention_flow(np.full((1, 2, 2), 0.5), 0, [0])
