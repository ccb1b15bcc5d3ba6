"""Ports of this machine that stay ours while nothing listens on them, as between the death of a process and its restart."""

import random
import socket

from clew.errors import Unavailable

__all__ = ["free_port"]

# Below the ranges from which systems take the ports of outgoing connections: Linux from 32768, IANA and macOS from 49152 (RFC 6335).
_PORTS = range(15_000, 32_000)
_TRIES = 200


def free_port(host: str = "127.0.0.1") -> int:
    """A port of ``host`` on which nothing listens, and that no outgoing connection is given by chance. Raises ``Unavailable``.

    >>> 15_000 <= free_port() < 32_000
    True
    """
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:  # somebody listens there
                continue
            return port
    raise Unavailable(f"no port of {host} between {_PORTS.start} and {_PORTS.stop} is free; name one with --port")
