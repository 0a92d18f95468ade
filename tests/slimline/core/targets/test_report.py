import pytest

from slimline.core.targets.report import accelerated_share, place, summarize
from tests.operators import operator


def refuses(*ops):
    return lambda given: f"no {given.op}" if given.op in ops else ""


NODES = [operator("A", macs=6), operator("B", macs=3), operator("A", macs=1)]


def test_every_operation_is_placed_on_its_own():
    placements = place(NODES, refuses("B"))
    assert [(one.op, one.is_accelerated, one.reason) for one in placements] == [
        ("A", True, ""),
        ("B", False, "no B"),
        ("A", True, ""),
    ]
    assert accelerated_share(placements) == pytest.approx(0.7)


def test_after_a_split_nothing_is_accelerated_and_each_has_its_own_reason():
    placements = place(NODES, refuses("B"), splits_once=True)
    assert [one.reason for one in placements] == ["", "no B", "it comes after an operation that runs on the CPU"]
    assert accelerated_share(placements) == pytest.approx(0.6)


def test_without_any_work_the_share_is_that_of_the_operations():
    assert accelerated_share(place([operator("A"), operator("B")], refuses("B"))) == 0.5
    assert accelerated_share(()) == 0


def test_a_reason_stands_once_with_the_operations_that_it_holds_for():
    same = place([operator("A"), operator("B"), operator("A")], lambda given: "it is odd")
    assert summarize(same) == ("A (2), B: it is odd",)
    assert summarize(place(NODES, refuses("A", "B"))) == ("A (2): no A", "B: no B")
    assert summarize(place(NODES, refuses())) == ()


def test_an_operation_without_output_is_placed_too():
    assert place([operator("A", outputs=())], refuses())[0].tensor == ""
