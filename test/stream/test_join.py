"""Parts of frames put together by their stamps."""

from asymfusion_ros.stream.join import StampJoin


def joined(kept=3, needed=("frame", "mask")):
    join = StampJoin[str]("mask", kept)
    join.needed = needed
    return join


def test_a_frame_is_given_when_every_part_is_there_in_any_order():
    join = joined()
    assert join.add(1, "frame", "f1") == []
    assert join.add(2, "mask", "m2") == []
    assert join.add(1, "mask", "m1") == [(1, {"frame": "f1", "mask": "m1"})]
    assert join.add(2, "frame", "f2") == [(2, {"mask": "m2", "frame": "f2"})]


def test_earlier_ones_go_with_it_if_they_have_a_mask():
    join = joined(kept=9)
    join.add(1, "frame", "not segmented")
    join.add(3, "mask", "its frame was lost")
    join.add(2, "mask", "too")
    join.add(5, "mask", "later")
    join.add(4, "frame", "f")
    assert join.add(4, "mask", "m") == [
        (2, {"mask": "too"}),
        (3, {"mask": "its frame was lost"}),
        (4, {"frame": "f", "mask": "m"}),
    ]
    assert join.add(1, "mask", "m") == []  # its frame is forgotten
    assert join.add(5, "frame", "f") == [
        (1, {"mask": "m"}),
        (5, {"mask": "later", "frame": "f"}),
    ]


def test_what_comes_too_late_is_left_out():
    join = joined()
    join.add(1, "frame", "f")
    join.add(1, "mask", "m")
    assert join.add(1, "confidence", "c") == []
    join.add(2, "frame", "f")
    assert join.add(2, "mask", "m") == [(2, {"frame": "f", "mask": "m"})]


def test_a_recording_that_begins_anew_is_joined_anew():
    join = joined()
    for _ in range(2):
        assert join.add(1, "frame", "f") == []
        assert join.add(1, "mask", "m") == [(1, {"frame": "f", "mask": "m"})]


def test_only_so_many_wait():
    join = joined(kept=2)
    assert join.add(1, "mask", "m1") == []
    assert join.add(2, "frame", "f2") == []
    assert join.add(3, "frame", "f3") == [(1, {"mask": "m1"})]
    assert join.add(4, "frame", "f4") == []  # the second gave way
    assert join.add(2, "mask", "m2") == []
    assert join.add(4, "mask", "m4") == [(2, {"mask": "m2"}), (4, {"frame": "f4", "mask": "m4"})]


def test_what_is_needed_may_change():
    join = joined(needed=("frame",))
    assert join.add(1, "frame", "f") == [(1, {"frame": "f"})]
    join.needed = ("frame", "mask", "confidence")
    join.add(2, "mask", "m")
    join.add(2, "frame", "f")
    assert join.add(2, "confidence", "c") == [(2, {"mask": "m", "frame": "f", "confidence": "c"})]
