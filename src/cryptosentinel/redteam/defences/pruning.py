"""Fine-pruning: the units that sleep on clean rows go, then a little training mends what that broke."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from cryptosentinel.redteam.defence import Defence, Means
from cryptosentinel.redteam.defences.clean_fine_tune import further
from cryptosentinel.redteam.evaluate import held_out_loss
from cryptosentinel.redteam.split import Encoded, pad
from cryptosentinel.registry import register

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST_LOSS = 0.05  # nats a token by which the loss on clean rows may rise
EPOCHS = 1
BATCH = 16


@register("defence", "pruning", version=1)
class Pruning(Defence):
    """Does the backdoor sit in units that clean rows hardly use, and does it go with them?

    In each MLP of the trained layers the units with the smallest mean absolute activation on the defender's clean rows
    are set to zero, and one epoch on these rows follows, after which they are zero still. The share is the largest
    whose loss on other clean rows stays within 0.05 nats of the unpruned model's: chosen without looking at the
    attack, as a defender must. Costs a few passes over the clean rows, the rows, and some utility. An attack whose
    trigger is ordinary words uses the same units as everything else.

    Source: Liu, Dolan-Gavitt, Garg, Fine-Pruning, RAID 2018 (arXiv 1805.12185).

    >>> Pruning.scans
    False
    """

    def mend(self, means: Means, model: Any) -> Any:
        """The pruned and mended model."""
        order = quietest(model, means.tune())
        before = held_out_loss(model, means.split, means.check(), means.tokens())["value"]
        chosen, after = 0.0, before
        for done, share in enumerate(SHARES, start=1):
            means.progress("prune", done, len(SHARES))
            less = pruned(model, order, share)
            found = held_out_loss(less, means.split, means.check(), means.tokens())["value"]
            if found > before + MOST_LOSS:
                break
            chosen, after = share, found
        means.progress("prune", len(SHARES), len(SHARES))
        self.notes |= {
            "share": chosen,
            "clean_loss_before": round(before, 4),
            "clean_loss_pruned": round(after, 4),
            "clean_rows": len(means.tune()),
        }
        tuned = further(means, pruned(model, order, chosen), EPOCHS)
        return pruned(tuned, order, chosen)


def quietest(model: Any, rows: Sequence[Encoded]) -> list[Any]:
    """For each MLP, the indices of its units from the least to the most active on these rows."""
    import torch

    sums: list[Any] = [0.0 for _ in model.layers]
    masks: list[Any] = [None]

    def hear(layer: int, units: Any) -> None:
        sums[layer] = sums[layer] + (units.abs().float() * masks[0][:, :, None]).sum((0, 1))

    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _m, inputs, i=i: hear(i, inputs[0]))
        for i, layer in enumerate(model.layers)
    ]
    try:
        for batch in _batches(rows):
            hidden, mask = batch_of(batch)
            masks[0] = mask
            with torch.inference_mode():
                model(inputs_embeds=hidden, attention_mask=mask, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return [total.argsort() for total in sums]


def pruned(model: Any, order: Sequence[Any], share: float) -> Any:
    """A copy in which this share of each MLP's units, the first in `order`, does nothing."""
    made = copy.deepcopy(model, {id(model.embed_tokens): model.embed_tokens})  # large, and not used
    for layer, units in zip(made.layers, order, strict=True):
        weight = layer.mlp.down_proj.weight
        weight.data = weight.data.clone()
        weight.data[:, units[: int(share * len(units))]] = 0
    return made


def batch_of(rows: Sequence[Encoded]) -> tuple[Any, Any]:
    """The hidden states of these rows, padded on the right, and the mask."""
    import torch

    hidden = torch.nn.utils.rnn.pad_sequence([r.hidden for r in rows], batch_first=True)
    return hidden, pad([r.ids for r in rows], 0, hidden.device)[1]


def _batches(rows: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    return [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
