"""An existing system as a version of a model: what may be registered, and what is written down of it."""

import hashlib
import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

from clew.catalog.schema import AssetVersion
from clew.errors import Invalid
from clew.feature_store.schema import training_set_details, used_views
from clew.registry.schema import ExternalSystem, Field, ModelDetails, Signature, Verification

__all__ = ["FLAVOR", "checked", "details_of", "question"]

FLAVOR = "http"
_LONGEST_MS = 60_000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"key|token|secret|pass|^pwd?$|credential|bearer|jwt|^sas$|access|^sig|^code$|^auth", re.IGNORECASE)
_OURS = "CLEW_"


def checked(external: ExternalSystem) -> ExternalSystem:
    """The same. Raises ``Invalid`` that says what to mend; secrets stand in no record, so an address may hold none."""
    _check_url(external.url)
    if any(not part for part in external.answer.split(".")) and external.answer:
        raise Invalid(
            f"answer={external.answer!r} is no path: write names and places of a list between dots, such as 'predictions.0.probability'"
        )
    if not 1 <= external.timeout_ms <= _LONGEST_MS:
        raise Invalid(f"a timeout of {external.timeout_ms} ms: it lies from 1 to {_LONGEST_MS} ms, and whoever asks waits so long")
    name = external.token_env
    if name is not None and not _VARIABLE.fullmatch(name):
        raise Invalid("token_env= is the name of an environment variable, such as 'LATE_TOKEN'; the token itself stands nowhere in Clew")
    if name is not None and name.upper().startswith(_OURS):
        raise Invalid(f"token_env={name!r} is one of Clew's own settings, which are sent to nobody; name another variable")
    return external


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        shown = "the address, which holds a user or a password," if "@" in url else f"{url[:200]!r}"
        raise Invalid(f"{shown} is no address; write it whole, such as 'http://scoring.internal:9000/score'") from error
    if parts.username is not None or parts.password is not None:  # said without the address, which holds it
        raise Invalid("the address holds a user or a password, and it would stand in records: take it out, and name token_env=")
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise Invalid(f"{url[:200]!r} is no address of a service; write it whole, such as 'http://scoring.internal:9000/score'")
    _check_as_sent(url)
    named = parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True) + parse_qsl(parts.path.partition(";")[2].replace(";", "&"))
    secret = next(((name, value) for name, value in named if _SECRET.search(name)), None)
    if secret is not None:
        shown = repr(secret[0]) if secret[1] else "a parameter that is named like a secret"  # without a value the name may be the secret
        raise Invalid(f"the address holds {shown}, and it would stand in records: take it out, and name token_env=")
    if parts.fragment:
        raise Invalid(f"{url[:200]!r} has a part behind #, which is never sent; leave it out")


def _check_as_sent(url: str) -> None:
    """As the serving process will read it, which is stricter: a mistake is said now, and not to whoever asks for a prediction."""
    import httpx

    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Invalid(f"{url[:200]!r} is no address: {error}") from error


def details_of(external: ExternalSystem, training: AssetVersion | None) -> ModelDetails:
    """What its version holds."""
    return ModelDetails(
        training_set=None if training is None else training.ref, views=(), signature=Signature((), (Field("probability", "Float64"),)),
        flavor=FLAVOR, files="", onnx="", verification=Verification(0, 0, 0.0, 0.0), recipe=_digest(external), parameters={}, metrics={},
        trained_from=None, trained_to=None, seen_until=None, external=external,
    )  # fmt: skip


def question(training: AssetVersion | None) -> str:
    """What the system is asked and held against, digested: the same while a training set gets new rows and its declarations stay."""
    if training is None:
        return _digest(None)
    views = training_set_details(training).views
    return _digest([training.name, training.definition_digest, [[use.view, use.definition_digest] for use in used_views(views)]])


def _digest(content: object) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
