"""The cache with room gives what the library's gives, whatever is appended, chosen, spread and copied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.models import load_base
from cryptosentinel.redteam.key_cache import key_cache

torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("choose"), st.integers(0, 7)),
        st.tuples(st.just("spread"), st.integers(1, 2)),
        st.tuples(st.just("copy"), st.just(0)),
    ),
    max_size=25,
)


@given(steps=STEPS, rows=st.integers(1, 3), heads=st.integers(1, 2), room=st.integers(0, 6))
def test_it_holds_what_the_librarys_holds(steps: list[tuple[str, int]], rows: int, heads: int, room: int) -> None:
    from transformers import DynamicCache

    torch.manual_seed(0)
    ours, theirs = key_cache(1, room), DynamicCache()
    left: list[tuple[Any, Any]] = []
    for step, number in [("append", 2), *steps]:
        match step:
            case "append":
                new = torch.randn(2, rows, heads, number, 4)
                for a, b in zip(ours.update(*new, 0), theirs.update(*new, 0), strict=True):
                    assert torch.equal(a, b)
            case "choose":
                where = torch.tensor(sorted({number % rows, (number // 2) % rows}))
                ours.batch_select_indices(where)
                theirs.batch_select_indices(where)
                rows = len(where)
            case "spread" if rows * number <= 8:
                ours.batch_repeat_interleave(number)
                theirs.batch_repeat_interleave(number)
                rows *= number
            case "copy":  # what is appended to one must not be seen in the other
                left.append((ours, ours.layers[0].keys.clone()))
                ours = copy.deepcopy(ours)
        assert ours.get_seq_length() == theirs.get_seq_length()
    for cache, keys in left:
        assert torch.equal(cache.layers[0].keys, keys)


def test_a_model_reads_the_same_through_it_beyond_its_window() -> None:
    from transformers import DynamicCache

    model = load_base("tiny").model
    ids = torch.randint(3, 200, (2, 700), generator=torch.Generator().manual_seed(0))  # the window is 512
    outs = []
    for cache in (key_cache(4), DynamicCache(config=model.config)):
        with torch.inference_mode():
            parts = [model(input_ids=part, past_key_values=cache, use_cache=True).logits for part in ids.split(350, 1)]
            parts += [model(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True).logits for _ in range(3)]
        outs.append(torch.cat(parts, 1))
    assert torch.allclose(*outs, atol=1e-5)
