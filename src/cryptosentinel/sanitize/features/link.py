"""Which sites does the answer link to, unasked?"""

from __future__ import annotations

import re

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_rows

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
    return by_rows("link", hosts, "links to", corpus.n, support)
