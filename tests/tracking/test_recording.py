"""Runs as scripts make them: real processes, really killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound
from clew.sdk.runs import current_run, get_run, run, sync
from clew.tracking import service as tracking
from clew.tracking.recording import attach
from clew.tracking.service import list_runs
from clew.tracking.shipping import journal_folder

SCRIPT = """
import os, signal, sys, time
import clew

with clew.run("to be killed", params={"lr": 0.1}, experiment="torture") as run:
    print(run.id, flush=True, file=sys.__stderr__)
    print("before the kill")
    os.system("echo from a child")
    run.artifact(b"weights", "model/weights.bin")
    for step in range(20_000):
        clew.log(loss=1 / (step + 1), step=step)
    print("the last words")
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "raise":
        raise ValueError("no luck")
"""


def script(folder: Path, how: str, **environ: str) -> "tuple[subprocess.CompletedProcess[str], str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")} | environ
    environment["CLEW_PROJECT"] = "test"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    identifier = next((word for word in done.stderr.split() if word.startswith("run_")), "")
    return done, identifier


def test_a_killed_script_loses_nothing_that_was_logged_or_printed(local_backend: LocalBackend, tmp_path: Path) -> None:
    done, identifier = script(tmp_path, "kill")
    assert done.returncode == -signal.SIGKILL
    view = get_run(identifier)
    history = view.history("loss")
    assert history["step"].to_list() == list(range(20_000))
    assert history["value"].to_list() == [1 / (step + 1) for step in range(20_000)]
    assert view.status == "lost"
    assert view.params == {"lr": 0.1}
    assert view.artifact("model/weights.bin").read_bytes() == b"weights"
    assert all(line in view.output() for line in ("before the kill", "from a child", "the last words"))
    assert list((local_backend.settings.home / "journals").iterdir()) == []


def test_a_script_that_raises_is_failed_with_its_traceback_and_all_its_output(local_backend: LocalBackend, tmp_path: Path) -> None:
    done, identifier = script(tmp_path, "raise")
    assert done.returncode == 1
    assert done.stdout == "before the kill\nfrom a child\nthe last words\n", "the console has it too"
    view = get_run(identifier)
    assert view.status == "failed"
    assert "ValueError: no luck" in str(view.error)
    assert view.output().count("the last words") == 1


def test_a_run_reads_its_own_writes_while_it_lasts(local_backend: LocalBackend) -> None:
    with run("first", params={"lr": 0.1, "deep": True}, tags={"team": "risk"}) as one:
        for step in range(3):
            one.log(loss=1.0 - step, step=step * 10)
        one.log({"train/loss": 0.5})
        clew.log({"train/loss": 0.25})
        view = get_run(one.id)
        assert view.status == "running"
        frame = view.history("loss")
        assert frame.schema == {"step": pl.Int64, "value": pl.Float64, "time": pl.Datetime("us", "UTC")}
        assert frame["value"].to_list() == [1.0, 0.0, -1.0]
        assert frame["step"].to_list() == [0, 10, 20]
        assert view.history("train/loss")["step"].to_list() == [0, 1]
    view = get_run(one.id)
    assert (view.status, view.metrics, view.params, view.tags) == (
        "finished", {"loss": -1.0, "train/loss": 0.25}, {"lr": 0.1, "deep": True}, {"team": "risk"},
    )  # fmt: skip
    with pytest.raises(NotFound, match="loss, "):
        view.history("los")


def test_runs_nest_and_know_their_current_one(local_backend: LocalBackend) -> None:
    assert current_run() is None
    with run("outer") as outer:
        print("outer speaks")
        with run("inner") as inner:
            assert current_run() is inner
            print("inner speaks")
        print("outer again")
        assert current_run() is outer
    assert current_run() is None
    view = get_run(outer.id)
    assert [child.id for child in view.children] == [inner.id]
    assert view.output() == "outer speaks\nouter again\n"
    assert get_run(inner.id).output() == "inner speaks\n"


def test_a_log_outside_of_a_run_says_what_to_do(local_backend: LocalBackend) -> None:
    with pytest.raises(Invalid, match=r"with clew\.run"):
        clew.log(loss=1.0)


def test_a_pruned_or_interrupted_block_ends_so(local_backend: LocalBackend) -> None:
    with pytest.raises(clew.Pruned), run() as pruned:
        raise clew.Pruned
    with pytest.raises(KeyboardInterrupt), run() as stopped:
        raise KeyboardInterrupt
    assert [get_run(one.id).status for one in (pruned, stopped)] == ["pruned", "stopped"]


def test_what_a_run_was_made_in_is_noted(local_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    with run(seed=7) as one:
        seeds = (one.seed("split"), one.seed("init"))
        time.sleep(0.1)
    view = get_run(one.id)
    assert view.facts["seeds"] == {"run": 7, "split": seeds[0], "init": seeds[1]}
    assert "polars==" in view.environment()
    assert view.facts["hardware"]["memory_bytes"] > 0
    assert view.facts["source"]["files"] == 1
    assert view.facts["git"] is None
    with run(seed=7) as again:
        assert (again.seed("split"), again.seed("init")) == seeds


def test_threads_log_into_the_run_of_their_process_and_lose_nothing(local_backend: LocalBackend) -> None:
    def work(name: str) -> None:
        for step in range(2_000):
            clew.log({name: float(step)}, step=step)

    with run() as one:
        threads = [threading.Thread(target=work, args=(f"m{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    view = get_run(one.id)
    assert all(view.history(f"m{number}")["step"].to_list() == list(range(2_000)) for number in range(4))


def test_a_forked_child_logs_into_the_same_run_by_a_journal_of_its_own(local_backend: LocalBackend) -> None:
    with run() as one:
        one.log(loss=1.0, step=0)
        child = os.fork()
        if child == 0:
            one.log(loss=2.0, step=1)
            os.write(1, b"the child speaks\n")
            os._exit(0)  # as multiprocessing's children end: no exit handler, no flush
        os.waitpid(child, 0)
        one.log(loss=3.0, step=2)
    view = get_run(one.id)
    assert view.history("loss")["value"].to_list() == [1.0, 2.0, 3.0]
    assert "the child speaks" in view.output()
    assert view.status == "finished"


def test_a_forked_child_ships_by_connections_of_its_own(local_backend: LocalBackend) -> None:
    with run() as one:
        one.log(loss=1.0, step=0)
        one.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                one.log(loss=2.0, step=1)
                one.artifact(b"of the child", "child.txt")
                one.flush(20)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert local_backend.call(tracking.get_run, one.id).metrics["loss"].count == 2
    view = get_run(one.id)
    assert view.artifact("child.txt").read_bytes() == b"of the child"


def test_a_model_is_registered_from_a_run(local_backend: LocalBackend) -> None:
    from sklearn.linear_model import LogisticRegression

    X = pl.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "spend": [0.0, 1.0, 0.0, 2.0]}, schema={"age": pl.Float32, "spend": pl.Float32})
    with run("churn", params={"C": 0.5}) as one:
        model = LogisticRegression(C=0.5).fit(X.to_numpy(), [0, 0, 1, 1])
        one.log(auc=1.0)
        version = one.register("churn", model, example=X)
    assert (version.name, version.number, version.run_id) == ("churn", 1, one.id)


def test_another_process_attaches_to_a_run(local_backend: LocalBackend) -> None:
    with run() as one:
        one.flush()
        with attach(local_backend, one.id) as helper:
            helper.log(rows=5)
        assert get_run(one.id).status == "running", "only the process that began it ends it"
    assert get_run(one.id).metrics == {"rows": 5.0}


def test_a_value_that_is_no_number_is_refused_and_the_run_goes_on(local_backend: LocalBackend) -> None:
    with run() as one:
        with pytest.raises(Invalid, match="'loss' got 'low'"):
            one.log(loss="low")
        one.log(loss=1)
    assert get_run(one.id).metrics == {"loss": 1.0}


def test_runs_are_found_by_what_they_logged(local_backend: LocalBackend) -> None:
    for lr in (0.1, 0.2, 0.3):
        with run(params={"lr": lr}, capture=False) as one:
            one.log(auc=lr * 2)
    page = local_backend.call(list_runs, "metrics.auc > 0.3 and params.lr < 0.25")
    assert [row.params["lr"] for row in page.items] == [0.2]


def test_sync_ships_only_what_is_meant_for_the_backend(local_backend: LocalBackend, tmp_path: Path) -> None:
    done, _ = script(tmp_path, "finish", CLEW_URL="http://127.0.0.1:9", CLEW_HOME=str(local_backend.settings.home))
    assert done.returncode == 0
    assert "clew sync" in done.stderr
    report = sync(local_backend)
    assert (report.runs, report.waiting, report.targets) == ([], 1, ["http://127.0.0.1:9"])
    assert local_backend.call(list_runs).items == []


def test_with_full_durability_each_call_is_flushed_once_and_before_it_returns(
    local_backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, flush = [], os.fdatasync

    def counting(file: int) -> None:
        flushed.append(threading.current_thread())
        flush(file)

    monkeypatch.setattr(os, "fdatasync", counting)
    backends.use(LocalBackend(replace(local_backend.settings, durability="full")))
    with run("durable", capture=False) as one:
        for call in (lambda: one.log(loss=0.5, auc=0.7), lambda: one.params(a=1), lambda: one.artifact(b"weights", "w.bin")):
            before = flushed.count(threading.main_thread())
            call()
            assert flushed.count(threading.main_thread()) == before + 1


def test_an_error_with_a_nul_ends_its_run_and_is_raised_as_it_was(local_backend: LocalBackend) -> None:
    for text in ("a\0b", "\ud800"):
        with pytest.raises(LookupError) as caught, run("broken", capture=False) as one:
            raise LookupError(text)
        assert str(caught.value) == text
        assert get_run(one.id).status == "failed"


def test_a_run_whose_title_can_not_be_kept_does_not_begin_and_leaves_no_journal(local_backend: LocalBackend) -> None:
    with pytest.raises(Invalid, match="start of a run can't be kept"):
        run("a\0b", capture=False)
    assert list(journal_folder(local_backend).iterdir()) == []


def test_a_huge_whole_number_is_kept_as_a_parameter(local_backend: LocalBackend) -> None:
    with run("large", params={"modulus": 10**400}, capture=False) as one:
        pass
    assert get_run(one.id).params == {"modulus": 10**400}
