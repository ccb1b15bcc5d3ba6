"""The catalog's rules: versions by pair, aliases with history, lineage both ways, definitions that replace each other."""

import pytest

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, DefinitionChange, DefinitionDraft, VersionRef
from clew.definitions import DatasetDefinition, FunctionRef, definition_digest, to_document
from clew.errors import Conflict, Invalid, NotFound
from clew.fields import FieldChange
from clew.operations import encode_cursor


def add(
    backend: LocalBackend, name: str, content: str, *, kind: str = "dataset", inputs: tuple[tuple[VersionRef, str], ...] = ()
) -> AssetVersion:
    return backend.context(backend.project).run_write(
        lambda context: catalog.add_version(
            context,
            kind=kind,  # type: ignore[arg-type]
            name=name,
            definition_digest="sha256:d",
            content_digest=content,
            why="a test",
            details={},
            inputs=inputs,
        )
    )


def test_the_same_pair_again_is_the_same_number(backend: LocalBackend) -> None:
    first, again, second = add(backend, "landings", "a"), add(backend, "landings", "a"), add(backend, "landings", "b")
    assert (first.number, again.number, second.number) == (1, 1, 2)


def test_a_name_belongs_to_one_kind(backend: LocalBackend) -> None:
    add(backend, "late", "a")
    with pytest.raises(Conflict, match="is a dataset"):
        add(backend, "late", "b", kind="model")


def test_a_version_that_is_not_there_says_what_is(backend: LocalBackend) -> None:
    add(backend, "landings", "a")
    with pytest.raises(NotFound, match="its newest is landings@1"):
        backend.call(catalog.get_version, "landings", 9)


def test_a_reference_resolves_by_number_alias_or_newest(backend: LocalBackend) -> None:
    for content in "abc":
        add(backend, "late", content)
    backend.call(catalog.set_alias, "late", "champion", 2)
    assert [backend.call(catalog.resolve, reference).number for reference in ("late@1", "late@champion", "late")] == [1, 2, 3]
    with pytest.raises(NotFound, match="it has champion"):
        backend.call(catalog.resolve, "late@challenger")


def test_a_name_without_a_version_is_told_apart_from_one_that_nothing_declares(backend: LocalBackend) -> None:
    add(backend, "landings", "a")
    drafts = [DefinitionDraft(kind, name, "sha256:a", {}) for kind, name in (("model", "late"), ("dataset", "weather"))]
    backend.call(catalog.apply_definitions, drafts, source=None)
    for name, says in [
        ("late", "has a version yet; `clew build late` makes one"),
        ("weather", "has a version yet; `clew ingest weather <file>` makes one"),
        ("landing", "declares it; near it is landings"),
        ("nope", "declares it; there are landings, late, weather"),
    ]:
        with pytest.raises(NotFound, match=says):
            backend.call(catalog.resolve, name)


def test_an_alias_keeps_its_history(backend: LocalBackend) -> None:
    for content in "ab":
        add(backend, "late", content)
    for number in (1, 2, 1):
        backend.call(catalog.set_alias, "late", "champion", number)
    assert [(move.previous, move.number) for move in backend.call(catalog.alias_history, "late").items] == [(2, 1), (1, 2), (None, 1)]
    assert backend.call(catalog.get_version, "late", 1).aliases == ("champion",)


def test_an_alias_that_an_endpoint_owns_is_not_set_by_hand(backend: LocalBackend) -> None:
    add(backend, "late", "a")
    backend.context("test").run_write(lambda context: catalog.move_alias(context, "late", "champion", 1, owner="endpoint late"))
    with pytest.raises(Conflict, match="moves with its route"):
        backend.call(catalog.set_alias, "late", "champion", 1)


def test_a_number_is_no_alias(backend: LocalBackend) -> None:
    add(backend, "late", "a")
    with pytest.raises(Invalid, match="a number names a version"):
        backend.call(catalog.set_alias, "late", "7", 1)


def test_lineage_walks_up_and_down(backend: LocalBackend) -> None:
    landings = add(backend, "landings", "a")
    training = add(backend, "training", "b", inputs=((landings.ref, "spine"),))
    late = add(backend, "late", "c", inputs=((training.ref, "training"),))
    graph = backend.call(catalog.lineage, "training", 1)
    assert {str(node.ref) for node in graph.nodes} == {"landings@1", "training@1", "late@1"}
    assert {(str(edge.source), str(edge.target), edge.role) for edge in graph.edges} == {
        ("landings@1", "training@1", "spine"),
        ("training@1", "late@1", "training"),
    }
    up_only = backend.call(catalog.lineage, "training", 1, downstream=False)
    assert str(late.ref) not in {str(node.ref) for node in up_only.nodes}


def draft(name: str, digest: str, kind: str = "dataset") -> DefinitionDraft:
    return DefinitionDraft(kind, name, digest, {"name": name})


def test_apply_says_what_changed_and_removes_only_when_told(backend: LocalBackend) -> None:
    backend.call(catalog.apply_definitions, [draft("a", "1"), draft("b", "1")])
    changed = backend.call(catalog.apply_definitions, [draft("a", "2"), draft("c", "1")])
    assert {(change.name, change.change) for change in changed.changes} == {("a", "changed"), ("c", "added"), ("b", "would_remove")}
    assert {item.name for item in backend.call(catalog.list_definitions).items} == {"a", "b", "c"}
    backend.call(catalog.apply_definitions, [draft("a", "2"), draft("c", "1")], prune=True)
    assert {item.name for item in backend.call(catalog.list_definitions).items} == {"a", "c"}


def test_apply_says_which_fields_are_declared_otherwise_and_whether_the_code_is_another(backend: LocalBackend) -> None:
    def apply(zone: str, code: str) -> DefinitionChange:
        declared = DatasetDefinition("landings", ("flight",), "landed", None, FunctionRef("m", "f", "m.py"), zone)
        draft = DefinitionDraft("dataset", "landings", definition_digest(declared, code), to_document(declared), code)
        return backend.call(catalog.apply_definitions, [draft]).changes[0]

    assert (apply("UTC", "1").change, apply("UTC", "1").change) == ("added", "unchanged")
    moved = apply("America/New_York", "1")
    assert (moved.change, moved.fields, moved.code) == ("changed", [FieldChange("zone", "UTC", "America/New_York")], False)
    assert (apply("America/New_York", "2").words, apply("UTC", "1").words) == (
        ["its code changed"], ["zone America/New_York → UTC", "its code changed"]
    )  # fmt: skip


def test_a_dry_run_changes_nothing(backend: LocalBackend) -> None:
    result = backend.call(catalog.apply_definitions, [draft("a", "1")], dry_run=True)
    assert [change.change for change in result.changes] == ["added"]
    assert backend.call(catalog.list_definitions).items == []


def test_two_assets_of_one_name_are_refused(backend: LocalBackend) -> None:
    with pytest.raises(Conflict, match="two assets are named 'late'"):
        backend.call(catalog.apply_definitions, [draft("late", "1"), draft("late", "2", kind="model")])


def test_a_list_goes_on_where_its_cursor_stands(backend: LocalBackend) -> None:
    for number in range(5):
        add(backend, f"d{number}", "a")
    first = backend.call(catalog.list_assets, limit=3)
    rest = backend.call(catalog.list_assets, limit=3, cursor=first.next_cursor)
    assert [asset.name for asset in first.items + rest.items] == [f"d{number}" for number in range(5)]
    assert rest.next_cursor is None


def test_a_cursor_that_no_list_gave_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(Invalid, match="not a cursor"):
        backend.call(catalog.list_assets, cursor="%%%")


@pytest.mark.parametrize("position", [{}, {"number": "x"}, {"name": [1]}, {"number": 2**70}])
def test_a_cursor_of_another_list_is_refused_and_no_crash(backend: LocalBackend, position: dict[str, object]) -> None:
    add(backend, "late", "a")
    cursor = encode_cursor(position)
    for refused in (
        lambda: backend.call(catalog.list_versions, "late", cursor=cursor),
        lambda: backend.call(catalog.list_assets, cursor=cursor),
    ):
        with pytest.raises(Invalid):
            refused()
