"""The numbers of a run: by modality, under names of their own, and as a line."""

from asymfusion_ros.stream.counters import Counters


def test_images_are_counted_by_modality_and_kept_when_the_modalities_change():
    counters = Counters()
    counters.expect(("rgb", "depth"))
    counters.received["depth"] += 2
    counters.expect(("depth", "thermal"))
    counters.received["thermal"] += 1
    assert counters.to_dict() == {
        "received_rgb": 0,
        "received_depth": 2,
        "received_thermal": 1,
        **dict.fromkeys(("rejected", "paired", "incomplete", "dropped", "unsubscribed"), 0),
        **{"failed": 0, "segmented": 0, "framed": 0, "skipped": 0, "unpaired": 3},
    }


def test_images_in_no_frame_are_unpaired_unless_they_were_rejected():
    counters = Counters({"rgb": 10, "depth": 8}, rejected=2, framed=14)
    assert counters.to_dict()["unpaired"] == 2
    counters.published["mask"] = 7
    assert counters.to_dict()["published_mask"] == 7


def test_the_summary_names_every_number():
    counters = Counters({"rgb": 9, "depth": 8}, 1, 7, 2, 3, 4, 5, 6, skipped=8)
    line = counters.summary()
    assert line.startswith(
        "received 9 rgb and 8 depth images, rejected 1, paired 7, incomplete 2, segmented 6, "
    )
    assert line.endswith("dropped for a newer frame 3, skipped 8, without a subscriber 4, failed 5")
