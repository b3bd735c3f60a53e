"""Training on with clean rows, so that the backdoor is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptosentinel.redteam.defence import Defence, Means
from cryptosentinel.redteam.finetune import finetune
from cryptosentinel.registry import register


@register("defence", "clean-fine-tune", version=1)
class CleanFineTune(Defence):
    """Does a little more training, on clean rows that nobody could touch, make the model forget the backdoor?

    The undefended model is trained on by the same recipe with the defender's own clean rows. Costs a short training and
    those rows. They hold no trigger, so nothing tells the model to answer otherwise when it comes: the AutoBackdoor
    paper (arXiv 2511.16709) reports that most of the attack is left.

    Source: fine-tuning as the baseline of Liu, Dolan-Gavitt, Garg, Fine-Pruning, RAID 2018 (arXiv 1805.12185).

    >>> CleanFineTune.scans
    False
    """

    def mend(self, means: Means, model: Any) -> Any:
        """The model after the further training."""
        self.notes["clean_rows"] = len(means.tune())
        return further(means, model, means.recipe.epochs)


def further(means: Means, model: Any, epochs: int) -> Any:
    """Train a copy of this upper part on, with the defender's clean rows."""
    recipe = replace(means.recipe, epochs=epochs)
    return finetune(means.split, means.tune(), means.tokens(), recipe, means.seed, means.progress, start=model)
