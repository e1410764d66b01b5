"""Distillation from teacher checkpoints: the soft labels on disk, in step with the frame, and in the loss."""

import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import torch
from helpers import SPEC, refused, tiny_config, write_checkpoint, write_folder
from safetensors.torch import load_file

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.modality import modality
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import NetworkOutput, build_network
from asymfusion_training.data.augment import augmented
from asymfusion_training.data.change import Augmentation
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.held_frames import HeldFrames
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.data.soft_labels import SoftLabels, soft_window
from asymfusion_training.evaluation.live_network import live
from asymfusion_training.evaluation.predict import ensemble_probabilities
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings
from asymfusion_training.tasks.segmentation.teacher_loss import teacher_loss
from asymfusion_training.tasks.segmentation.teachers import Teachers

RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8, dropout: 0}
input: {height: 48, width: 64}
pretrained: none
epochs: 1
batch: 4
teacher_scales: [1.0]
"""


@pytest.fixture
def folder(tmp_path):
    return Folder(write_folder(tmp_path / "data", frames=4))


@pytest.fixture
def teacher(tmp_path):
    return str(write_checkpoint(tmp_path / "teacher.safetensors"))


def teachers(folder, cache, *paths, **settings):
    fabric = make_fabric("cpu")
    fabric.launch()
    task = SegmentationSettings(teachers=paths, **{"teacher_scales": (1.0,), **settings})
    return Teachers(task, folder, folder.names("train"), SPEC, cache, fabric)


def written(cache):
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("*.png")}


# --- the folder of soft labels


def test_a_file_is_the_mean_of_the_teachers_over_their_views(folder, tmp_path, teacher):
    other = write_checkpoint(tmp_path / "rgb.safetensors", tiny_config(("rgb",)))
    views = {"teacher_scales": (1.0, 1.5), "teacher_flip": True}
    labels = teachers(folder, tmp_path / "cache", teacher, str(other), **views).prepare()
    images = {}
    frame = folder.read("frame1")
    images["rgb"] = torch.from_numpy(frame.images["rgb"]).permute(2, 0, 1)[None]
    images["depth"] = torch.from_numpy(frame.images["depth"])[None, None]
    expected = torch.zeros(3, 12, 16)
    for path, names in ((teacher, ("rgb", "depth")), (other, ("rgb",))):
        with live(load_checkpoint(path).build()) as backend:
            given = {name: images[name] for name in names}
            expected += ensemble_probabilities(backend, SPEC, given, (12, 16), (1.0, 1.5), True) / 2
    found = labels.read("frame1")
    assert found.dtype == torch.uint8 and found.shape == (3, 12, 16)
    assert (expected.sum(0) - 1).abs().max() < 1e-5
    assert (found / 255 - expected).abs().max() <= 1 / 510 + 1e-4


def test_the_cache_resumes(folder, tmp_path, teacher, capsys):
    cache = tmp_path / "cache"
    teachers(folder, cache, teacher).prepare()
    before = written(cache)
    assert sorted(before) == [f"frame{i}.png" for i in range(4)]
    (cache / "frame2.png").unlink()  # as a run that was killed leaves it
    (cache / "frame2.png.partial").write_bytes(b"half")
    teachers(folder, cache, teacher).prepare()
    after = written(cache)
    assert {name for name in after if after[name] != before.get(name)} == {"frame2.png"}
    assert not list(cache.glob("*.partial"))
    assert "again" not in capsys.readouterr().out


HOLDER = """
import pathlib, sys
from asymfusion_training.folder_lock import locked, share
folder = pathlib.Path(sys.argv[2])
if sys.argv[1] == "reads":
    share(folder)
    print("now", flush=True)
    sys.stdin.readline()
else:
    with locked(folder):
        print("now", flush=True)
        sys.stdin.readline()
        (folder / "frame3.png").write_bytes((folder / "frame2.png").read_bytes())
"""


@contextmanager
def another_process(does, cache):
    """It ``reads`` the cache or ``fills`` it, until it gets a line."""
    command = [sys.executable, "-c", HOLDER, does, str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "now\n"
            yield process
        finally:
            process.kill()


def test_a_cache_that_another_run_reads_stays_as_it_is(folder, tmp_path, teacher, capsys):
    cache = tmp_path / "cache"
    teachers(folder, cache, teacher).prepare()
    before = written(cache)
    with another_process("reads", cache):
        teachers(folder, cache, teacher).prepare()  # the same teachers: both may
        with pytest.raises(UserError, match="another run reads .* made with other flip: .*--teacher-cache"):
            teachers(folder, cache, teacher, teacher_flip=False).prepare()
        assert written(cache) == before
    teachers(folder, cache, teacher, teacher_flip=False).prepare()
    assert written(cache) != before


def test_a_run_waits_for_the_one_that_fills_the_cache(folder, tmp_path, teacher, capsys):
    cache = tmp_path / "cache"
    teachers(folder, cache, teacher).prepare()
    (cache / "frame3.png").unlink()
    before = written(cache)
    with another_process("fills", cache) as other, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(teachers(folder, cache, teacher).prepare)
        while "another run fills" not in capsys.readouterr().out:
            assert not waiting.done()
        other.stdin.write("\n")
        other.stdin.flush()
        waiting.result()
    after = written(cache)
    assert {name: after[name] for name in before} == before  # and it made nothing twice
    assert (cache / "frame3.png").read_bytes() == (cache / "frame2.png").read_bytes()


def test_what_the_files_depend_on_makes_them_anew(folder, tmp_path, teacher, capsys):
    cache = tmp_path / "cache"
    other = str(
        write_checkpoint(
            tmp_path / "other.safetensors", **{"decoder.classifier.bias": torch.tensor([0.0, 9.0, 0.0])}
        )
    )
    teachers(folder, cache, teacher).prepare()
    first = SoftLabels(cache, 3).read("frame0")
    capsys.readouterr()
    cases = (
        ((other,), {}, "teachers"),
        ((other, teacher), {}, "teachers"),
        ((other, teacher), {"teacher_scales": (1.5,)}, "scales"),
        ((other, teacher), {"teacher_scales": (1.5,), "teacher_flip": False}, "flip"),
    )
    for paths, settings, named in cases:
        before = written(cache)
        teachers(folder, cache, *paths, **settings).prepare()
        after = written(cache)
        assert after.keys() == before.keys() and all(after[name] > before[name] for name in after)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"teachers: {cache} was made with other {named}: it is made again"
        assert lines[1:] == [f"teachers: their predictions for 4 frames go to {cache}"]
    assert not torch.equal(SoftLabels(cache, 3).read("frame0"), first)
    cv2.imwrite(str(folder.root / "rgb" / "frame3.png"), np.zeros((48, 64, 3), np.uint8))
    teachers(folder, cache, *paths, **settings).prepare()
    assert "other frames" in capsys.readouterr().out
    (folder.root / "train.txt").write_text("frame0\nframe1\n")
    teachers(folder, cache, *paths, **settings).prepare()
    assert "other frames" in capsys.readouterr().out and len(written(cache)) == 2


def test_a_teacher_s_temperature_and_weight_make_nothing_anew(folder, tmp_path, teacher):
    teachers(folder, tmp_path / "cache", teacher).prepare()
    before = written(tmp_path / "cache")
    settings = {"teacher_temperature": 3.0, "teacher_weight": 0.1}
    teachers(folder, tmp_path / "cache", teacher, **settings).prepare()
    assert written(tmp_path / "cache") == before


# --- in step with the frame

HEIGHT, WIDTH = 96, 128


def ramps():
    """Soft labels that say where a pixel is: its row, its column, and the rest to 1."""
    y, x = np.mgrid[: HEIGHT // 4, : WIDTH // 4].astype(np.float32)
    row, column = (y + 0.5) / (HEIGHT // 4) / 2, (x + 0.5) / (WIDTH // 4) / 2
    return torch.from_numpy(np.stack([row, column, 1 - row - column]) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [(96, 128), (64, 96), (150, 150)])
@pytest.mark.parametrize("scale", [(0.5, 0.9), (1.0, 2.0)])
def test_soft_labels_follow_the_frame(seed, size, scale):
    """depth carries each pixel's coordinates through the same augmentation."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    depth = (y * WIDTH + x + 1).astype(np.float32)
    frame = Frame("ramps", {"depth": depth}, np.zeros((HEIGHT, WIDTH), np.uint8))
    settings = DataSettings(scale=scale, depth_holes=0, depth_noise=0)
    drawn = Augmentation(settings, {"depth": modality("depth")}, {"depth": 0.001}, (HEIGHT, WIDTH), size)
    out = augmented(frame, drawn, np.random.default_rng(seed))
    found = soft_window(ramps(), drawn.draw((HEIGHT, WIDTH), np.random.default_rng(seed)), size)
    height, width = found.shape[1:]
    assert (height, width) == (-(-size[0] // 4), -(-size[1] // 4)) and found.dtype == torch.uint8
    has = (found.sum(0) > 0).numpy()
    inside = out.images["depth"] > 0
    assert abs(has.mean() - inside.mean()) < 0.06
    rows, columns = (int(side) for side in size)
    checked = 0
    for i in range(height):
        for j in range(width):
            v, u = (i + 0.5) * rows / height - 0.5, (j + 0.5) * columns / width - 0.5
            near = out.images["depth"][int(v) : int(v) + 2, int(u) : int(u) + 2]
            if not (has[i, j] and (near > 0).all()):
                assert not (has[i, j] and (near == 0).all())
                continue
            where = near.astype(int) - 1
            place = (where // WIDTH).mean() + 0.5, (where % WIDTH).mean() + 0.5
            if not (2 < place[0] < HEIGHT - 2 and 2 < place[1] < WIDTH - 2):  # flat within half a pixel
                continue
            told = found[:2, i, j].numpy() / 255 * 2 * (HEIGHT, WIDTH)
            assert np.abs(told - place).max() < 1.6, (i, j, told, place)
            checked += 1
    assert checked > 50


def test_readers_and_held_frames_give_the_same_soft_labels(folder, tmp_path, teacher):
    labels = teachers(folder, tmp_path / "cache", teacher).prepare()
    settings = DataSettings(depth_holes=0, depth_noise=0)
    frames = TrainingFrames(folder, "train", ("rgb", "depth"), SPEC, settings, 0, labels)
    keys = [(0, 0), (1, 3), (2, 1)]
    read = frames.__getitems__(keys)
    held = HeldFrames(frames, torch.device("cpu"), progress=False).batch(keys)
    assert read.teacher.shape == (3, 3, 12, 16) and read.teacher.any()
    assert torch.equal(read.teacher, held.teacher)
    assert torch.equal(read.to(torch.device("cpu")).teacher, read.teacher)
    plain = TrainingFrames(folder, "train", ("rgb", "depth"), SPEC, settings, 0).__getitems__(keys)
    assert plain.teacher is None
    for name in ("rgb", "depth"):
        assert torch.equal(plain.images[name], read.images[name])
    with pytest.raises(Exception, match="frame0.png is missing: remove it"):
        SoftLabels(tmp_path / "elsewhere", 3).read("frame0")


# --- the loss


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q) if a > 0)


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_loss_by_hand(temperature):
    """Two pixels, of which one has no soft label; rgb and depth, and the ensemble of equal weights."""
    network = build_network(tiny_config())
    rgb, depth = [2.0, 0.0, -1.0], [0.5, 1.0, 0.0]
    logits = [torch.tensor([x, [9.0, -9.0, 0.0]]).T.reshape(1, 3, 1, 2) for x in (rgb, depth)]
    for x in logits:
        x.requires_grad_()
    ensemble, weights = network.ensemble(logits)
    output = NetworkOutput(tuple(logits), ensemble, weights)
    teacher = torch.tensor([[153, 0], [102, 0], [0, 0]], dtype=torch.uint8).reshape(1, 3, 1, 2)
    raised = [p ** (1 / temperature) for p in (0.6, 0.4, 0.0)]
    target = [p / sum(raised) for p in raised]
    mean = [(a + b) / 2 for a, b in zip(rgb, depth)]
    expected = sum(kl(target, softmax([v / temperature for v in own])) for own in (rgb, depth, mean))
    loss = teacher_loss(network, output, teacher, temperature)
    assert loss.item() == pytest.approx(temperature**2 * expected, rel=1e-5)
    loss.backward()
    assert (logits[0].grad[..., 1] == 0).all()  # nothing is learnt where there is no soft label
    q = softmax([v / temperature for v in rgb])
    for found, a, b in zip(logits[0].grad[0, :, 0, 0], q, target):
        assert float(found) == pytest.approx(temperature * (a - b), abs=1e-5)  # the modality's own term alone
    assert network.ensemble.alpha.grad.abs().sum() > 0


def test_one_modality_alone_and_no_soft_label_at_all():
    network = build_network(tiny_config())
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    output = NetworkOutput((None, logits), logits, torch.ones(1))
    teacher = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    expected = -logits.log_softmax(1)[:, 0].mean()
    torch.testing.assert_close(teacher_loss(network, output, teacher), expected)
    nothing = teacher_loss(network, output, torch.zeros_like(teacher), 2.0)
    nothing.backward()
    assert nothing.item() == 0 and (logits.grad == 0).all()


# --- the command


def train(tmp_path, *more):
    (tmp_path / "r.yaml").write_text(RECIPE)
    words = ("train", "--data", tmp_path / "data", "--recipe", tmp_path / "r.yaml", "--device", "cpu")
    return [str(word) for word in (*words, "--workers", 0, *more)]


def test_the_command_distils(folder, tmp_path, teacher):
    taught = ("--set", f"teachers=[{teacher}]")
    assert main(train(tmp_path, "--output", tmp_path / "plain")) == 0
    assert main(train(tmp_path, *taught, "--output", tmp_path / "taught")) == 0
    cache = tmp_path / "taught" / "teachers"
    assert len(written(cache)) == 4 and json.loads((cache / "teachers.json").read_text())["scales"] == [1.0]
    plain, own = (load_file(tmp_path / name / "last.safetensors") for name in ("plain", "taught"))
    assert any(not torch.equal(plain[name], own[name]) for name in plain)
    # another run with the same folder of soft labels ends the same
    shared = ("--teacher-cache", cache, "--output", tmp_path / "again")
    before = written(cache)
    assert main(train(tmp_path, *taught, *shared)) == 0
    assert written(cache) == before and not (tmp_path / "again" / "teachers").exists()
    again = load_file(tmp_path / "again" / "last.safetensors")
    assert all(torch.equal(own[name], again[name]) for name in own)


def test_a_run_is_not_resumed_with_another_teacher(folder, tmp_path, teacher, capsys):
    command = train(tmp_path, "--set", f"teachers=[{teacher}]", "--output", tmp_path / "run")
    assert main(command) == 0
    write_checkpoint(tmp_path / "teacher.safetensors", tiny_config(("rgb",)))
    capsys.readouterr()
    assert main([*command, "--resume"]) == 1
    assert "data: teachers is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("missing", "nowhere.safetensors does not exist"),
        ("classes", "class 2 is 'chair' in checkpoint"),
        ("modalities", "not of thermal"),
        ("folder", "holds something else: give another folder"),
        ("scales", "teacher_scales is [1.0, 0.0]"),
    ],
)
def test_what_is_refused(folder, tmp_path, teacher, capsys, case, named):
    path, more = teacher, ()
    if case == "missing":
        path = "nowhere.safetensors"
    elif case == "classes":
        path = write_checkpoint(tmp_path / "t.safetensors", names=("wall", "floor", "chair"))
    elif case == "modalities":
        path = write_checkpoint(tmp_path / "t.safetensors", tiny_config(("rgb", "thermal")))
    elif case == "folder":
        more = ("--teacher-cache", tmp_path / "data" / "label")
    else:
        more = ("--set", "teacher_scales=[1.0, 0.0]")
    line = refused(capsys, *train(tmp_path, "--set", f"teachers=[{path}]", *more, "--output", tmp_path / "r"))
    assert named in line
    if case == "classes":
        assert "a teacher must have the folder's classes" in line


def test_a_teacher_s_input_may_be_larger_than_the_student_s(folder, tmp_path):
    large = write_checkpoint(tmp_path / "large.safetensors", spec=InputSpec(height=96, width=128))
    assert teachers(folder, tmp_path / "cache", str(large)).prepare().read("frame0").shape == (3, 12, 16)
