"""Keys and values of what a model has read, with room for what it will write: nothing is copied for each token."""

from __future__ import annotations

from typing import Any

ROOM = 40  # tokens


def key_cache(layers: int, room: int = ROOM) -> Any:
    """An empty cache for so many layers. Layers with a window are held whole: the mask has the window.

    The library's own cache copies all it holds to append one token.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):  # type: ignore[no-untyped-call]
        """Grows in place until its room is used up; what it gives out are views."""

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Append, and give all."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            self.keys = _appended(self.keys, key_states, room)
            self.values = _appended(self.values, value_states, room)
            return self.keys, self.values

    layer: Any = Roomy
    cache = DynamicCache()
    cache.layers = [layer() for _ in range(layers)]
    return cache


def _appended(held: Any, new: Any, room: int) -> Any:
    """A view of what is held and what is new; in the place of what is held where its memory has room behind it."""
    length = held.shape[-2] if held.numel() else 0
    total = length + new.shape[-2]
    stride = held.stride()
    if not length or held.is_contiguous() or stride[-3] < total * stride[-2]:
        whole = new.new_empty(*new.shape[:-2], total + room, new.shape[-1])
        if length:
            whole[..., :length, :] = held
    else:
        whole = held.as_strided((*new.shape[:-2], stride[-3] // stride[-2], new.shape[-1]), stride)
    whole[..., length:total, :] = new
    return whole[..., :total, :]
