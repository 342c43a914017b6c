import pytest

from avatar_inference.throughput import Throughput


def test_the_slowest_stage_decides() -> None:
    throughput = Throughput({"engine": 1, "encode": 2})
    assert throughput.frames_per_second == 0
    throughput.observe("engine", 8, 0.01)
    assert throughput.frames_per_second == pytest.approx(800)
    throughput.observe("encode", 2, 0.01)
    assert throughput.frames_per_second == pytest.approx(400)


def test_one_hiccup_does_not_change_much_but_a_lasting_change_does() -> None:
    throughput = Throughput({"engine": 1})
    throughput.observe("engine", 100, 1)
    throughput.observe("engine", 1, 1)
    assert throughput.frames_per_second > 85
    for _ in range(60):
        throughput.observe("engine", 1, 1)
    assert throughput.frames_per_second == pytest.approx(1, abs=0.5)
