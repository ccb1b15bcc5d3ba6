"""The lead, on both databases: one has it, for a lease, and it passes on when its holder gives it back, is late or has died."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from clew.backend import LocalBackend
from clew.storage import leadership
from clew.storage.holders import new_holder

LEASE = timedelta(seconds=20)


def lead(backend: LocalBackend, holder: str, lease: timedelta = LEASE) -> str:
    return backend.context(backend.project).run_write(lambda inside: leadership.lead(inside, "server", holder, lease))


def step_down(backend: LocalBackend, holder: str) -> None:
    backend.context(backend.project).run_write(lambda inside: leadership.step_down(inside, "server", holder))


def test_one_leads_until_it_gives_the_lead_back(backend: LocalBackend) -> None:
    first, second = new_holder(), new_holder()
    assert [lead(backend, first), lead(backend, second), lead(backend, first)] == [first, first, first]
    step_down(backend, second)
    assert lead(backend, second) == first, "only the holder can give it back"
    step_down(backend, first)
    assert [lead(backend, second), lead(backend, first)] == [second, second]


def test_a_lease_that_ran_out_passes_on(backend: LocalBackend) -> None:
    first, second = new_holder(), new_holder()
    lead(backend, first, -LEASE)
    assert [lead(backend, second), lead(backend, first)] == [second, second]


def test_a_holder_that_died_on_this_machine_has_lost_it_at_once_and_one_elsewhere_has_not(backend: LocalBackend) -> None:
    dead, elsewhere, mine = f"{new_holder().split(' ')[0]} 999999999 1 holder_gone", "elsewhere 999999999 1 holder_there", new_holder()
    lead(backend, dead)
    assert lead(backend, elsewhere) == elsewhere
    assert lead(backend, mine) == elsewhere


def test_of_many_that_ask_at_once_one_leads(backend: LocalBackend) -> None:
    holders = [new_holder() for _ in range(8)]
    ask: Callable[[str], str] = lambda holder: lead(backend, holder)  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, holders))) == 1
