"""What a study that was cut off had finished: kept until the same study is built again, which then asks the worker for the rest only."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from clew.backend import Backend
from clew.identifiers import new_id
from clew.pipelines.fitting import Fitted
from clew.pipelines.schema import StepKey
from clew.pipelines.tracing import matches
from clew.tracking.shipping import target_of
from clew.tuning.study import Trial, Value

__all__ = ["Unfinished"]


@dataclass(frozen=True)
class _Kept:
    parameters: dict[str, Value]
    fitted: Fitted


class Unfinished:
    """The finished trials of one study, by its key and by where its runs are. One builder at a time has them: ``take`` moves them away."""

    def __init__(self, backend: Backend, model: str, key: StepKey) -> None:
        named = msgspec.json.encode([target_of(backend), key], order="sorted")
        self._root = backend.settings.root
        self._of_model = backend.settings.home / "unfinished" / backend.project / model
        self._folder = self._of_model / hashlib.sha256(named).hexdigest()[:32]
        self._taken: dict[int, _Kept] = {}

    def take(self, scratch: Path) -> None:
        """Move what is kept into the build's own folder."""
        mine = scratch / "kept"
        try:
            self._folder.rename(mine)
        except OSError:  # there is nothing, another builder was quicker, or it lies on another disk
            if not self._folder.is_dir():
                return
            shutil.move(self._folder, mine)
        for file in mine.glob("*.trial"):
            kept = msgspec.msgpack.decode(file.read_bytes(), type=_Kept, dec_hook=_path)
            self._taken[int(file.stem)] = replace(kept, fitted=replace(kept.fitted, result=file.with_suffix(".pickle")))

    def find(self, trial: Trial) -> Fitted | None:
        """The trial as it was finished before; ``None`` where it was not, with these parameters, or where a file that it read has changed."""
        kept = self._taken.get(trial.number)
        if kept is None or kept.parameters != trial.parameters or matches(kept.fitted.trace, self._root) is not None:
            return None
        return kept.fitted

    def keep(self, done: Iterable[tuple[Trial, Fitted]]) -> None:
        """Keep what is finished of a study that can't go on. Models are moved, so the build must be over."""
        finished = [(trial, fitted) for trial, fitted in done if fitted.status == "finished"]
        if not finished:
            return
        part = self._of_model / new_id("part")
        part.mkdir(parents=True)
        for trial, fitted in finished:
            shutil.move(fitted.result, part / f"{trial.number}.pickle")
            (part / f"{trial.number}.trial").write_bytes(msgspec.msgpack.encode(asdict(_Kept(trial.parameters, fitted)), enc_hook=str))
        shutil.rmtree(self._folder, ignore_errors=True)
        part.rename(self._folder)

    def forget(self) -> None:
        """The study is done: nothing that is kept of the model is asked for again."""
        shutil.rmtree(self._of_model, ignore_errors=True)


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if kind is Path else value
