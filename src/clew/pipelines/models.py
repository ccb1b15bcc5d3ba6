"""Building a model: a study of trials, the winner as a version, its gates, and the refit that may be deployed."""

import hashlib
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.catalog import service as catalog
from clew.catalog.schema import AliasMove, AssetVersion, VersionRef
from clew.definitions import ModelDefinition
from clew.errors import BuildFailed, ClewError, Conflict
from clew.feature_store.reading import load_training_data
from clew.feature_store.schema import training_set_details
from clew.pipelines import service
from clew.pipelines.building import Builder, Made
from clew.pipelines.comparison import Candidate, Verdict
from clew.pipelines.executors import awaited
from clew.pipelines.fitting import Fit, Fitted, RowsFile, fit, load_fitted, place, write_rows
from clew.pipelines.gates import GatedView, gated_views, judge
from clew.pipelines.schema import StepKey
from clew.pipelines.tracing import own_folders, tracing
from clew.pipelines.unfinished import Unfinished
from clew.registry.loading import load_scorer
from clew.registry.saving import save_model
from clew.registry.schema import ExternalSystem, ModelDetails, ModelVersion
from clew.registry.service import model_version, register_model
from clew.tracking import recording
from clew.tracking.journal import dead_journals, read_header
from clew.tracking.service import get_run
from clew.tracking.shipping import journal_folder, ship_dead
from clew.tuning.pruning import MedianRule
from clew.tuning.study import Study, Trial, Value

if TYPE_CHECKING:
    from clew.feature_store.training_data import TrainingData
    from clew.sdk.assets import Asset, Declared

__all__ = ["ModelBuild"]

CHAMPION = "champion"


class ModelBuild:
    """One build of one model over one version of its training set.

    Training, each gate and the refit are steps of their own: a gate that changed judges again without a fit, and a build that died
    after the study goes on from there.
    """

    def __init__(self, builder: Builder, asset: "Asset", definition: ModelDefinition, training: AssetVersion, key: StepKey) -> None:
        self.builder = builder
        self.backend = builder.backend
        self.asset = asset
        self.definition = definition
        self.training = training
        self.key = key
        self.details = training_set_details(training)
        self.recipe = self._recipe()
        self.unfinished = Unfinished(self.backend, definition.name, key)
        self._done: dict[int, tuple[Trial, Fitted]] = {}
        self._trace: dict[str, str] = {}
        self._parameters: dict[str, Value] = {}

    def _recipe(self) -> str:
        """Everything that makes the model except the rows: code, search, and the definitions of its features."""
        used = [[use.view, use.definition_digest] for use in self.details.views]
        content = [self.builder.planner.digest(self.asset), self.training.definition_digest, used]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(content)).hexdigest()

    def train(self, why: str) -> Made:
        """A version that was trained without the holdout, for the gates to judge."""
        part = "train" if self.details.holdout_from is not None else "all"
        data = load_training_data(self.backend, self.training.name, self.training.number, part)
        with self._scratch() as folder:
            try:
                winner, metrics = self._train(folder, write_rows(data, folder / "rows.arrow"))
                candidate = self._register(winner, metrics, data, why, refit_of=None)
            except BaseException as error:
                self.builder.close_executor(error)
                self.unfinished.keep(self._done.values())
                raise
        self.unfinished.forget()
        return Made(self._version(candidate), self._trace, winner.run_id)

    def settle(self, trained: AssetVersion) -> AssetVersion:
        """What a trained version comes to: itself where a gate stops it, else the version to be deployed, which is its refit if declared."""
        candidate = self.backend.call(model_version, trained.name, trained.number)
        moves = [move for move in self.backend.call(catalog.alias_history, trained.name).items if move.alias == CHAMPION]
        if not self._passes_gates(candidate, moves):
            return self._version(candidate)
        number = self._refitted(candidate).number if self.definition.refit else trained.number
        if all(move.number != number for move in moves):  # one that was champion before, and is not, was put back on purpose
            self._promote(number)
        return self.backend.call(catalog.get_version, trained.name, number)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for rows and fitted models. No worker is at work in it any more when it goes."""
        with tempfile.TemporaryDirectory(prefix="clew-build-") as folder:
            try:
                yield Path(folder)
            except BaseException as error:
                self.builder.close_executor(error)
                raise

    def _version(self, model: ModelVersion) -> AssetVersion:
        return self.backend.call(catalog.get_version, model.version.name, model.version.number)

    # ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self, folder: Path, rows: RowsFile) -> tuple[Fitted, dict[str, float]]:
        """The winner: of a study where the recipe is new, with the parameters that were found before where it is not."""
        tuned = self._tuned()
        if self.definition.search is not None and tuned is None:
            return self._study(folder, rows)
        known = None if tuned is None else dict(msgspec.convert(tuned.details, ModelDetails).parameters)
        parameters = known or {name: parameter.default for name, parameter in self.definition.parameters.items()}
        self._parameters = parameters
        if tuned is not None:
            words = f"not tuned again, for its recipe is the same: it keeps the parameters of {tuned.ref}"
            self.builder.progress.finished(f"{self.definition.name} trials", words)
        # A refresh meets a champion that was refitted on all its rows. Kept from its newest fifth by a split inside the function, it lost
        # 0.009 of AUC on the flights of April (day-blocked, significant) by age alone, and an unchanged recipe failed its gate.
        whole = known is not None and self.definition.refit
        task = self._fit(rows, parameters, "training", folder / "fitted.pickle", refit=whole)
        done = self._fitted(task if tuned is None else replace(task, facts={**task.facts, "parameters_of": str(tuned.ref)}))
        return done, {} if whole else done.metrics  # figures on rows that it trained on are none of the version's

    def _tuned(self) -> AssetVersion | None:
        """The version for which a study of this very recipe was held already: a refresh on newer rows is not tuned again."""
        if self.definition.search is None:
            return None
        cursor: str | None = None
        while True:
            page = self.backend.call(catalog.list_versions, self.definition.name, cursor=cursor)
            for version in page.items:
                if msgspec.convert(version.details, ModelDetails).recipe == self.recipe:
                    return version
            cursor = page.next_cursor
            if cursor is None:
                return None

    def _fit(
        self,
        rows: RowsFile,
        parameters: dict[str, Value],
        title: str,
        result: Path,
        *,
        parent: str | None = None,
        trial: int | None = None,
        refit: bool = False,
        rule: MedianRule | None = None,
    ) -> Fit:
        tags = {"model": self.definition.name, "step": title.split(" ", maxsplit=1)[0]} | ({} if trial is None else {"trial": str(trial)})
        facts = {"training_set": str(self.training.ref), "holdout_from": self.details.holdout_from}
        return Fit(
            self.backend.settings, self.definition.function, self.definition.name, rows, parameters, self.definition.seed, title, result,
            source=self.builder.source(), parent=parent, tags=tags, facts=facts, refit=refit, rule=rule,
        )  # fmt: skip

    def _study(self, folder: Path, rows: RowsFile) -> tuple[Fitted, dict[str, float]]:
        search = self.definition.search
        assert search is not None  # the caller asked
        study = Study(self.definition, search, seed=self.definition.seed or 0)
        results: dict[int, Fitted] = {}
        self.unfinished.take(folder)
        name = f"{self.definition.name} trials"
        self.builder.progress.started(name, search.trials)
        with recording.begin(
            self.backend,
            title=f"study of {self.definition.name}",
            params={"trials": search.trials, "metric": search.metric, "direction": search.direction, "seed": self.definition.seed},
            experiment=self.definition.name,
            tags={"model": self.definition.name, "step": "study"},
            source=self.builder.source().digest,
            capture=False,
        ) as parent:
            while batch := study.ask():
                rule = MedianRule(search.metric, search.direction, tuple(one.curve for one in results.values() if one.status == "finished"))
                for trial, done in zip(batch, self._run_batch(folder, rows, batch, parent.id, rule), strict=True):
                    value = self._value(done, search.metric)
                    if done.status == "pruned":
                        study.cut_short(trial, done.curve)
                    else:
                        study.tell(trial, value)
                    results[trial.number] = done
                    if value is not None:
                        parent.log({search.metric: study.best()[1]}, step=_place(trial))
                    self.builder.progress.advanced(name, f"{search.metric} {value:.4f}" if value is not None else done.status)
            errors = [done.error for done in results.values() if done.error]
            if len(errors) == len(results):
                raise BuildFailed(f"every trial of {self.definition.name} failed; the first: {errors[0]}", model=self.definition.name)
            best, value = study.best()
            parent.tags({"winner": results[best.number].run_id})
        self.builder.progress.finished(name, f"best {search.metric} {value:.4f} in trial {_place(best)}")
        winner = results[best.number]
        self._trace |= winner.trace
        self._parameters = dict(best.parameters)
        return winner, winner.metrics

    def _value(self, done: Fitted, metric: str) -> float | None:
        """What a trial is judged by; ``None`` where it did not finish, or its value is not a finite number."""
        if done.status != "finished":
            return None
        if metric not in done.metrics:
            logged = sorted(done.metrics)
            raise BuildFailed(f"{self.definition.name} never logged {metric!r}, which its search is judged by; it logged {logged}")
        return done.metrics[metric] if math.isfinite(done.metrics[metric]) else None

    def _run_batch(self, folder: Path, rows: RowsFile, batch: Sequence[Trial], parent: str, rule: MedianRule) -> Iterator[Fitted]:
        """The batch's results in the order in which it was asked, each as soon as it and those before it are there."""
        futures = [self._try(folder, rows, trial, parent, rule) for trial in batch]
        for trial, future in zip(batch, futures, strict=True):
            yield self._outcome(future, f"trial {_place(trial)}")

    def _try(self, folder: Path, rows: RowsFile, trial: Trial, parent: str, rule: MedianRule) -> "Future[Fitted]":
        """The trial, begun; or as it was finished in a build that was cut off later."""

        def note(done: "Future[Fitted]") -> None:
            if not done.cancelled() and done.exception() is None:
                self._done[trial.number] = (trial, done.result())

        known = self.unfinished.find(trial)
        future: Future[Fitted] = Future()
        if known is not None:
            future.set_result(known)
        else:
            title, result = f"trial {_place(trial)}", folder / f"trial-{trial.number}.pickle"
            task = self._fit(rows, trial.parameters, title, result, parent=parent, trial=_place(trial), rule=rule)
            future = self.builder.executor().submit(fit, task)
        future.add_done_callback(note)
        return future

    def _outcome(self, future: "Future[Fitted]", title: str) -> Fitted:
        """What came of a fit. Raises ``BuildFailed`` naming the run whose worker died; with it go the runs that others were in."""
        try:
            return awaited(future)
        except BuildFailed as error:
            self.builder.close_executor()  # when it has closed, every worker is gone, and their journals are free
            pid = error.details.get("pid")
            headers = [read_header(path) for path in dead_journals(journal_folder(self.backend))]
            shipped = ship_dead(self.backend).runs
            lost = [self.backend.call(get_run, one.run_id) for one in headers if one.pid == pid and one.owner and one.run_id in shipped]
            title, run = next(((str(one.run.title), one.run.id) for one in lost if one.run.status == "lost"), (title, None))
            raise BuildFailed(f"{self.definition.name}: {title} did not end: {error.message}", **error.details, run=run) from error

    def _fitted(self, task: Fit) -> Fitted:
        """A fit that must succeed: no study goes on without it."""
        done = self._outcome(self.builder.executor().submit(fit, task), task.title)
        if done.status != "finished":
            raise BuildFailed(
                f"{self.definition.name} failed: {done.error or done.status}; the run {done.run_id} holds its output", run=done.run_id
            )
        self._trace |= done.trace
        return done

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _register(
        self, fitted: Fitted, metrics: dict[str, float], data: "TrainingData", why: str, *, refit_of: VersionRef | None
    ) -> ModelVersion:
        saved = save_model(self.backend, load_fitted(fitted), data.X)
        first, last = data.time.min(), data.time.max()
        assert isinstance(first, datetime) and isinstance(last, datetime)  # a training set has event times
        details = ModelDetails(
            training_set=self.training.ref, views=self.details.views, signature=saved.signature, flavor=saved.flavor, files=saved.files, onnx=saved.onnx,
            verification=saved.verification, recipe=self.recipe, parameters=self._parameters, metrics=metrics, trained_from=first,
            trained_to=last, seen_until=last, refit_of=refit_of, source=self.builder.source().digest, libraries=saved.libraries,
        )  # fmt: skip
        return self.backend.call(
            register_model, self.definition.name, self.builder.planner.digest(self.asset), saved.onnx, why, details, fitted.run_id
        )

    def _refitted(self, candidate: ModelVersion) -> AssetVersion:
        """The candidate's recipe on all rows; the version that there is, where that was done already."""
        key, name = self.builder.planner.refit_key(self.key, candidate.version), f"{self.definition.name} refit"
        record = self.builder.planner.cached(self.asset, key)
        if record is not None:
            self.builder.progress.finished(name, f"cached: {self.definition.name}@{record.number}")
            return self.backend.call(catalog.get_version, self.definition.name, record.number)
        self.builder.progress.started(name)
        began = time.monotonic()
        made = self._refit(candidate)
        self.builder.record(made, key, time.monotonic() - began)
        self.builder.progress.finished(name, str(made.version.ref))
        return made.version

    def _refit(self, candidate: ModelVersion) -> Made:
        data = load_training_data(self.backend, self.training.name, self.training.number, "all")
        self._trace, self._parameters = {}, dict(candidate.details.parameters)
        with self._scratch() as folder:
            rows = write_rows(data, folder / "all.arrow")
            done = self._fitted(self._fit(rows, self._parameters, "refit", folder / "refit.pickle", refit=True))
            # A refit's own figures are on rows that it trained on: they stay in its run, and are no figures of the version.
            last = data.time.max()
            assert isinstance(last, datetime)  # a training set has event times
            why = f"the refit of {candidate.version.ref} on all rows up to {last:%Y-%m-%d %H:%M %Z}"
            made = self._register(done, {}, data, why, refit_of=candidate.version.ref)
        return Made(self._version(made), self._trace, made.version.run_id)

    def _promote(self, number: int) -> None:
        """Where no endpoint owns the champion, the last version that passed is it."""
        try:
            self.backend.call(catalog.set_alias, self.definition.name, CHAMPION, number)
        except Conflict:
            return  # an endpoint serves this model: its route decides, and `clew deploy` moves both

    # ── gates ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _passes_gates(self, candidate: ModelVersion, moves: Sequence[AliasMove]) -> bool:
        """Whether every gate lets the version through; those that have judged it, on these rows and with this code, aren't asked again."""
        gates = self.builder.graph.gates.get(self.definition.name, [])
        known = [self.builder.planner.judged(gate, candidate.version, self.training) for gate in gates]
        for gate, verdict in zip(gates, known, strict=True):
            if verdict is not None:
                self.builder.progress.finished(gate.name, f"cached: {verdict.word}: {verdict.reason}")
        passed = all(verdict.passed for verdict in known if verdict is not None)
        asked = [gate for gate, verdict in zip(gates, known, strict=True) if verdict is None]
        if not asked:
            return passed
        against = self._against(candidate, moves)
        if against is None:
            return self._judge(asked, candidate, None) and passed
        if against.details.external is not None:
            note = _unasked(against.version, against.details.external, answers=against.version.number == moves[0].number)
            return self._judge(asked, candidate, None, note) and passed
        return self._judge(asked, candidate, self._candidate(against, candidate)) and passed

    def _judge(self, gates: "Sequence[Declared]", candidate: ModelVersion, champion: Candidate | None, note: str = "") -> bool:
        holdout = load_training_data(self.backend, self.training.name, self.training.number, "holdout")
        challenger = self._candidate(candidate, candidate)
        views, slices = gated_views(self.details.views), [name for name in self.details.entities if name in holdout.frame().columns]
        slices += [name for name in self.details.key if name != self.details.time and self._is_coarse(holdout, name)]
        settings, version = self.backend.settings, candidate.version
        passed = True
        for gate in gates:
            self.builder.progress.started(gate.name)
            began = time.monotonic()
            with tracing(settings.root, own_folders(settings)) as trace:
                verdict = _verdict(gate, challenger, champion, holdout, views=views, slices=list(dict.fromkeys(slices)))
            verdict = replace(verdict, reason=f"{verdict.reason}{note}")
            key, seconds = self.builder.planner.gate_key(gate, version, self.training), time.monotonic() - began
            self.backend.call(
                service.record_verdict, version.name, version.number, gate.name, verdict.passed, verdict.word, verdict.reason,
                verdict.figures, key, trace.to_dict(), seconds,
            )  # fmt: skip
            self.builder.progress.finished(gate.name, f"{verdict.word}: {verdict.reason}")
            passed = passed and verdict.passed
        return passed

    @staticmethod
    def _is_coarse(data: "TrainingData", column: str) -> bool:
        """Whether a column has few enough values to be looked at one by one."""
        return data.frame()[column].n_unique() <= 50

    def _candidate(self, model: ModelVersion, challenger: ModelVersion) -> Candidate:
        details, reference = model.details, str(model.version.ref)
        score = load_scorer(self.backend, model.version.name, model.version.number)
        features = tuple(one.name for one in details.signature.inputs)
        same = details.recipe == challenger.details.recipe
        return Candidate(reference, lambda matrix: score(matrix).astype(float), features, same_recipe=same, seen_until=details.seen_until)

    def _against(self, challenger: ModelVersion, moves: Sequence[AliasMove]) -> ModelVersion | None:
        """The version to be better than. Where the challenger or its refit is champion, as when a gate was changed, the one before it.

        What came of newer rows is held against whoever is champion now, itself included: the rows before a holdout may be the very ones
        that the last refit saw, and then the refresh is the champion again. A gate never hears that there is no champion while one is,
        but for an existing system: it can't be asked about the past, so the version is judged by its own figures, and the verdict says so.
        """
        number = moves[0].number if moves else None
        if number is not None and challenger.details.training_set != self.training.ref:
            return self.backend.call(model_version, self.definition.name, number)
        while number is not None:
            model = self.backend.call(model_version, self.definition.name, number)
            if challenger.version.ref not in (model.version.ref, model.details.refit_of):
                return model
            number = next(move.previous for move in reversed(moves) if move.number == number)
        return None


def _unasked(version: AssetVersion, external: ExternalSystem, *, answers: bool) -> str:
    """Behind the reason of a verdict that compares with nothing, though there is a champion; one that ``answers``, or did before this one."""
    who = f"the champion {version.ref}" if answers else f"the champion before it, {version.ref},"
    rollout = ": the rollout compares the two on the same requests" if answers else ""
    return f"; {who} is the existing system at {external.host}, which can't be asked about the past{rollout}"


def _place(trial: Trial) -> int:
    """A trial's number for people, who count from 1."""
    return trial.number + 1


def _verdict(
    gate: "Declared",
    challenger: Candidate,
    champion: Candidate | None,
    holdout: "TrainingData",
    *,
    views: dict[str, GatedView],
    slices: Sequence[str],
) -> Verdict:
    assert gate.function is not None  # a gate is a function
    try:
        return judge(gate.function, challenger, champion, holdout, views=views, slices=slices)
    except ClewError:
        raise
    except Exception as error:
        raise BuildFailed(f"the gate {gate.name!r} failed: {type(error).__name__}: {error} ({place(error)})", gate=gate.name) from error
