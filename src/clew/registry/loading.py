"""A registered model, back in its framework or as a scoring function."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from clew import plugins
from clew.backend import Backend
from clew.registry.runtime import load_onnx
from clew.registry.service import model_version
from clew.storage.blobs import Manifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["load_scorer", "load_version"]


def load_version(backend: Backend, name: str, number: int) -> Any:  # Any: the model in its own framework
    """The fitted model of a version, as its framework knows it. Nothing is unpickled."""
    details = backend.call(model_version, name, number).details
    manifest = msgspec.json.decode(backend.download(details.files).read_bytes(), type=Manifest)
    files = {file.path: backend.download(file.digest).read_bytes() for file in manifest.files if file.path != "model.onnx"}
    return plugins.load("flavor", details.flavor)().load(files)


def load_scorer(backend: Backend, name: str, number: int) -> "Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]":
    """The version's verified export as a function of its feature matrix."""
    return load_onnx(backend.download(backend.call(model_version, name, number).details.onnx))
