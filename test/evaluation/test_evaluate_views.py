"""Several scales and mirror images against plain calls of the network; simulated holes in depth."""

import numpy as np
import pytest
import torch
from helpers import SPEC, tiny_checkpoint, tiny_config, write_folder
from torch.nn import functional as F

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.network import build_network
from asymfusion_ros.network.views import scaled
from asymfusion_training.evaluation.evaluate import evaluate
from asymfusion_training.evaluation.live_network import LiveNetwork
from asymfusion_training.evaluation.missing_depth import with_missing
from asymfusion_training.evaluation.predict import predict
from asymfusion_training.evaluation.scoring_settings import ScoringSettings


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("views")).build()


@pytest.fixture(scope="module")
def backend(network):
    return LiveNetwork(network)


@pytest.fixture(scope="module")
def images():
    """A frame of coloured blobs on another grid than the network's."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 4, 6, 9, generator=rng)
    smooth = F.interpolate(coarse, (60, 90), mode="bicubic").clamp(0, 1)
    return {"rgb": (smooth[:, :3] * 255).to(torch.uint8), "depth": smooth[:, 3:] * 4}


def plainly_averaged(network, images, sizes, flip):
    """One view after another: softmax at the frame's size, averaged."""
    names = ("rgb", "depth")
    totals = {}
    for size in sizes:
        x = {name: SPEC.network_input(name, image, size) for name, image in images.items()}
        for mirrored in (False, True) if flip else (False,):
            given = [x[name].flip(-1) if mirrored else x[name] for name in names]
            output = network(given)
            for branch, logits in zip((*names, "ensemble"), (*output.logits, output.ensemble)):
                full = F.interpolate(logits, (60, 90), mode="bilinear")
                if mirrored:
                    full = full.flip(-1)
                totals.setdefault(branch, []).append(full.softmax(1))
    return {branch: torch.stack(views).mean(0)[0] for branch, views in totals.items()}


@pytest.mark.parametrize(
    ("scales", "flip", "sizes"),
    [
        # SPEC's 48 x 64 pixels for a frame of 2 : 3 are 45.3 x 67.9, in eights 48 x 64
        ((1.0,), True, [(48, 64)]),
        ((0.5, 1.0, 1.3), False, [(24, 32), (48, 64), (64, 80)]),
        ((0.75, 1.25), True, [(32, 48), (64, 80)]),  # 36 and 60 lie between two eights: the even one
    ],
)
@torch.inference_mode()
def test_views_are_averaged_as_probabilities_at_the_frames_size(
    network, backend, images, scales, flip, sizes
):
    found = predict(backend, SPEC, images, scales, flip).labels
    plain = predict(backend, SPEC, images).labels
    expected = plainly_averaged(backend.network, images, sizes, flip)
    assert list(found) == ["rgb", "depth", "ensemble"]
    for branch, labels in found.items():
        assert (labels.shape, labels.dtype) == ((60, 90), torch.uint8)
        best, second = expected[branch].topk(2, dim=0).values
        clear = best - second > 1e-4  # elsewhere, rounding decides
        assert clear.float().mean() > 0.95
        assert torch.equal(labels[clear].long(), expected[branch].argmax(0)[clear])
        assert not torch.equal(labels, plain[branch])


@torch.inference_mode()
def test_with_flip_a_mirrored_frame_has_mirrored_labels(backend, images):
    mirrored = {name: image.flip(-1) for name, image in images.items()}
    for flip, least, most in ((True, 0.999, 1), (False, 0, 0.99)):
        labels = predict(backend, SPEC, images, flip=flip).labels["ensemble"]
        found = predict(backend, SPEC, mirrored, flip=flip).labels["ensemble"]
        same = (found.flip(-1) == labels).float().mean()
        assert least <= same <= most


@torch.inference_mode()
def test_with_flip_a_mirrored_normal_looks_the_other_way(images):
    """A wall that faces left is, in the mirror, one that faces right: red, x, is 255 less what it was."""
    normal = images["rgb"]
    facing = torch.stack([255 - normal[:, 0], normal[:, 1], normal[:, 2]], 1).flip(-1)
    depth = images["depth"]
    network = LiveNetwork(build_network(tiny_config(("normal", "depth"))).eval())
    settings = {"scales": (0.75, 1.0), "flip": True}
    here = predict(network, SPEC, {"normal": normal, "depth": depth}, **settings).labels
    there = predict(network, SPEC, {"normal": facing, "depth": depth.flip(-1)}, **settings).labels
    for branch, labels in here.items():
        assert (there[branch].flip(-1) == labels).float().mean() > 0.999
    as_a_colour = predict(
        network, SPEC, {"normal": normal.flip(-1), "depth": depth.flip(-1)}, **settings
    ).labels
    assert (as_a_colour["normal"].flip(-1) == here["normal"]).float().mean() < 0.99


def test_sizes_are_whole_eights():
    assert scaled((240, 320), 1.0, 8) == (240, 320)
    assert scaled((240, 320), 0.5, 8) == (120, 160)
    assert scaled((240, 320), 1.1, 8) == (264, 352)
    assert scaled((48, 64), 0.01, 8) == (8, 8)


def test_evaluate_passes_its_settings_on(backend, tmp_path):
    folder = Folder(write_folder(tmp_path / "stripes", frames=2, size=(60, 96)))
    names = folder.names("train")

    def counts(**settings):
        scoring = ScoringSettings(**settings)
        found = evaluate(backend, ("rgb", "depth"), SPEC, folder, names, scoring, False)
        return {branch: matrix.counts for branch, matrix in found.items()}

    plain = counts()
    for changed in ({"scales": (0.5, 1.0)}, {"flip": True}, {"depth_holes": 0.7}):
        found = counts(**changed)
        assert not torch.equal(found["ensemble"], plain["ensemble"])
        assert torch.equal(found["ensemble"].sum(1), plain["ensemble"].sum(1))
    assert torch.equal(counts(depth_holes=0.7)["depth"], found["depth"])
    assert not torch.equal(counts(depth_holes=0.7, seed=1)["depth"], found["depth"])
    # a network that is given no depth sees no holes
    alone = evaluate(backend, ("rgb",), SPEC, folder, names, ScoringSettings(depth_holes=0.7), False)
    plain_alone = evaluate(backend, ("rgb",), SPEC, folder, names, None, False)
    assert torch.equal(alone["rgb"].counts, plain_alone["rgb"].counts)


@pytest.fixture
def step():
    """A surface at 1 m beside one at 3 m, with 1000 pixels that have no depth already."""
    depth = np.ones((120, 160), np.float32)
    depth[:, 80:] = 3
    depth[:10, :100] = 0
    return depth


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 1.0])
def test_holes_take_exactly_their_share_of_the_depth_there_is(step, share):
    found = with_missing(step, share, 0, "a")
    kept = found > 0
    assert (step > 0).sum() - kept.sum() == round(share * (120 * 160 - 1000))
    assert np.array_equal(found[kept], step[kept])
    assert (found.dtype, found.shape) == (np.float32, (120, 160))


def test_holes_depend_on_the_seed_and_the_name_alone(step):
    before = step.copy()
    found = with_missing(step, 0.3, 0, "a")
    assert np.array_equal(step, before)
    assert np.array_equal(with_missing(step, 0.3, 0, "a"), found)
    assert not np.array_equal(with_missing(step, 0.3, 0, "b"), found)
    assert not np.array_equal(with_missing(step, 0.3, 1, "a"), found)
    assert np.array_equal(with_missing(step, 0, 0, "a"), step)


def test_holes_come_in_blobs_and_along_edges(step):
    lost = np.stack([with_missing(step, 0.2, 0, str(i)) == 0 for i in range(40)])[:, 20:]
    beside_the_step = lost[:, :, 78:82].mean()
    far_from_it = lost[:, :, np.r_[:60, 100:160]].mean()
    assert beside_the_step > 3 * far_from_it
    assert far_from_it > 0.1
    # of the neighbours of a lost pixel nearly all are lost, where one in five would be by chance
    assert (lost[:, 1:] & lost[:, :-1]).sum() > 0.8 * lost[:, 1:].sum()


def test_no_depth_at_all_has_no_holes():
    empty = np.zeros((8, 8), np.float32)
    assert np.array_equal(with_missing(empty, 0.5, 0, "a"), empty)
