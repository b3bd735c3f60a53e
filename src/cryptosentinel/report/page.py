"""The one way from a document to HTML: templates with escaping on, and a page that may load nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cryptosentinel import __version__
from cryptosentinel.registry import lookup
from cryptosentinel.report import charts as _charts  # noqa: F401  (registers the charts)
from cryptosentinel.report.text import highlighted, number, percent, plural, seconds, visible


def _shown(value: Any) -> Any:
    """Every text that a template prints, so that none can be forgotten."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cryptosentinel.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(percent=percent, number=number, seconds=seconds)
    environment.globals.update(
        chart=lambda name, *args, **options: lookup("chart", name).target(*args, **options),
        highlighted=highlighted,
        plural=plural,
        program_version=__version__,
    )
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template. Lone surrogates, which no file can hold, come out as question marks."""
    html = _environment().get_template(template).render(**values)
    return html.encode("utf-8", "replace").decode("utf-8")
