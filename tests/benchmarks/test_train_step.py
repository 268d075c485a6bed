"""Measuring steps: what is ready for a GPU runs here on the mini shape, from the command's options to its report."""

import argparse
import json

from benchmarks.steps.shapes import SHAPES
from benchmarks.train_step import CASES, run_case


def test_a_case_is_measured_by_the_steps_of_a_training() -> None:
    options = argparse.Namespace(recipe=None, side=32, batch=2, steps=2, warm_up=1)
    report = json.loads(json.dumps(run_case("mini", options)))
    assert report["case"]["recipe"] == "mini_lora"
    assert report["samples_per_second"] > 0
    assert report["tflop_per_sample"] > 0
    assert report["trainable"] > 0
    assert report["loss"] > 0
    assert report["bars"] == []


def test_every_case_has_a_shape_and_asks_something_of_a_gpu() -> None:
    assert {case.shape for case in CASES.values()} <= SHAPES.keys()
    for name, case in CASES.items():
        assert name == "mini" or case.utilisation or case.device_gib
