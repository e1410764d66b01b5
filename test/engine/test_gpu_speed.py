"""What test/gpu_speed.py makes of the numbers, which it measures on a GPU."""

from gpu_speed import BASE, add_ratios, show


def reported(network, total):
    return {"milliseconds": {"network": {"p50": network}, "total": {"p50": total, "p95": total + 1}}}


def test_ratios_are_to_the_base_and_a_way_that_failed_is_shown(capsys):
    results = {
        BASE.name: reported(8.0, 10.0),
        "fast": reported(2.0, 4.0),
        "broken": {"error": "asymfusion export: error: no TensorRT"},
    }
    add_ratios(results)
    assert results["fast"]["times_base"] == {"network": 4.0, "total": 2.5}
    assert results[BASE.name]["times_base"] == {"network": 1.0, "total": 1.0}
    show({"default": results})
    table = capsys.readouterr().out.splitlines()
    assert table[3].split()[-4:] == ["2.00", "4.00", "5.00", "2.5"]
    assert table[4].endswith("no TensorRT")
