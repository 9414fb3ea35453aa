"""Events lie in the namespace of what they are about."""

import pytest

from controlplane.kinds.core.event import KIND


@pytest.mark.parametrize(
    ("about", "namespace", "is_valid"),
    [
        pytest.param("d", "d", True, id="same"),
        pytest.param("d", "e", False, id="other"),
        pytest.param("", "default", True, id="cluster_wide"),
        pytest.param("", "d", False, id="cluster_wide_elsewhere"),
    ],
)
def test_where_an_event_may_lie(about: str, namespace: str, is_valid: bool) -> None:
    event = {
        "metadata": {"name": "e", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": about},
    }
    causes = KIND.validate(event)
    assert [cause.field for cause in causes] == ([] if is_valid else ["involvedObject.namespace"])


def test_the_object_column_names_what_it_is_about() -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"}}
    cell = next(column.cell for column in KIND.columns if column.name == "Object")
    assert cell(event, 0.0) == "pod/p"
