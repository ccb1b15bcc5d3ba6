"""Frameworks whose models Clew can save, load and export; one module each, found through ``plugins.load("flavor", name)``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clew.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Export", "Flavor", "flavor_of"]


@dataclass(frozen=True)
class Export:
    """A model as ONNX: its bytes, and the name of the output that holds the scores."""

    content: bytes
    output: str


class Flavor(Protocol):
    """How one framework's models are kept. Stateless; every method may be called from any thread."""

    name: str

    def accepts(self, model: Any) -> bool:  # Any: a model of any framework
        """Whether the model is this framework's own."""
        ...

    def save(self, model: Any) -> dict[str, bytes]:
        """The model's files by name, in the framework's own or an open format. Nothing that needs unpickling to be read."""
        ...

    def load(self, files: dict[str, bytes]) -> Any:
        """The model that ``save`` wrote. Raises ``Refused`` for files that would run code of types that are not known as safe."""
        ...

    def export(self, model: Any, features: int) -> Export:
        """The model as ONNX over one float32 matrix ``(n, features)``. Raises ``Refused`` with the reason where it does not convert."""
        ...

    def score(self, model: Any, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        """The original's own answer ``(n,)``: the probability of the positive class, or the value."""
        ...

    def advice(self, model: Any, *, only_missing: bool) -> str:
        """What to do where a model's export answers otherwise than the model; with ``only_missing`` on rows with missing values alone."""
        ...

    def libraries(self) -> tuple[str, ...]:
        """The distributions whose versions a load depends on."""
        ...


def flavor_of(model: Any) -> Flavor:
    """The flavor that takes a model. Raises ``Invalid`` naming the flavors that there are."""
    from clew import plugins

    for name in plugins.names("flavor"):
        flavor: Flavor = plugins.load("flavor", name)()
        if flavor.accepts(model):
            return flavor
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise Invalid(f"no flavor takes a {kind}; there are {', '.join(plugins.names('flavor'))}. Return a fitted model of one of them")
