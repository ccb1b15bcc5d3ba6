"""Saved views belong to a project, and a name holds one."""

import pytest

from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound
from clew.tracking.saved_views import delete_view, list_views, save_view


def test_a_view_is_kept_under_its_name_until_it_is_deleted(backend: LocalBackend) -> None:
    backend.call(save_view, "worst-first", page="runs", address="order=metrics.auc")
    backend.call(save_view, "best-first", page="runs", address="order=-metrics.auc")
    assert [(view.name, view.address) for view in backend.call(list_views).items] == [
        ("best-first", "order=-metrics.auc"),
        ("worst-first", "order=metrics.auc"),
    ]
    backend.call(delete_view, "worst-first")
    assert [view.name for view in backend.call(list_views).items] == ["best-first"]
    with pytest.raises(NotFound, match="no saved view 'worst-first'"):
        backend.call(delete_view, "worst-first")


def test_saving_under_a_name_again_replaces_what_it_held(backend: LocalBackend) -> None:
    backend.call(save_view, "mine", page="runs", address="differs=true")
    backend.call(save_view, "mine", page="runs", address="filter=a")
    (view,) = backend.call(list_views).items
    assert (view.address, view.saved_by) == ("filter=a", "local")


@pytest.mark.parametrize(("name", "address"), [("two words", ""), ("a/b", ""), ("long", "x" * 8_001)])
def test_a_name_that_is_no_slug_and_an_endless_address_are_refused(backend: LocalBackend, name: str, address: str) -> None:
    with pytest.raises(Invalid):
        backend.call(save_view, name, page="runs", address=address)
