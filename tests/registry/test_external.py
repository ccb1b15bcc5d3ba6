"""An existing system is registered as a version: its address is checked, no secret is kept, and the same one again is the same version."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))  # pytest imports test files by path, and these helpers are imported by name

from small_models import register_model_of

from clew import console
from clew.access.service import list_events
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.cli import app
from clew.errors import Invalid, NotFound, Refused
from clew.registry.loading import load_scorer, load_version
from clew.registry.schema import ExternalSystem, ModelDetails
from clew.registry.service import model_card, model_version, register_external, register_model
from clew.serving import service

URL = "http://127.0.0.1:9000/score"
SCORER = ExternalSystem(URL, "predictions.0.probability", 500, "LATE_TOKEN")


def test_it_is_a_version_like_any_other_without_files_and_features(backend: LocalBackend) -> None:
    made = backend.call(register_external, "late", SCORER)
    assert (str(made.version.ref), made.version.kind, made.version.why) == ("late@1", "model", f"the existing system at {URL}")
    assert made.details.external == SCORER
    assert (made.details.flavor, made.details.files, made.details.onnx, made.details.views) == ("http", "", "", ())
    assert backend.call(model_version, "late", 1) == made
    assert ("version.added", "late@1") in [(one.kind, one.subject) for one in backend.call(list_events).items]


def test_the_same_again_is_the_same_version_and_another_word_of_it_another(backend: LocalBackend) -> None:
    assert backend.call(register_external, "late", SCORER).version.number == 1
    register_model_of(backend, "late", slope=1.0)
    assert backend.call(register_external, "late", SCORER).version.number == 1
    others = [
        ExternalSystem(f"{URL}/2", SCORER.answer, 500, "LATE_TOKEN"), ExternalSystem(URL, "score", 500, "LATE_TOKEN"),
        ExternalSystem(URL, SCORER.answer, 501, "LATE_TOKEN"), ExternalSystem(URL, SCORER.answer, 500),
    ]  # fmt: skip
    assert [backend.call(register_external, "late", one).version.number for one in others] == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://scorer/score", "is no address of a service"), ("scorer:9000/score", "is no address of a service"), ("", "is no address of a service"),
        ("http:///score", "is no address of a service"), ("http://scorer/a b", "is no address of a service"),
        ("http://scorer/a\nb", "is no address of a service"), ("http://scorer:port/", "is no address"), ("http://scorer:99999/", "is no address"),
        ("http://[::1/", "is no address"), ("http://scorer/#part", "behind #"),
        ("http://me:s3cr3t@scorer/score", "holds a user or a password"), ("http://s3cr3t@scorer/score", "holds a user or a password"),
        ("https://scorer/score?api_key=s3cr3t", "holds 'api_key'"), ("https://scorer/score?v=1&access_token=s3cr3t", "holds 'access_token'"),
        ("https://scorer/score?sas=s3cr3t", "holds 'sas'"), ("https://scorer/score;token=s3cr3t", "holds 'token'"),
        ("https://scorer/score?secret-s3cr3t", "holds a parameter"), ("http://me:s3cr3t@scorer:99999/", "is no address"),
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_holds_a_secret_is_refused_and_not_repeated(sqlite_backend: LocalBackend, url: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        sqlite_backend.call(register_external, "late", ExternalSystem(url))
    assert "s3cr3t" not in refused.value.message
    with pytest.raises(NotFound):
        sqlite_backend.call(catalog.resolve, "late")


@pytest.mark.parametrize(
    "url", ["https://scorer/score?version=2", "http://[::1]:9000/", "http://10.0.0.7", "https://Scorer.internal:8443/a/b"]
)
def test_an_address_is_kept_as_it_was_written(sqlite_backend: LocalBackend, url: str) -> None:
    details = sqlite_backend.call(register_external, "late", ExternalSystem(url)).details
    assert details.external is not None and details.external.url == url


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"answer": "a..b"}, "is no path"), ({"answer": ".a"}, "is no path"), ({"timeout_ms": 0}, "lies from 1 to 60000 ms"),
        ({"timeout_ms": 60_001}, "lies from 1 to 60000 ms"), ({"token_env": "Bearer s3cr3t"}, "the name of an environment variable"),
        ({"token_env": ""}, "the name of an environment variable"), ({"token_env": "CLEW_TOKEN"}, "one of Clew's own settings"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused(sqlite_backend: LocalBackend, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        sqlite_backend.call(register_external, "late", ExternalSystem(URL, **changed))
    assert "s3cr3t" not in refused.value.message


def test_its_address_is_checked_by_whichever_way_it_comes(sqlite_backend: LocalBackend) -> None:
    register_model_of(sqlite_backend, "late", slope=1.0)
    details = sqlite_backend.call(model_version, "late", 1).details
    disguised = ModelDetails(**{**vars(details), "external": ExternalSystem("http://me:s3cr3t@scorer/")})
    with pytest.raises(Invalid, match="register_external"):
        sqlite_backend.call(register_model, "late", "sha256:" + "e" * 64, details.onnx, "a test", disguised)


def test_what_can_not_be_done_with_it_is_said(sqlite_backend: LocalBackend) -> None:
    sqlite_backend.call(register_external, "late", SCORER)
    for load in (load_version, load_scorer):
        with pytest.raises(Refused, match=r"late@1 is the existing system at 127\.0\.0\.1:9000: .* no files and no ONNX export"):
            load(sqlite_backend, "late", 1)
    with pytest.raises(Refused, match=r"no gate can judge what can't be asked about the past.*--ungated --reason"):
        sqlite_backend.call(service.deploy, "late", "late@1")
    with pytest.raises(NotFound, match="nothing is named 'rows'"):
        sqlite_backend.call(register_external, "late", SCORER, "rows")
    with pytest.raises(Invalid, match="late@1 is a model, not a training set"):
        sqlite_backend.call(register_external, "late", SCORER, "late")


def test_its_card_says_what_is_sent_where_and_what_is_not_known(sqlite_backend: LocalBackend) -> None:
    sqlite_backend.call(register_external, "late", SCORER)
    card = sqlite_backend.call(model_card, "late", 1).markdown
    assert URL in card and "within 500 ms" in card and "LATE_TOKEN" in card
    assert "no version can be tried beside it" in card and "known to its owners alone" in card


def test_it_is_deployed_and_rolled_back_to_and_a_version_without_its_question_is_not_tried_beside_it(backend: LocalBackend) -> None:
    backend.call(register_external, "late", SCORER)
    route = backend.call(service.deploy_ungated, "late", "late@1", "the existing system")
    assert (route.document.external, route.document.fields, route.document.onnx) == (SCORER, (), "")
    assert backend.call(catalog.resolve, "late@champion").number == 1
    register_model_of(backend, "late", slope=1.0)
    with pytest.raises(Refused, match="takes the request field 'a', which requests to 'late' don't name yet"):
        backend.call(service.try_candidate_ungated, "late", "late@2", "salt", "a test")
    backend.call(service.deploy_ungated, "late", "late@2", "at once")
    assert backend.call(service.rollback, "late").document == route.document


def test_the_command_registers_it_and_says_what_comes_next(local_backend: LocalBackend) -> None:
    def call(*words: str) -> str:
        console.use_json(False)  # as in a process of its own
        done = CliRunner().invoke(app, ["register", "late", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout if "--json" in words else done.output

    shown = call(URL, "--answer", SCORER.answer, "--timeout", "500ms", "--token-env", "LATE_TOKEN")
    assert f"late@1 is the existing system at {URL}" in shown
    assert "nothing can be tried beside it" in shown and "clew deploy late@1 --ungated" in shown
    again = json.loads(call(URL, "--answer", SCORER.answer, "--timeout", "500ms", "--token-env", "LATE_TOKEN", "--json"))
    assert again["version"]["number"] == 1
    assert again["details"]["external"] == {"url": URL, "answer": SCORER.answer, "timeout_ms": 500, "token_env": "LATE_TOKEN"}


def test_a_name_that_is_none_is_refused(sqlite_backend: LocalBackend) -> None:
    with pytest.raises(Invalid):
        sqlite_backend.call(register_external, "Not A Slug", SCORER)
