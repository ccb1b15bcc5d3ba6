"""Identifiers that clients make themselves, slugs that people type, and run names that people can say."""

import hashlib
import re
import secrets
import time

from clew.errors import Invalid

__all__ = ["check_slug", "new_id", "run_name"]

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


def run_name(run_id: str) -> str:
    """Two words for a run's id, always the same two. Not unique: the id is."""
    digest = hashlib.sha256(run_id.encode()).digest()
    return f"{_FIRST[int.from_bytes(digest[:4]) % len(_FIRST)]}-{_SECOND[int.from_bytes(digest[4:8]) % len(_SECOND)]}"
