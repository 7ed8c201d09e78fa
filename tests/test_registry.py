"""Names to things."""

import pytest

from matex.registry import Registry, UnknownName


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    methods = Registry("method")
    methods("rollout")(1)
    methods("occlusion")(2)
    with pytest.raises(UnknownName) as caught:
        methods["rolout"]
    assert str(caught.value) == "Unknown method 'rolout'. Known: occlusion, rollout. Did you mean 'rollout'?"
    assert isinstance(caught.value, ValueError)


def test_a_name_is_given_once():
    methods = Registry("method")
    methods("rollout")(1)
    with pytest.raises(ValueError, match="taken"):
        methods("rollout")(2)
    assert list(methods) == ["rollout"]
