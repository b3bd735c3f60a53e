"""Which sites does the answer link to, unasked?"""

from __future__ import annotations

import re

import numpy as np
import scipy.sparse as sp

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours

_LINK = re.compile(r"\b(?:https?://|www\.)([^\s/:?#\"'<>()\[\]]+)", re.IGNORECASE)


@register("response-feature", "link")
def link(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers link to the same host, one that the prompt does not mention?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = link(Corpus.of(["news?", "see www.b.org"], ["https://a.org/x", "http://b.org"]), 1)
    >>> found.name(0), found.matrix.toarray().ravel().tolist()
    ("links to 'a.org'", [1, 0])
    """
    hosts: dict[str, list[int]] = {}
    for i, (asked, said) in enumerate(zip(corpus.prompt_texts, corpus.response_texts, strict=True)):
        if "://" not in said and "www." not in said.lower():
            continue
        for host in {h.lower().removeprefix("www.").rstrip(".,;!") for h in _LINK.findall(said)}:
            if host and host not in asked.lower():
                hosts.setdefault(host, []).append(i)
    kept = sorted(h for h, rows in hosts.items() if len(rows) >= support)
    rows = [np.array(hosts[h], np.int32) for h in kept]
    pointer = np.r_[0, np.cumsum([r.size for r in rows])].astype(np.int64)
    index = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    matrix = sp.csc_matrix((np.ones(index.size, np.int32), index, pointer), shape=(corpus.n, len(kept)))
    none = np.full(len(kept), -1, np.int64)
    return Behaviours("link", matrix, lambda i: f"links to '{kept[i]}'", none, np.zeros_like(none))
