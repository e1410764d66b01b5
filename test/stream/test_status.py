"""A node's status: parts put together by task, the worst fault deciding."""

from asymfusion_ros.stream.status import Fault, Level, Report, StatusParts


def test_levels_are_those_of_diagnostic_msgs():
    assert [(level.name, int(level)) for level in Level] == [
        ("OK", 0),
        ("WARN", 1),
        ("ERROR", 2),
        ("STALE", 3),
    ]


def test_a_task_has_the_faults_and_values_of_its_parts():
    parts = StatusParts("segmentation")
    parts.add(lambda now: Report((Fault(Level.WARN, "late"),), {"state": "active", "rate": 3}))
    parts.add(lambda now: Report((Fault(Level.ERROR, "blocked"),), {"rate": now}))
    parts.add(lambda now: Report(values={"fps": 30}), task="front")
    reports = parts.reports(7.0)
    assert list(reports) == ["segmentation", "front"]
    assert reports["segmentation"].level == Level.ERROR
    assert reports["segmentation"].message == "blocked; late"
    assert reports["segmentation"].values == {"state": "active", "rate": 7.0}
    assert (reports["front"].level, reports["front"].message) == (Level.OK, "")


class Camera:
    def part(self, now):
        return Report(values={"camera": 1})


def test_a_part_that_was_removed_is_not_asked():
    parts, camera = StatusParts("segmentation"), Camera()
    parts.add(lambda now: Report(values={"state": "active"}))
    parts.add(camera.part)
    parts.remove(camera.part)
    parts.remove(camera.part)
    assert parts.reports(0.0)["segmentation"].values == {"state": "active"}
