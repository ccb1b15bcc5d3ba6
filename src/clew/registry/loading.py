"""A registered model, back in its framework or as a scoring function."""

from typing import TYPE_CHECKING, Any

import msgspec

from clew import plugins
from clew.backend import Backend
from clew.errors import Refused
from clew.registry.runtime import Scorer, load_onnx
from clew.registry.schema import ModelDetails
from clew.registry.service import model_version
from clew.storage.blobs import Manifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["load_scorer", "load_version"]


def load_version(backend: Backend, name: str, number: int) -> Any:  # Any: the model in its own framework
    """The fitted model of a version, as its framework knows it. Nothing is unpickled."""
    details = _own_details(backend, name, number)
    manifest = msgspec.json.decode(backend.download(details.files).read_bytes(), type=Manifest)
    files = {file.path: backend.download(file.digest).read_bytes() for file in manifest.files if file.path != "model.onnx"}
    return plugins.load("flavor", details.flavor)().load(files)


def load_scorer(backend: Backend, name: str, number: int) -> Scorer:
    """The version's verified export as a function of its feature matrix; NaN for a row with a missing value if the version takes none."""
    details = _own_details(backend, name, number)
    score = load_onnx(backend.download(details.onnx))
    return score if details.verification.takes_missing else _without_missing(score)


def _own_details(backend: Backend, name: str, number: int) -> ModelDetails:
    """Raises ``Refused`` for an existing system, of which Clew has nothing but the address."""
    details = backend.call(model_version, name, number).details
    if details.external is not None:
        raise Refused(
            f"{name}@{number} is the existing system at {details.external.host}: Clew asks it over HTTP and has no files and no ONNX export of it"
        )
    return details


def _without_missing(score: Scorer) -> Scorer:
    import numpy as np

    def of_whole_rows(matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
        answers = np.array(score(matrix), np.float32)
        answers[np.isnan(matrix).any(axis=1)] = np.nan  # the export would answer something, and the model would not
        return answers

    return of_whole_rows
