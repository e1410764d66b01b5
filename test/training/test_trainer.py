"""The loop with a task that it does not know: two networks that are trained against each other."""

import ast
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import write_folder
from torch import nn

import asymfusion_training.loop
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import UserError
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.settings import LoopSettings
from asymfusion_training.loop.trainer import RunOptions, Trainer
from asymfusion_training.tasks.base import Goal, Objective


class Generator(nn.Module):
    """From colours to a depth."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3, padding=1)
        self.decoder = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        return self.decoder(torch.relu(self.encoder(x)))


class Networks(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = Generator()
        self.critic = nn.Conv2d(1, 1, 4, stride=4)


class CriticLoss(nn.Module):
    def __init__(self, networks):
        super().__init__()
        self.critic = networks.critic
        self.others = [networks.generator]  # not a module's own: the other objective trains it

    def forward(self, rgb, depth):
        with torch.no_grad():
            made = self.others[0](rgb)
        return torch.relu(1 - self.critic(depth)).mean() + torch.relu(1 + self.critic(made)).mean()


class GeneratorLoss(nn.Module):
    def __init__(self, networks):
        super().__init__()
        self.generator = networks.generator
        self.others = [networks.critic]

    def forward(self, rgb, depth):
        made = self.generator(rgb)
        distance, fooled = (made - depth).abs().mean(), self.others[0](made).mean()
        return distance - 0.01 * fooled, {"distance": distance.detach()}


class Adversarial:
    """Depth from colours, as an image translation task would have it."""

    goal = Goal("depth", "closeness", "closeness")
    picture_file = "depths.png"

    def __init__(self, folder):
        self.folder, self.data = folder, {"name": folder.name}
        torch.manual_seed(0)
        self.network = Networks()
        self.calls = []

    def start(self):
        self.calls.append("start")
        return "starts from nothing"

    def objectives(self, processes):
        optimisers = []
        for module in (self.network.critic, self.network.generator):
            groups = [{"params": list(module.parameters()), "lr": 1e-3, "part": "encoder"}]
            optimisers.append(torch.optim.Adam(groups))
        losses = CriticLoss(self.network), GeneratorLoss(self.network)
        return [Objective(loss, optimiser) for loss, optimiser in zip(losses, optimisers)]

    def frames(self):
        spec = InputSpec(height=48, width=64)
        return TrainingFrames(self.folder, "train", ("rgb", "depth"), spec, DataSettings(), 0)

    def inputs(self, batch, step):
        self.calls.append(step)
        return batch.images["rgb"].float() / 255, batch.images["depth"]

    def scored_frames(self):
        return self.folder.names("val")

    def evaluate(self, network, names, progress):
        total = torch.zeros(2, dtype=torch.float64)
        for name in names:
            images = self.folder.read(name).images
            rgb = torch.from_numpy(images["rgb"]).permute(2, 0, 1)[None].float() / 255
            with torch.inference_mode():
                made = network.generator(rgb)[0, 0].numpy()
            total += torch.tensor([np.abs(made - images["depth"]).mean(), 1.0])
        return {"depth": total}

    def scores(self, counts):
        return {name: {"closeness": 1 / (1 + float(count[0] / count[1]))} for name, count in counts.items()}

    def picture(self, network, names):
        return np.zeros((10, 20, 3), np.uint8)

    def save(self, path, network, provenance):
        path.write_text(json.dumps(provenance))

    def finish(self, best, device, progress):
        best.write_text(json.dumps({**json.loads(best.read_text()), "finished_on": str(device)}))
        return "finished"


@dataclass(frozen=True)
class AnyRecipe:
    loop: LoopSettings = field(
        default_factory=lambda: LoopSettings(
            epochs=3, batch=4, accumulate=2, encoder_lr=0.02, schedule="constant", ema=0.5
        )
    )

    def to_dict(self):
        return asdict(self.loop)

    def upgraded(self, stored):
        return dict(stored)


@pytest.fixture
def folder(tmp_path):
    return Folder(write_folder(tmp_path / "data"))


def trainer(folder, output, **options):
    task = Adversarial(folder)
    fabric = make_fabric("cpu")
    fabric.launch()
    recipe = AnyRecipe()
    resume = options.pop("resume", False)
    return Trainer(task, recipe, "any", output, fabric, RunOptions(workers=0, **options), resume)


def test_two_objectives_take_turns(folder, tmp_path, capsys):
    run = trainer(folder, tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in run.task.network.state_dict().items()}
    best = run.run()
    assert "starts from nothing" in capsys.readouterr().out
    assert run.step == 6 and run.task.calls[0] == "start"
    # each step: two objectives, each over both parts of the batch
    assert run.task.calls[1:] == [step for step in range(6) for _ in range(4)]
    assert all(
        not torch.equal(tensor, before[name]) for name, tensor in run.task.network.state_dict().items()
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    found = [line["val"]["depth"]["closeness"] for line in lines]
    assert found[-1] > found[0]
    kept = json.loads(best.read_text())
    assert kept["val"] == lines[int(np.argmax(found))]["val"]
    assert kept["finished_on"] == "cpu"
    assert lines[0]["images_per_second"] > 0
    assert all(0 < line["distance"] < 4 for line in lines)  # what an objective tells beside its loss
    assert (tmp_path / "run" / "depths.png").is_file()


def test_both_optimisers_are_resumed(folder, tmp_path):
    whole = trainer(folder, tmp_path / "whole", save_every=0.0)
    whole.run()
    broken = trainer(folder, tmp_path / "broken", save_every=0.0)
    inputs = broken.task.inputs

    def failing(batch, step):
        if step == 3:
            raise UserError("stopped")
        return inputs(batch, step)

    broken.task.inputs = failing
    with pytest.raises(UserError, match="stopped"):
        broken.run()
    resumed = trainer(folder, tmp_path / "broken", resume=True)
    assert resumed.step == 3 and "start" not in resumed.task.calls
    resumed.run()
    ours, theirs = (run.task.network.state_dict() for run in (resumed, whole))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    told = [
        [
            json.loads(line)["distance"]
            for line in (tmp_path / name / "history.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "broken")
    ]
    assert told[0] == told[1]  # the epoch that was broken off is told whole


def test_the_loop_imports_no_task():
    """But for the protocol."""
    for path in Path(asymfusion_training.loop.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asymfusion_training"):
                assert node.module != "asymfusion_training.recipe", path.name
                if ".tasks" in node.module:
                    assert node.module == "asymfusion_training.tasks.base", path.name
