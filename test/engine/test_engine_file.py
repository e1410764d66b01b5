"""Files with TensorRT's plans: what can be known of them without TensorRT or a GPU."""

import pytest
from helpers import PLANS, SPEC, TARGET, tiny_config, write_engine

from asymfusion_ros import Segmenter
from asymfusion_ros.engine.backends import choose_backend
from asymfusion_ros.engine.engine_file import MAGIC, load_engine, plan_key
from asymfusion_ros.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_engine(tmp_path_factory.mktemp("engine"))


def test_what_was_written_is_read(written):
    model = load_engine(written)
    assert model.config == tiny_config()
    assert model.input_spec == SPEC
    assert (model.size, model.precision, model.onnx_sha256) == ((48, 64), "fp16", "cd")
    assert model.checkpoint_sha256 == "ab" and model.checks == {"x": 1}
    assert model.built_for == TARGET
    assert {key: model.plan(key) for key in model.plans} == PLANS
    assert plan_key("rgb+depth", True) in model.plans
    with pytest.raises(CheckpointError, match=f"no plan for thermal: {TARGET.command}"):
        model.plan("thermal")
    assert choose_backend(model) == "tensorrt"


def test_another_machine_is_refused_with_the_command(written):
    path = written.with_name("tiny.engine")
    TARGET.check(path, "10.3.0", "Orin")
    with pytest.raises(ConfigError) as error:
        TARGET.check(path, "11.4.0", "NVIDIA H100 80GB HBM3")
    assert str(error.value) == (
        f"{path} was built for TensorRT 10.3.0, and this is 11.4.0; for Orin, and this is NVIDIA H100 80GB "
        f"HBM3. Build it anew: {TARGET.command}"
    )


def test_damage_is_found(written, tmp_path):
    whole = written.read_bytes()
    first = whole.index(b"first plan")
    for name, data in {
        "empty": b"",
        "junk": b"\x00" * 100,
        "magic": MAGIC,
        "long": MAGIC + (1 << 60).to_bytes(8, "little") + b"{}",
        "header": whole[: len(MAGIC) + 20],
        "cut": whole[: first + 5],
        "other": whole.replace(b'"format"', b'"formed"'),
        "outside": whole.replace(b'"offset": 0', b'"offset": -9'[:12]),
    }.items():
        path = tmp_path / f"{name}.engine"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name}.engine"):
            load_engine(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_engine(tmp_path / "none.engine")
    changed = tmp_path / "changed.engine"
    changed.write_bytes(whole.replace(b"first plan", b"first_plan"))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_engine(changed).plan("rgb+depth")


def test_a_machine_without_tensorrt_or_with_another_backend(written):
    for options, said in (
        ({"backend": "torch"}, "backend torch runs checkpoints"),
        ({"backend": "openvino"}, "backend openvino runs"),
        ({"precision": "fp32"}, "was built in fp16, not 'fp32'"),
    ):
        with pytest.raises(ConfigError, match=said):
            Segmenter.from_checkpoint(written, **options)
    with pytest.raises(ConfigError, match="engine files"):
        Segmenter.from_checkpoint("default", backend="tensorrt")
    with pytest.raises(ConfigError, match=r"needs TensorRT|was built for|not there"):
        Segmenter.from_checkpoint(written)
