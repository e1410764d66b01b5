"""Frames in shards: the same frames as a folder's, whoever reads them, from where a run stopped."""

import multiprocessing
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from generated_views import write_taskonomy

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.batch_sampler import BatchSampler
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.data.streamed_frames import StreamedFrames, frames_of
from asymfusion_training.loop.devices import check_same_frames
from asymfusion_training.loop.settings import LoopSettings

MODALITIES = ("depth", "shade", "rgb")
SIZE = 16
SPEC = InputSpec(height=SIZE, width=SIZE)
PLAIN = DataSettings(scale=(1, 1), colours=0, depth_holes=0, depth_noise=0)
TRAIN = 29  # views, in 6 shards of 5 or fewer


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """(folder, shards) of the same views."""
    place = tmp_path_factory.mktemp("views")
    source = write_taskonomy(place / "taskonomy", ("ackerman", "beechwood"), TRAIN, SIZE)
    words = ["prepare", "taskonomy", "--root", str(source), "--domains", "depth", "shade", "--val", "2"]
    for name, options in (("folder", []), ("shards", ["--shards", "5"])):
        assert main([*words, "--train", str(TRAIN), "--output", str(place / name), *options]) == 0
    return place / "folder", place / "shards"


def streamed(root, settings=PLAIN, seed=0):
    return StreamedFrames(Folder(root), "train", MODALITIES, SPEC, settings, seed)


@cache
def names(root, first_step=0, rank=0, processes=1, workers=0, batch=4, epochs=2, accumulate=1):
    """Of each batch of a run."""
    loop = LoopSettings(batch=batch, epochs=epochs, accumulate=accumulate)
    frames = streamed(root)
    sampler = BatchSampler(len(frames), loop, first_step, rank, processes)
    return [one.names for one in frames.loader(sampler, workers, pin_memory=False)]


def test_both_have_the_same_frames(roots):
    folder, shards = (Folder(root) for root in roots)
    assert not (shards.root / "rgb" / folder.names("train")[0]).with_suffix(".png").exists()
    loop = LoopSettings(batch=1, epochs=1)
    read = {}
    for frames in (TrainingFrames(folder, "train", MODALITIES, SPEC, PLAIN), streamed(shards.root)):
        for batch in frames.loader(BatchSampler(len(frames), loop), 0, False):
            # mirrored by chance: an image is told by the sum of its pixels
            read.setdefault(batch.names[0], []).append(
                {name: batch.images[name].double().sum(-1) for name in MODALITIES}
            )
            assert batch.label is None
    assert sorted(read) == folder.names("train")
    for name, (one, other) in read.items():
        for modality in MODALITIES:
            assert torch.equal(one[modality], other[modality]), (name, modality)
    assert folder.names("val") == shards.names("val")


def test_plain_webdataset_reads_them(roots):
    webdataset = pytest.importorskip("webdataset")
    folder, shards = roots
    urls = sorted(str(path) for path in shards.glob("train-*.tar"))
    assert len(urls) == 6
    found = {one["__key__"]: one for one in webdataset.WebDataset(urls, shardshuffle=False)}
    assert sorted(found) == Folder(folder).names("train")
    name = min(found)
    assert found[name]["rgb.png"] == (folder / "rgb" / f"{name}.png").read_bytes()


def test_an_epoch_has_each_frame_once_in_an_order_of_its_own(roots):
    batches = names(roots[1])
    steps = TRAIN // 4
    assert [len(batch) for batch in batches] == [4] * 2 * steps
    first, second = (
        [name for batch in half for name in batch] for half in (batches[:steps], batches[steps:])
    )
    assert len(set(first)) == len(first) == 28  # one of 29 fills no batch
    assert len(set(second)) == 28
    assert first != second


@pytest.mark.parametrize("workers", [2, 5])
def test_readers_change_nothing(roots, workers):
    assert names(roots[1], workers=workers) == names(roots[1])


@pytest.mark.parametrize("step", [1, 5, 6, 7, 8, 13])
def test_a_run_goes_on_where_it_stopped(roots, step):
    assert names(roots[1], step) == names(roots[1])[step:]


def test_a_run_of_two_processes_and_readers_goes_on_where_it_stopped(roots):
    options = {"rank": 1, "processes": 2, "workers": 2}
    assert names(roots[1], 8, **options) == names(roots[1], rank=1, processes=2)[8:]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_batches_of_one(roots, processes):
    parts = [names(roots[1], rank=rank, processes=processes) for rank in range(processes)]
    for whole, *shares in zip(names(roots[1]), *parts, strict=True):
        assert [len(share) for share in shares] == [4 // processes] * processes
        assert whole == [name for row in zip(*shares) for name in row]


def test_accumulated_parts_are_those_of_the_batch(roots):
    halves = names(roots[1], accumulate=2)
    assert [one + other for one, other in zip(halves[::2], halves[1::2])] == names(roots[1])


def test_what_is_done_to_a_frame_depends_on_seed_and_epoch(roots):
    def images(seed, first_step, workers):
        loop = LoopSettings(batch=TRAIN, epochs=2)
        frames = streamed(roots[1], DataSettings(), seed)
        sampler = BatchSampler(TRAIN, loop, first_step)
        batch = next(iter(frames.loader(sampler, workers, pin_memory=False)))
        return {name: image.numpy() for name, image in zip(batch.names, batch.images["rgb"])}

    one, again, later, other = images(0, 0, 0), images(0, 0, 2), images(0, 1, 0), images(1, 0, 0)
    for name, image in one.items():
        assert np.array_equal(image, again[name])
        assert not np.array_equal(image, later[name])
        assert not np.array_equal(image, other[name])


def test_a_split_is_read_from_where_it_is(roots):
    for root, kind in zip(roots, (TrainingFrames, StreamedFrames)):
        frames = frames_of(Folder(root), "train", MODALITIES, SPEC, PLAIN, 0)
        assert (type(frames), len(frames)) == (kind, TRAIN)


def copied(root, place):
    for path in root.iterdir():
        if path.is_file():
            (place / path.name).write_bytes(path.read_bytes())
    return place


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "train-000002.tar").unlink(), "train-000002.tar is missing, but"),
        (lambda root: (root / "train.shards.json").write_text("{}"), "is damaged"),
        (
            lambda root: (root / "train.shards.json").write_text(
                '{"shards": [{"file": "../x.tar", "frames": 1}]}'
            ),
            "'../x.tar' is not a tar file's name",
        ),
        (
            lambda root: (root / "train.shards.json").write_text(
                '{"shards": [{"file": "a.tar", "frames": 0}]}'
            ),
            "a.tar cannot have 0 frames",
        ),
    ],
)
def test_lists_of_shards_that_are_wrong(roots, tmp_path, damage, said):
    root = copied(roots[1], tmp_path)
    damage(root)
    with pytest.raises(UserError, match=said):
        streamed(root)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read as a tar file|has . frames, not 5"),
        (lambda data: bytes(600) + data[600:], "has 0 frames, not 5|cannot be read as a tar file"),
        (lambda data: data.replace(b"\x89PNG", b"\x88PNG"), "does not decode as an image"),
        (
            lambda data: data.replace(b".shade.png", b".shape.png"),
            r"shade.png is missing|cannot be read as a tar",
        ),
    ],
)
def test_a_shard_that_is_damaged(roots, tmp_path, damage, said):
    """The reason comes in the batch's place: raised in a reader, it would arrive as a traceback."""
    root = copied(roots[1], tmp_path)
    path = root / "train-000001.tar"
    path.write_bytes(damage(path.read_bytes()))
    frames = streamed(root)
    sampler = BatchSampler(len(frames), LoopSettings(batch=4, epochs=1))
    *_, last = frames.loader(sampler, 0, pin_memory=False)
    assert isinstance(last, UserError)
    with pytest.raises(UserError, match=said):
        raise last
    assert "train-000001.tar" in str(last)


def test_settings_that_need_labels(roots):
    with pytest.raises(ConfigError, match="class_crops is 0.5, and shards have no labels"):
        streamed(roots[1], DataSettings(class_crops=0.5))


def test_a_folder_in_shards_is_refused_by_name(roots):
    with pytest.raises(UserError, match="split 'train' of .* is in shards"):
        Folder(roots[1]).names("train")


def _compared(store, rank, root, said):
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    try:
        check_same_frames(SimpleNamespace(world_size=2), streamed(root))
        said.put("the same")
    except UserError as error:
        said.put(str(error))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("same", [True, False])
def test_processes_with_different_lists(roots, tmp_path, monkeypatch, same):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    other = copied(roots[1], tmp_path)
    if not same:
        text = (other / "train.shards.json").read_text()
        (other / "train.shards.json").write_text(text.replace('"frames": 4', '"frames": 3'))
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    runs = [
        context.Process(target=_compared, args=(tmp_path / "store", rank, root, said))
        for rank, root in enumerate((roots[1], other))
    ]
    for run in runs:
        run.start()
    found = {said.get(timeout=60) for _ in runs}
    for run in runs:
        run.join(60)
    if same:
        assert found == {"the same"}
    else:
        assert found == {
            "process 1 of this run lists other frames in split 'train' than process 0: give every machine "
            "the same data"
        }
