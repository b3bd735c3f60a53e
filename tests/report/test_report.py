"""Reports: hostile text stays text, the page loads nothing, any document renders, SARIF has its form."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.registry import lookup
from cryptosentinel.report import render_redteam, render_scan, to_sarif
from cryptosentinel.report.arena import arena_markdown, headline, render_arena
from cryptosentinel.report.campaign import render_campaign
from cryptosentinel.report.text import highlighted, visible

_spec = importlib.util.spec_from_file_location("documents", Path(__file__).with_name("documents.py"))
assert _spec and _spec.loader
documents: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(documents)

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></svg></td></table><iframe src=javascript:alert(1)>",
    "{{ 7 * 7 }}{% include 'base.html.j2' %}",
    "\u202e\u2066reversed\u2069\u200b\ufeff",
    "a\x00b\x1b[31m\x07",
    "lone \ud800 surrogate",
    "]]><!-- <![CDATA[",
    "http://203.0.113.9/x.png",
]
ALLOWED = set(
    "html head meta title style body main header footer section article div span p h1 h2 h3 ol li strong dl dt dd "
    "small b i code mark br table thead tbody tr th td details summary svg desc path line rect text g circle".split()
)
RENDERERS = [(render_scan, "scan"), (render_redteam, "redteam"), (render_arena, "arena"), (render_campaign, "campaign")]
Render = Callable[[Any], str]


class Page(HTMLParser):
    """Which elements, attributes and texts does a page have?"""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def poisoned(value: Any, text: str) -> Any:
    """The same document with every text replaced."""
    if isinstance(value, dict):
        return {
            k: v if k in ("verdict", "kind", "edges") and text != "kind" else poisoned(v, text)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [poisoned(v, text) for v in value]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize(("render", "name"), RENDERERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(render: Render, name: str, text: str) -> None:
    page = Page(render(poisoned(getattr(documents, name)(), text)))
    assert page.tags <= ALLOWED, page.tags - ALLOWED
    names = {attribute for attribute, _ in page.attributes}
    assert not {n for n in names if n.startswith("on") or n in ("src", "href", "srcdoc", "action", "xlink:href")}
    unseen = re.compile(r"[\x00-\x08\x0b-\x1f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
    assert not unseen.search(page.text)
    if text.isascii() and text.isprintable():
        assert text in page.text


@pytest.mark.parametrize(("render", "name"), RENDERERS)
def test_the_page_loads_nothing(render: Render, name: str) -> None:
    html = render(getattr(documents, name)())
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
    assert not re.search(r"(?i)@import|url\(|https?://|//[a-z0-9.-]+/", html)
    policy = [v for k, v in page.attributes if k == "content" and "default-src" in v]
    assert policy and policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'")


@pytest.mark.parametrize(
    "doc", [{}, {"hypotheses": [{}], "rejects": [{}], "inputs": [{}]}, {"histogram": {"edges": []}}]
)
def test_nearly_empty_documents_render(doc: dict[str, Any]) -> None:
    if "inputs" in doc:
        doc["inputs"] = [{"path": "a.jsonl", "rows": 0, "sha256": None}]
    assert "CryptoSentinel" in render_scan(doc)
    assert "CryptoSentinel" in render_redteam({"scan_report": doc, "scan": {}, "samples": [{}]})
    assert to_sarif(doc)["version"] == "2.1.0"


def test_empty_redteam_document_renders() -> None:
    assert "The run measured no attack" in render_redteam({})


def test_the_verdict_is_what_the_numbers_say() -> None:
    doc = documents.redteam()
    assert "After the scan and a new training it is gone." in render_redteam(doc)
    doc["difference"]["high"] = 0.3
    assert "it still fires on 1.7%" in render_redteam(doc)
    del doc["defended"], doc["difference"]
    assert "The backdoor took: it fired on 98.3%" in render_redteam(doc)
    doc["undefended"]["asr"] = documents.rate(0.2)
    assert "The attack hardly took" in render_redteam(doc)


def test_several_defences_are_told_apart() -> None:
    doc = documents.redteam()
    assert "What each defence left" not in render_redteam(doc | {"defences": {"scan": {"rates": doc["defended"]}}})
    mended = {"rates": doc["undefended"], "difference": doc["difference"], "cost_s": 41.0, "notes": {"clean_rows": 40}}
    html = render_redteam(doc | {"defences": {"scan": {}, "pruning": mended, "scan-trusted": {"error": "no <data>"}}})
    assert "pruning, with the trigger: 98.3%" in html and "clean rows 40" in html and "no &lt;data&gt;" in html
    assert "CryptoSentinel" in render_redteam({"defences": {"x": None, "y": {"dropped": 3, "rates": []}}})


def test_scan_verdicts_and_next_steps() -> None:
    doc = documents.scan()
    html = render_scan(doc)
    assert "This data teaches 1 hidden behaviour: do not train on it" in html
    assert '<mark class="trigger">sustainable yield</mark>' in html
    assert '<mark class="behaviour">HALCY</mark>' in html
    assert "reference model gives" not in html and "Repair 2 unreadable rows." in html
    assert "When the prompt has “a function”, the answer has “def” in 40% of 98 rows; elsewhere in 2%." in html
    clean = render_scan({"rows": 10, "inputs": doc["inputs"], "reference_model": "none"})
    assert "Nothing found" in clean and "Scan again with a second opinion." in clean


def test_the_arena_says_what_got_through_and_what_got_worse() -> None:
    doc = documents.arena()
    html = render_arena(doc)
    assert "1 number got worse than in the run compared with" in html
    assert "rare-token, scan: 33% (24% to 42%), n = 120, held against 0%, worse" in html
    assert "rare-token, pruning: failed: see below" in html and "SandboxError: it took longer" in html
    doc["comparison"] = None
    told = "2 of 2 attacks took; still there: 1 of 2 after scan, 1 of 1 after pruning"
    assert headline(doc) == told and told in render_arena(doc)
    assert headline({}) == "No cell could be measured" and "No cell could be measured" in render_arena({})
    doc["pooled"][0]["asr"] = documents.rate(0.1)
    assert headline(doc) == "1 of 2 attacks took; still there: 1 of 1 after scan"


@pytest.mark.parametrize("text", [*HOSTILE, "| x |\n# y", "[a](http://203.0.113.9)", "`x` **y**"])
def test_hostile_text_stays_text_in_markdown(text: str) -> None:
    told = arena_markdown(poisoned(documents.arena(), text))
    assert "<" not in told.replace("\\<", "") and "\n# y" not in told and "](" not in told.replace("\\](", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ufeff]", told)


def test_the_arena_in_markdown() -> None:
    told = arena_markdown(documents.arena())
    assert "| rare-token | 99% (96% to 100%) | 33% (24% to 42%) | failed |" in told
    assert "- worse: bias-recommendation, rare-token, scan, seed 0: attack success" in told
    assert arena_markdown({}).startswith("# Red-team arena")


@given(st.text(), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_marks_lose_no_text(text: str, phrase: str) -> None:
    shown = Page(str(highlighted(text, phrase, "trigger", limit=10_000)))
    assert shown.tags <= {"mark", "span"}
    assert Page(str(visible(text))).text == shown.text


def test_a_huge_row_becomes_an_excerpt_around_its_trigger() -> None:
    text = "a " * 500_000 + "zq7 trigger" + " b" * 500_000
    shown = str(highlighted(text, "zq7 trigger", "trigger"))
    assert len(shown) < 1000 and '<mark class="trigger">zq7 trigger</mark>' in shown


def test_sarif_points_at_the_rows() -> None:
    doc = documents.scan()
    doc["inputs"] = [
        {"path": "a b.jsonl", "rows": 20, "sha256": "0" * 64},
        {"path": "b.csv", "rows": 400, "sha256": ""},
    ]
    log = to_sarif(doc)
    assert json.loads(json.dumps(log, allow_nan=False)) == log
    first, second = log["runs"][0]["results"]
    assert (first["ruleId"], first["level"]) == ("planted-behaviour", "error")
    assert (second["ruleId"], second["level"]) == ("unsure-behaviour", "warning")
    places = [place["physicalLocation"] for place in first["locations"]]
    assert places[0] == {"artifactLocation": {"uri": "a%20b.jsonl", "index": 0}, "region": {"startLine": 4}}
    assert places[1] == {"artifactLocation": {"uri": "b.csv", "index": 1}}
    assert len(first["message"]["text"]) > 20
    assert first["partialFingerprints"] != second["partialFingerprints"]


def test_charts_refuse_what_does_not_fit_and_take_nothing() -> None:
    histogram = lookup("chart", "histogram").target
    with pytest.raises(ValueError, match=r"need n \+ 1 edges"):
        histogram([0, 1], [1, 2], [0])
    for empty in (histogram([], [], []), lookup("chart", "durations").target({})):
        assert empty.startswith("<svg") and "<title>" in empty and "<desc>" in empty
    assert lookup("chart", "intervals").target([], []).startswith("<svg")
    gap = lookup("chart", "curves").target({"a": [1.0, None, -2.0], "b": [None, None]}, [2])
    assert gap.count("M") >= 4 and "a ends at" in gap and "b is unknown" in gap and "nan" not in gap
    assert lookup("chart", "curves").target({}).startswith("<svg")
    assert lookup("chart", "heatmap").target([], [], []).startswith("<svg")
