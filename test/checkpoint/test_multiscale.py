"""`asymfusion multiscale`: a checkpoint that averages several views of a frame, wherever it runs."""

import json
from dataclasses import replace

import cv2
import pytest
import torch
from helpers import EXPORTED, SPEC, random_frame, refused, tiny_config, write_checkpoint, write_folder
from unets import register_tiny_unet, write_translation_checkpoint

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.packaged import packaged


def multiscale(*arguments):
    return main(["multiscale", *map(str, arguments)])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(a checkpoint with inputs of 64x48, the same with views of 80x64, 64x48 and 32x24, mirrored too)"""
    folder = tmp_path_factory.mktemp("multiscale")
    plain = write_checkpoint(folder / "plain.safetensors", EXPORTED)
    made = folder / "made.safetensors"
    assert multiscale(plain, "--scales", 0.5, 1.0, 1.25, "--flip", "--output", made) == 0
    return plain, made


def test_the_largest_view_is_the_input_and_the_others_are_shares_of_it(files, capsys):
    plain, made = files
    before, after = load_checkpoint(plain), load_checkpoint(made)
    spec = after.input_spec
    assert (spec.height, spec.width, spec.view_flip) == (64, 80, True)  # 60 lies between two eights: the even
    assert spec.view_scales == pytest.approx((0.4, 0.8, 1.0))
    assert replace(spec, height=48, width=64, view_scales=(1.0,), view_flip=False) == before.input_spec
    assert all(torch.equal(after.state_dict[name], value) for name, value in before.state_dict.items())
    assert main(["info", str(made)]) == 0
    # 2 x (80 x 64 + 64 x 48 + 32 x 24) / (80 x 64)
    assert "64 x 80, 48 x 64, 24 x 32, mirrored too: 3.5 times the FLOPs below" in capsys.readouterr().out


def test_what_it_costs_is_said(files, tmp_path, capsys):
    assert multiscale(files[0], "--flip", "--output", tmp_path / "made.safetensors") == 0
    said = capsys.readouterr().out
    assert "predicted at 64x48, mirrored too: 2.0 times the work of" in said
    assert "not calibrated" in said


def test_the_engine_averages_the_views(files):
    """By hand: the network's own call of each view, on the engine's input."""
    plain, made = files
    segmenter = Segmenter.from_checkpoint(made, device="cpu", precision="fp32")
    frame = random_frame()
    images = segmenter.images(frame)
    inputs = segmenter.preprocess(images, segmenter.upload(images))
    network = load_checkpoint(plain).build()
    with torch.inference_mode():
        total = torch.zeros(1, 3, 16, 20)
        for size in ((64, 80), (48, 64), (24, 32)):
            rgb = torch.nn.functional.interpolate(inputs["rgb"], size, mode="bilinear", antialias=True)
            depth = torch.nn.functional.interpolate(inputs["depth"], size, mode="nearest-exact")
            for mirrored in (False, True):
                given = [x.flip(-1) if mirrored else x for x in (rgb, depth)]
                logits = network(given).ensemble
                logits = logits.flip(-1) if mirrored else logits
                total += torch.nn.functional.interpolate(logits, (16, 20), mode="bilinear").softmax(1) / 6
        found = segmenter.infer(inputs)
    torch.testing.assert_close(found.exp(), total, rtol=1e-3, atol=1e-4)
    result = segmenter.segment(frame, disagreement=True).numpy()
    assert result.labels.shape == frame["rgb"].shape[:2]
    assert result.confidence.max() > 0
    assert result.disagreement is not None


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(a checkpoint of colour images with views of 64x48 and 32x24, mirrored too, and its export)"""
    folder = tmp_path_factory.mktemp("exported_views")
    plain = write_checkpoint(folder / "plain.safetensors", replace(EXPORTED, modalities=("rgb",)))
    made, output = folder / "made.safetensors", folder / "exported.onnx"
    assert multiscale(plain, "--scales", 0.5, 1.0, "--flip", "--output", made) == 0
    frames = write_folder(folder / "data", 3)
    assert main(["export", str(made), "--output", str(output), "--size", "64x48", "--data", str(frames)]) == 0
    return made, output


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_an_export_has_the_views_in_its_graph(exported, backend):
    made, output = exported
    reference = Segmenter.from_checkpoint(made, device="cpu", precision="fp32", backend="torch")
    ours = Segmenter.from_checkpoint(output, precision="fp32", backend=backend)
    given = {"rgb": random_frame()["rgb"]}
    images = reference.images(given)
    inputs = reference.preprocess(images, reference.upload(images))
    found, expected = (one.infer(inputs).exp() for one in (ours, reference))
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-4)
    labels, theirs = (one.segment(given).numpy().labels for one in (ours, reference))
    assert (labels == theirs).mean() > 0.99


def test_evaluate_scores_what_the_engine_shows(files, tmp_path):
    _, made = files
    folder = write_folder(tmp_path / "data", 4)
    report = tmp_path / "report.json"
    assert main(["evaluate", str(made), "--data", str(folder), "--json", str(report)]) == 0
    accuracy = json.loads(report.read_text())["branches"]["ensemble"]["pixel_accuracy"]
    segmenter = Segmenter.from_checkpoint(made, device="cpu", precision="fp32")
    same = total = 0
    for name in ("frame0", "frame1"):
        rgb = cv2.imread(str(folder / "rgb" / f"{name}.png"))[..., ::-1].copy()
        depth = cv2.imread(str(folder / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        label = cv2.imread(str(folder / "label" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        labels = segmenter(rgb, depth).numpy().labels
        same, total = same + int((labels == label).sum()), total + label.size
    assert accuracy == pytest.approx(same / total, abs=1e-3)


def test_what_was_measured_of_one_view_is_left_out(tmp_path):
    plain = write_checkpoint(tmp_path / "plain.safetensors", EXPORTED)
    measured = {"val": {"ensemble": {"mean_iou": 0.3}}, "calibrated": {"frames": 2}}
    before = replace(load_checkpoint(plain), temperatures={"rgb": 2.0})
    replace(before, provenance={**before.provenance, **measured}).save(plain)
    made = tmp_path / "made.safetensors"
    assert multiscale(plain, "--flip", "--output", made) == 0
    after = load_checkpoint(made)
    assert after.temperatures == {}
    assert after.provenance == {**before.provenance, "views_of": "plain.safetensors"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one size and no mirror image is what the checkpoint does"),
        (("--scales", "0", "1"), "--scales: 0 is not a factor above 0"),
        (("--scales", "nan", "1"), "--scales: nan is not a factor above 0"),
        (("--scales", "1", "20"), "--scales: 20 is not a factor above 0 and at most 8"),
        (("--scales", "1", "1.01"), "--scales: 1 and 1.01 are both 64x48, in steps of 8 pixels: give one"),
        (("--scales", "1.01"), "one size and no mirror image is what the checkpoint does"),
        (("--scales", *(f"{0.2 * i:.1f}" for i in range(1, 10))), "9 sizes are too many: use at most 8"),
    ],
)
def test_views_that_are_not_possible_are_refused(files, tmp_path, capsys, arguments, message):
    output = tmp_path / "made.safetensors"
    assert message in refused(capsys, "multiscale", files[0], *arguments, "--output", output)
    assert not output.exists()


def test_views_of_views_are_refused(files, tmp_path, capsys):
    said = refused(capsys, "multiscale", files[1], "--flip", "--output", tmp_path / "made.safetensors")
    assert "already averages several views" in said
    folder = write_folder(tmp_path / "data", 8)
    said = refused(capsys, "evaluate", files[1], "--data", folder, "--flip")
    assert "made.safetensors averages several views by itself: leave out --scales and --flip" in said
    options = ("--set", f"teachers=[{files[1]}]", "--set", "pretrained=none", "--output", tmp_path / "run")
    said = refused(capsys, "train", "--data", folder, "--device", "cpu", "--workers", "0", *options)
    assert "averages several views by itself: give the checkpoint that it was made of" in said


def test_another_suffix_is_refused(files, tmp_path, capsys):
    """As an .onnx file it would be read as what it is not."""
    said = refused(capsys, "multiscale", files[0], "--flip", "--output", tmp_path / "made.onnx")
    assert "name the checkpoint to write, a .safetensors file" in said
    said = refused(capsys, "soup", files[0], files[1], "--output", tmp_path / "made.onnx")
    assert "name the checkpoint to write, a .safetensors file" in said


def test_a_recipe_with_views_trains_one_and_scores_their_mean(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8}\n"
        "input: {height: 48, width: 64, view_scales: [1.0, 0.5], view_flip: true}\n"
        "pretrained: none\nepochs: 1\nbatch: 4\n"
    )
    folder, run = write_folder(tmp_path / "data", 4), tmp_path / "run"
    words = [
        "train",
        "--data",
        folder,
        "--recipe",
        recipe,
        "--output",
        run,
        "--workers",
        "0",
        "--device",
        "cpu",
    ]
    assert main([str(word) for word in words]) == 0
    checkpoint = load_checkpoint(run / "last.safetensors")
    assert (checkpoint.input_spec.view_scales, checkpoint.input_spec.view_flip) == ((1.0, 0.5), True)
    report = tmp_path / "report.json"
    assert (
        main(["evaluate", str(run / "last.safetensors"), "--data", str(folder), "--json", str(report)]) == 0
    )
    told = json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    again = json.loads(report.read_text())["branches"]["ensemble"]["mean_iou"]
    assert again == pytest.approx(told["val"]["ensemble"]["mean_iou"], abs=0.01)  # stored in half precision


def test_directions_are_not_mirrored(tmp_path, capsys):
    plain = write_checkpoint(tmp_path / "plain.safetensors", tiny_config(("normal", "depth")))
    said = refused(capsys, "multiscale", plain, "--flip", "--output", tmp_path / "made.safetensors")
    assert "a mirror image of normal shows other directions" in said


def test_images_are_not_averaged(tmp_path, monkeypatch, capsys):
    register_tiny_unet(monkeypatch)
    plain = write_translation_checkpoint(tmp_path / "plain.safetensors")
    said = refused(capsys, "multiscale", plain, "--flip", "--output", tmp_path / "made.safetensors")
    assert "average masks, and unet makes images" in said


@pytest.mark.parametrize("scales", [(), (0.5,), (1.0, 1.5), (0.0, 1.0), (1.0, 1.0)])
def test_a_spec_of_other_scales_is_refused(scales):
    with pytest.raises(ConfigError, match="view_scales: .* must be different factors above 0"):
        InputSpec(view_scales=scales)


def test_a_checkpoint_without_views_says_nothing_of_them():
    assert not {"view_scales", "view_flip"} & set(SPEC.to_dict())
    spec = replace(SPEC, view_scales=(1, 0.5), view_flip=True)
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_packages_accurate_checkpoint_is_the_default_with_views():
    default, accurate = (load_checkpoint(name) for name in ("default", "accurate"))
    assert default.state_dict.keys() == accurate.state_dict.keys()
    assert all(torch.equal(accurate.state_dict[name], value) for name, value in default.state_dict.items())
    assert not default.input_spec.several_views
    assert list(dict.fromkeys(accurate.view_sizes)) == [(448, 600), (360, 480), (272, 360)]
    assert accurate.views.flip
    assert accurate.temperatures.keys() == {"rgb+depth", "rgb", "depth"}
    assert {check.precision for check in accurate.precision_checks} == {"fp16", "bf16"}
    files = packaged()["default"].parent.iterdir()
    assert sum(file.stat().st_size for file in files) < 30e6  # what a robot downloads
