"""Identifiers that clients make themselves, slugs that people type, those they meant instead, and run names that people can say."""

import difflib
import hashlib
import re
import secrets
import time
from collections.abc import Iterable

from clew.errors import Invalid

__all__ = ["check_slug", "names_near", "new_id", "run_name"]

_MOST_NAMES = 10
"""A message that lists more names than that is not read."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_FIRST = (
    "amber autumn blue bold brave brisk bright calm clear cold cool copper deep dry early even fair fast first fresh gentle gold "
    "grand green grey kind late light long mild misty new odd pale plain quick quiet rare red rough salt sharp short silent slow small "
    "soft still swift tall thin warm wide wild young"
).split()
_SECOND = (
    "aspen badger basin bay birch brook cedar cliff comet coral crane creek delta dune eagle ember falcon fern field finch fjord forest "
    "fox glade grove harbor hawk heron hill island ivy lake lantern lark leaf maple marsh meadow mesa mica moon moss oak ocean otter owl "
    "pine pond quill rain raven reef ridge river sand shore sky slate snow spring star stone summit thorn tide trail valley wave willow wren"
).split()


def new_id(prefix: str) -> str:
    """A fresh identifier, ``prefix_`` and 26 characters, that sorts by the time it was made (a ULID)."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def check_slug(name: str, what: str = "name") -> str:
    """``name`` itself when it may name something; it is part of addresses, paths and references such as ``late@7``."""
    if not isinstance(name, str) or not _SLUG.fullmatch(name):
        raise Invalid(f"{name!r} can't be a {what}: use up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit")
    return name


def names_near(name: str, known: Iterable[str]) -> str:
    """What to say after *there is no such name*: those that were probably meant, else the first that there are; nothing where there is none.

    >>> names_near("lates", ["delay", "late", "landed"])
    'near it are late and landed'
    """
    listed = sorted(known)
    close = difflib.get_close_matches(name, listed, n=3, cutoff=0.5)
    if close:
        return f"near it {'are' if len(close) > 1 else 'is'} {_joined(close)}"
    shown = listed[:_MOST_NAMES]
    more = f" and {len(listed) - len(shown)} more" if len(listed) > len(shown) else ""
    return f"there {'are' if len(listed) > 1 else 'is'} {', '.join(shown)}{more}" if listed else ""


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def run_name(run_id: str) -> str:
    """Two words for a run's id, always the same two. Not unique: the id is."""
    digest = hashlib.sha256(run_id.encode()).digest()
    return f"{_FIRST[int.from_bytes(digest[:4]) % len(_FIRST)]}-{_SECOND[int.from_bytes(digest[4:8]) % len(_SECOND)]}"
