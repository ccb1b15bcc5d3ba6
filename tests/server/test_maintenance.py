"""Duties: each at its pace, and one that fails stops no other."""

import threading

from clew.backend import LocalBackend
from clew.errors import Unavailable
from clew.server.maintenance import Duty, Maintenance


def leads() -> bool:
    return True


def test_a_failing_duty_stops_no_other_and_is_tried_again(sqlite_backend: LocalBackend) -> None:
    worked, tried_again = threading.Event(), threading.Event()
    calls: list[str] = []

    def fail(backend: LocalBackend) -> None:
        calls.append("fail")
        if len(calls) == 1:
            raise Unavailable("not yet")
        tried_again.set()
        raise ValueError("a defect")

    maintenance = Maintenance(sqlite_backend, leads, [Duty("fail", 0.01, fail), Duty("work", 0.01, lambda backend: worked.set())])
    maintenance.start()
    assert worked.wait(10)
    assert tried_again.wait(10)
    maintenance.stop()


def test_stopping_waits_for_the_duty_that_runs(sqlite_backend: LocalBackend) -> None:
    began, ended = threading.Event(), threading.Event()

    def slow(backend: LocalBackend) -> None:
        began.set()
        threading.Event().wait(0.3)
        ended.set()

    maintenance = Maintenance(sqlite_backend, leads, [Duty("slow", 0.0, slow)])
    maintenance.start()
    assert began.wait(10)
    maintenance.stop()
    assert ended.is_set()


def test_what_is_done_once_for_a_database_is_left_to_its_leader(sqlite_backend: LocalBackend) -> None:
    leading, told = threading.Event(), threading.Event()
    done: list[str] = []

    def once(backend: LocalBackend) -> None:
        done.append("once" if leading.is_set() else "once, though it does not lead")
        told.set()

    def everywhere(backend: LocalBackend) -> None:
        done.append("everywhere")
        if len(done) == 5:  # five rounds of what every server does: the other had its turn as often
            leading.set()

    duties = [Duty("do it once", 0.01, once, once=True), Duty("do it everywhere", 0.01, everywhere)]
    maintenance = Maintenance(sqlite_backend, leading.is_set, duties)
    maintenance.start()
    assert told.wait(10)
    maintenance.stop()
    assert done[:6] == ["everywhere"] * 5 + ["once"]
