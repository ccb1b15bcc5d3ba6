"""What a model's version holds. The version itself stands in the catalog; its files are blobs under a manifest."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from urllib.parse import urlsplit

from clew.catalog.schema import AssetVersion, VersionRef
from clew.clock import parse_duration
from clew.feature_store.schema import UsedView

__all__ = ["ExternalSystem", "Field", "ModelCard", "ModelDetails", "ModelVersion", "Retraining", "Signature", "Verification"]


@dataclass(frozen=True)
class Field:
    """One named value of a request or an answer; ``dtype`` is a Polars type by name."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Signature:
    """The compatibility contract: features by name, in the order of the model's matrix, and what it answers."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


@dataclass(frozen=True)
class Verification:
    """The exported model against the original on real rows; ``largest_difference`` is in the answer's unit, relative above one.

    ``rows_with_missing`` counts real rows with a missing value, ``rows_with_gaps`` those in which one was taken away on purpose;
    ``takes_missing`` is false for a model that refuses missing values.
    """

    rows: int
    rows_with_missing: int
    largest_difference: float
    tolerance: float
    rows_with_gaps: int = 0
    takes_missing: bool = True


@dataclass(frozen=True)
class ExternalSystem:
    """A scoring service that was there before Clew. Each row is sent to ``url`` as a JSON object, and ``answer`` is the dotted path to
    its probability in what comes back, names and places of a list: ``predictions.0.probability``; an empty one is the whole answer.

    ``token_env`` names the environment variable of the serving process whose value is sent as bearer token; the value is kept nowhere.
    """

    url: str
    answer: str = "probability"
    timeout_ms: int = 1_000
    token_env: str | None = None

    @classmethod
    def of(cls, url: str, answer: str, timeout: str, token_env: str | None) -> Self:
        """The same with a timeout as people write it, such as ``500ms``. Raises ``Invalid``."""
        return cls(url, answer, round(parse_duration(timeout).total_seconds() * 1_000), token_env)

    @property
    def host(self) -> str:
        """Where it is, for messages: host and port without path and query."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class ModelDetails:
    """``seen_until`` is the newest event time that the model, its tuning included, has seen. A version that is an ``external`` system has
    no files, no export and no features; its ``training_set`` says what is asked and what comes of it, and trained nothing."""

    training_set: VersionRef | None
    views: tuple[UsedView, ...]
    signature: Signature
    flavor: str
    files: str
    onnx: str
    verification: Verification
    recipe: str
    parameters: dict[str, str | int | float | bool | None]
    metrics: dict[str, float]
    trained_from: datetime | None
    trained_to: datetime | None
    seen_until: datetime | None
    refit_of: VersionRef | None = None
    source: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    external: ExternalSystem | None = None


@dataclass(frozen=True)
class ModelVersion:
    """A version with its details typed."""

    version: AssetVersion
    details: ModelDetails


@dataclass(frozen=True)
class Retraining:
    """Whether building a model anew improves it. ``reason`` and ``since``, in event time, where it was found that it doesn't."""

    model: str
    improves: bool
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class ModelCard:
    """A version described for people, in Markdown."""

    reference: str
    markdown: str
