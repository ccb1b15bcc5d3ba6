"""Kill scripts, the API and the serving process at random, for as long as one lets it, and look that nothing acknowledged is lost.

``make torture`` or ``python tests/end_to_end/torture.py --seconds 60 --seed 7``. It prints each loss and ends with status 1 when there was one.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from clew.access import service as access
from clew.backend import LocalBackend
from clew.errors import ClewError, Conflict, NotFound
from clew.testing.server import LiveServer, live_server

_SHIPPING_SECONDS = 30
_STARTING_SECONDS = 30

SCRIPT = """
import sys
import clew
with clew.run("tortured") as run:
    print(run.id, flush=True)
    for step in range(10_000_000):
        run.log(value=float(step), step=step)
        sys.stdout.write(f"{step}\\n")
        sys.stdout.flush()
"""


@dataclass
class Acknowledged:
    """What somebody was told is kept."""

    projects: list[str] = field(default_factory=list)
    points: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=lambda: {"api": 0, "serving": 0, "script": 0})


def write_over_http(server: LiveServer, told: Acknowledged, stop: threading.Event) -> None:
    """Make projects, one after another; note each that was answered. An outage is waited out, as a person would."""
    backend = server.backend()
    number = 0
    while not stop.is_set():
        slug = f"p{number}"
        try:
            backend.call(access.create_project, slug)
        except Conflict:
            pass  # the answer to an earlier try was lost, its effect was not
        except ClewError:
            time.sleep(0.05)
            continue
        told.projects.append(slug)
        number += 1


def log_and_die(server: LiveServer, told: Acknowledged, chance: random.Random) -> None:
    """A training script that is killed in mid-log; what it said it had logged must be found."""
    environ = {**os.environ, "CLEW_PROJECT": server.project}
    with (server.root / "script.out").open("w+") as output:
        process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=server.root, env=environ, stdout=output, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _STARTING_SECONDS
        while not os.fstat(output.fileno()).st_size and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)  # a busy machine takes long to start a script, and one that was killed before its first word shows nothing
        time.sleep(chance.uniform(0.1, 1.5))
        process.kill()
        process.wait()
        output.seek(0)
        run_id, *steps = output.read().split("\n")[:-1] or [""]
    if run_id:
        told.points[run_id] = len(steps)
    told.kills["script"] += 1


def kill_serving(server: LiveServer, told: Acknowledged) -> None:
    try:
        os.kill(int(json.loads((server.home / "serving.json").read_text())["pid"]), signal.SIGKILL)
        told.kills["serving"] += 1
    except (OSError, ValueError):  # it is just being started again
        return


def kill_api(server: LiveServer, told: Acknowledged) -> None:
    server.kill()
    told.kills["api"] += 1
    server.start()


def losses(server: LiveServer, told: Acknowledged) -> list[str]:
    """What was acknowledged and is not there."""
    from clew.backend import use

    backend = LocalBackend(server.settings)
    use(backend)
    try:
        end = time.monotonic() + _SHIPPING_SECONDS
        # The server ships what dead scripts left too, and one journal has one shipper: what it is at work on is not there yet.
        while (found := _missing(backend, told)) and time.monotonic() < end:
            time.sleep(0.5)
        return found
    finally:
        use(None)
        backend.dispose()


def _missing(backend: LocalBackend, told: Acknowledged) -> list[str]:
    from clew.sdk.runs import get_run, sync

    sync(backend)
    there = {item.slug for item in backend.call(access.list_projects).items}
    found = [f"project {slug} was acknowledged and is gone" for slug in told.projects if slug not in there]
    for run_id, count in told.points.items():
        try:
            steps = get_run(run_id).history("value")["step"].to_list() if count else []
        except NotFound:
            steps = []
        if len(steps) < count or steps != list(range(len(steps))):
            found.append(f"run {run_id}: {count} points were acknowledged, {len(steps)} are there")
    return found


def torture(root: Path, seconds: float, seed: int) -> tuple[Acknowledged, list[str]]:
    """Torment a server over ``root`` for a while; what was acknowledged, and what of it was lost."""
    chance, told, stop = random.Random(seed), Acknowledged(), threading.Event()
    with live_server(root) as server:
        writer = threading.Thread(target=write_over_http, args=(server, told, stop), daemon=True)
        writer.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            chance.choice([lambda: kill_api(server, told), lambda: kill_serving(server, told), lambda: log_and_die(server, told, chance)])()
            time.sleep(chance.uniform(0, 0.5))
        stop.set()
        writer.join(30)
        return told, losses(server, told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10 * 365 * 86_400, help="how long; until Ctrl-C unless given")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}; each round lasts a minute", flush=True)
    end, lost = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="clew-torture-") as folder:
            told, found = torture(Path(folder), min(60, end - time.monotonic()), options.seed)
        lost += len(found)
        print(
            f"killed {told.kills}; acknowledged {len(told.projects)} writes and {sum(told.points.values())} points; lost {found or 'nothing'}",
            flush=True,
        )
        options.seed += 1
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
