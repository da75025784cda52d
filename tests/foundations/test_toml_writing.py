"""TOML that is written reads back."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from plait.config.writing import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"))
PLAIN = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(PLAIN | st.lists(PLAIN), lambda inner: st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_there_and_back(values):
    assert tomllib.loads(toml_text(values)) == values


def test_what_is_none_is_left_out():
    text = toml_text({"model": {"family": "dnn", "cross_rank": None, "experts": {"shared": 4}}, "training": {}})
    assert text == '[model]\nfamily = "dnn"\n\n[model.experts]\nshared = 4\n\n[training]\n'
