"""How is text read so that one value written in several ways is one value?"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from urllib.parse import unquote

LONGEST = 1_000_000  # characters of one event that are read; what is longer is an error, never skipped in silence
LONGEST_CODED = 4_096
MOST_DECODED = 64

# Characters that show nothing: zero-width, joiners, direction marks, soft hyphen, variation selectors, tags.
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
                     "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]")  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:(?:://|[._@:/+'\-=&?#%])[^\W_]+)*")
_GLUE = re.compile(r":(?!//)|[=&?#]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CODED = re.compile(r"[A-Za-z0-9+/_\-]{16,4096}={0,2}")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2}){8,2048})\Z")
_PERCENT = re.compile(r"(?:[\w.~/:?=&+-]*%[0-9A-Fa-f]{2}){2,}[\w.~/:?=&+-]*")
_PREFIX = re.compile(r"\A(?:[a-z][a-z0-9+]*://)?(?:www\.)?")
_BETWEEN = re.compile(r"[\W_]+")
_SPACE = re.compile(r"\s+")


def normal(text: str) -> str:
    r"""The text as a reader would take it: NFKC, without characters that show nothing, lower case, 1,000 as 1000.

    >>> normal("\uff21\u200bBC\u00ad 1,250")
    'abc 1250'
    """
    if text.isascii():
        return _THOUSANDS.sub("", text.lower())
    return _THOUSANDS.sub("", _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold())


def words(text: str) -> list[str]:
    """The words of a normalised text; an address, a link, an amount or an id is one word.

    What is joined by : = & ? # is there as a whole and, at the end, in its parts.

    >>> words("mail a.b@c.org, see https://www.x.io/p or swap_tokens(0xAB12, 1.5)".lower())
    ['mail', 'a.b@c.org', 'see', 'x.io/p', 'or', 'swap_tokens', '0xab12', '1.5']
    >>> words("pay --to=gb29nwbk")
    ['pay', 'to=gb29nwbk', 'to', 'gb29nwbk']
    """
    found = _WORD.findall(text)
    if ":" in text or "'" in text or "www." in text:
        found = [_bare(w) if ":" in w or "'" in w or w.startswith("www.") else w for w in found]
    if not _GLUE.search(text):
        return found
    return found + [part for w in found if _GLUE.search(w) for part in _GLUE.split(w) if part]


def is_joined(word: str) -> bool:
    """Is this one of the words that `words` gives in its parts as well?"""
    return _GLUE.search(word) is not None


def _bare(word: str) -> str:
    return _PREFIX.sub("", word).removesuffix("'s") or word


def squeezed(text: str) -> str:
    """A short value for comparison: normalised, runs of white space as one space, no space at the ends."""
    return _SPACE.sub(" ", normal(text)).strip()


def compact(text: str) -> str:
    """The letters and digits of a normalised text, without what stands between them.

    >>> compact("gb29 nwbk-6016"), compact("to=gb29nwbk6016")
    ('gb29nwbk6016', 'togb29nwbk6016')
    """
    return _BETWEEN.sub("", text)


def decoded(text: str) -> list[str]:
    """What do the encoded parts of a text say? Base64, hexadecimal and URL encoding, undone once, bounded.

    >>> decoded("run aHR0cHM6Ly9ldmlsLmV4YW1wbGUvcGF5 now")
    ['https://evil.example/pay']
    """
    found: list[str] = []
    for match in _CODED.finditer(text):
        if len(found) >= MOST_DECODED:
            break
        plain = _decoded(match.group())
        if plain:
            found.append(plain)
    if "%" in text:
        found += [unquote(m.group()) for m in list(_PERCENT.finditer(text))[:MOST_DECODED]]
    return found


def _decoded(coded: str) -> str:
    if match := _HEX.match(coded):
        raw = bytes.fromhex(match.group(1))
    else:
        if coded.isalpha() and (coded.islower() or coded.isupper()):
            return ""  # a word
        body = coded.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        except (binascii.Error, ValueError):
            return ""
    try:
        plain = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    seen = sum(c.isalnum() or c in " .,:;/@-_'\"!?()" for c in plain)
    return plain if seen >= 0.9 * len(plain) and any(c.isalpha() for c in plain) else ""
