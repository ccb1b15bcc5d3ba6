"""Which keys a candidate answers: always the same ones, and more of them, none less, as its share grows."""

import hashlib
from collections.abc import Sequence
from typing import Any

__all__ = ["falls_to_candidate"]

_SPAN = 1 << 64


def falls_to_candidate(salt: str, key: Sequence[Any], share: float) -> bool:
    """Whether the candidate answers the row with this key.

    The hash of salt and key is uniform over [0, 1) and a rollout keeps its salt, so a key stays where it is while the share grows.

    >>> sum(falls_to_candidate("a rollout", ["UA", number], 0.1) for number in range(1_000))
    94
    """
    content = "\x1f".join([salt, *(str(value) for value in key)]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") < share * _SPAN
