"""Settings: the `paper` preset, what is laid over a preset, and the parameters of notebooks."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from miga_lib import layouts
from miga_lib.models import MODELS
from miga_lib.settings import PRESETS, Settings, choose, names, of_parameters
from miga_lib.training import inputs, loop
from miga_lib.training.__main__ import main
from miga_lib.training.distributed import World

LAYOUT = layouts.get("imigue41")

PAPER = Settings(
    model="posec3d",
    preset="paper",
    stream="joint",
    layout="imigue41",
    temporal="align",
    semantic_weight=20.0,
    epochs=100,
    batch_size=24,
    learning_rate=0.1 / 3,
    momentum=0.9,
    weight_decay=3e-4,
    dropout=0.5,
    keep="last",
    frames=48,
    heatmap_size=56,
    test_scale=64 / 56,
    segment_clips=10,
    network={"width": 32, "stage_blocks": (4, 6, 3), "stem_kernel": 7},
)
"""Optimiser, batch and schedule are of Xu et al., arXiv 2506.12848; epochs, frames, sizes, dropout, views in
test and the semantic weight of arXiv 2307.10624 and PySkl, see docs/training.md."""


def start(clips, settings, run):
    """The task and the state before the first step."""
    return loop.start(clips, settings, run, World(), lambda row: None, lambda: False)


@pytest.fixture
def two_wrists(smoke):
    """A training clip in which only the wrists are present: left at (100, 100), right at (180, 140), scores
    0.8 and 0.4, in all frames.

    The longer side is 80 px. With 25 % margin the square around both is 100 px wide, from (90, 70) on.
    """
    clip = smoke.split("train").where([0])
    keypoints = np.zeros((int(clip.table["frames"].iloc[0]), 41, 3), np.float32)
    keypoints[:, LAYOUT.joints.index("left_wrist")] = 100, 100, 0.8
    keypoints[:, LAYOUT.joints.index("right_wrist")] = 180, 140, 0.4
    return replace(clip, keypoints=keypoints, table=clip.table.assign(start=0))


def peak(maps, joint):
    """Place (y, x) and value of the highest pixel of a joint in the first frame of the first clip."""
    heatmap = maps[0, LAYOUT.joints.index(joint), 0]
    y, x = divmod(int(heatmap.argmax()), heatmap.shape[1])
    return y, x, heatmap[y, x].item()


def test_the_paper_preset_has_the_numbers_of_the_paper():
    assert choose("paper", device="cpu", precision="fp32") == PAPER
    assert PAPER.test_size == 64
    assert PAPER.loss_weights == {"semantic": 20.0}


def test_the_learning_rate_of_the_paper_falls_to_0_along_a_cosine():
    """cos(π/3) = 1/2, so after a third of the steps the rate is 1/2 · (1 + 1/2) of the first."""
    rates = [loop.learning_rate(PAPER, done) for done in (0, 1 / 3, 1 / 2, 1)]
    assert rates == pytest.approx([0.1 / 3, 0.75 * 0.1 / 3, 0.5 * 0.1 / 3, 0], abs=1e-12)


def test_the_paper_preset_trains_the_published_network_with_the_published_optimiser(smoke, tmp_path):
    """The slim SlowOnly of PoseC3D: base 32, stages of 4, 6 and 3 blocks, stem 1×7×7 without stride, 512
    features."""
    _, state = start(smoke, PAPER, tmp_path)
    assert type(state.optimizer) is torch.optim.SGD
    group = state.optimizer.param_groups[0]
    expected = {"lr": 0.1 / 3, "momentum": 0.9, "weight_decay": 3e-4, "dampening": 0, "nesterov": False}
    assert {name: group[name] for name in expected} == expected
    assert len(group["params"]) == len(list(state.model.parameters()))
    stem, _, *stages = state.model.backbone
    assert (stem.conv.out_channels, stem.conv.kernel_size, stem.conv.stride) == (32, (1, 7, 7), (1, 1, 1))
    assert [len(stage) for stage in stages] == [4, 6, 3]
    assert (state.model.fc_cls.in_features, state.model.fc_cls.out_features) == (512, 32)
    assert state.model.emb_fc.in_features == 512
    assert state.model.dropout.p == 0.5


def test_the_input_of_the_paper_in_test(two_wrists):
    """64 / 100 px of a map per px of the video: the left wrist at (10 · 0.64, 30 · 0.64) = (6.4, 19.2), the
    right one at (57.6, 44.8).

    The highest pixels are (6, 19) and (58, 45), at squared distances 0.2 and 0.2. The Gaussian has σ = 0.6
    and the height of the score.
    """
    (plain,), (mirrored,) = inputs.KeypointInputs(two_wrists, PAPER).views(torch.tensor([0]))
    assert plain.shape == mirrored.shape == (1, 41, 48, 64, 64)
    height = np.exp(-0.2 / (2 * 0.6**2))
    assert peak(plain, "left_wrist") == (19, 6, pytest.approx(0.8 * height, rel=1e-4))
    assert peak(plain, "right_wrist") == (45, 58, pytest.approx(0.4 * height, rel=1e-4))
    # Mirrored, the left wrist is the right one of the video, at 63 − 57.6 = 5.4.
    assert peak(mirrored, "left_wrist")[:2] == (45, 5)


@pytest.mark.parametrize(
    ("area", "flip", "joint", "place"),
    [
        # Area 0.56 of the box: √0.56 · 100 = 74.83 px on 56 pixels. (10, 30) px from the corner are 7.48 and
        # 22.45.
        (0.0, 0.5, "left_wrist", (22, 7)),
        # The same, mirrored: 55 − 7.48 = 47.52.
        (0.0, 0.4999, "right_wrist", (22, 48)),
        # Area 1: 100 px on 56 pixels, 5.6 and 16.8.
        (1.0, 0.5, "left_wrist", (17, 6)),
    ],
)
def test_the_input_of_the_paper_in_training(two_wrists, monkeypatch, area, flip, joint, place):
    draws = torch.tensor([[area, 0.5, 0.0, 0.0, flip]])
    monkeypatch.setattr(inputs, "uniform", lambda rows, columns, *key: draws)
    maps = inputs.KeypointInputs(two_wrists, PAPER).training(torch.tensor([0]), epoch=0)
    assert maps.shape == (1, 41, 48, 56, 56)
    assert peak(maps, joint)[:2] == place


def test_the_sigma_of_a_limb_is_that_of_the_paper():
    """One pixel beside the middle of a limb, both of whose ends have score 0.7."""
    a, b = LAYOUT.limbs[0]
    keypoints = torch.zeros(1, 1, 41, 3)
    keypoints[0, 0, a], keypoints[0, 0, b] = torch.tensor([20.0, 30.0, 0.7]), torch.tensor([30.0, 30.0, 0.7])
    maps = MODELS["posec3d"].tensor("limb", keypoints, LAYOUT, 56)
    assert maps[0, 0, 0, 31, 25].item() == pytest.approx(0.7 * np.exp(-1 / (2 * 0.6**2)), rel=1e-4)


def test_the_paper_predicts_10_clips_times_2_flips(smoke):
    of_segments = inputs.KeypointInputs(smoke.split("test"), replace(PAPER, temporal="segments", frames=4))
    views = list(of_segments.views(torch.tensor([0])))
    assert [frames.shape for _, frames in views] == [(10, 4)] * 2


STUDIED = {"frames": 6, "heatmap_size": 24, "width": 6, "dropout": 0.25, "weight_decay": 0.01}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", MODELS)
def test_a_preset_is_complete(preset, model):
    settings = choose(preset, model, device="cpu")
    expected = {**PRESETS[preset], **MODELS[model].presets[preset]}
    assert {name: settings.values()[name] for name in expected} == expected
    assert settings.changes() == {}
    assert choose(**settings.values()) == settings


def test_what_is_given_is_laid_over_the_preset():
    given = {"epochs": 3, "batch_size": 5, "learning_rate": 0.5, **STUDIED}
    settings = choose("quick", device="cpu", **given)
    assert {name: settings.values()[name] for name in given} == given
    assert settings.changes() == given
    assert choose("quick", epochs=60, width=16).changes() == {}, "the preset's own values"


def test_0_is_a_value_except_for_epochs():
    settings = choose("quick", dropout=0, weight_decay=0, semantic_weight=0, epochs=0)
    assert settings.changes() == {"dropout": 0, "weight_decay": 0, "semantic_weight": 0}
    assert settings.epochs == 60


@pytest.mark.parametrize("name", ["batch_size", "learning_rate", "frames", "heatmap_size", "width"])
def test_where_0_cannot_be_a_value_it_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be above 0, got 0"):
        choose(**{name: 0})


def test_what_a_study_varies_reaches_the_run(smoke, tmp_path):
    task, state = start(smoke, choose("smoke", device="cpu", precision="fp32", **STUDIED), tmp_path)
    assert task.inputs.training(torch.tensor([0, 1]), 0).shape == (2, 41, 6, 24, 24)
    assert next(task.inputs.views(torch.tensor([0])))[0].shape == (1, 41, 6, 24, 24)
    assert state.model.backbone.conv1.conv.out_channels == 6
    assert state.model.dropout.p == 0.25
    assert state.optimizer.param_groups[0]["weight_decay"] == 0.01
    studied = choose("smoke", "stgcn", device="cpu", precision="fp32", partition="distance", **STUDIED)
    _, state = start(smoke, studied, tmp_path)
    assert state.model.st_gcn_networks[0].gcn.conv.out_channels == 2 * 6, "two partitions"
    assert state.model.st_gcn_networks[0].tcn[4].p == 0.25


@pytest.mark.parametrize(
    ("preset", "size", "expected"),
    [("paper", 56, 64), ("paper", 28, 32), ("paper", 30, 34), ("quick", 33, 33)],
)
def test_test_heatmaps_keep_the_preset_s_ratio(preset, size, expected):
    """The paper's is 64 / 56, and 30 · 64 / 56 = 34.3."""
    assert choose(preset, heatmap_size=size, device="cpu").test_size == expected


def test_settings_are_chosen_among_the_parameters_of_a_notebook():
    parameters = {
        "data": "synthetic",
        "run": "",
        "preset": "smoke",
        "seed": 3,
        "more": {"width": 6, "dropout": 0, "embeddings": "a.npz"},
    }
    expected = choose("smoke", seed=3, width=6, dropout=0.0, embeddings="a.npz")
    assert of_parameters(parameters) == expected
    assert of_parameters({}) == choose()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"widht": 6},
            r"model 'posec3d' has no setting 'widht' \(did you mean 'width'\?\); it has augment, .*",
        ),
        ({"partition": "spatial"}, "model 'posec3d' has no setting 'partition'"),
        ({"stage_blocks": [1, "2"]}, r"stage_blocks must be 0 or more and below 2\*\*63, got '2'"),
        ({"preset": "quick"}, r"more\['preset'\]: preset is a parameter of its own; set it there"),
        ({"data": "synthetic"}, r"more\['data'\]: data is a parameter of its own; set it there"),
        ({"width": "6"}, r"width must be int, got '6' \(str\)"),
        ({"width": 6.0}, r"width must be int, got 6.0 \(float\)"),
        ({"width": True}, r"width must be int, got True \(bool\)"),
        ({"dropout": 1.0}, "dropout must be below 1, got 1.0"),
        ({"frames": -1}, r"frames must be 0 or more and below 2\*\*63, got -1"),
        ({"weight_decay": float("inf")}, r"weight_decay must be 0 or more and below 2\*\*63, got inf"),
    ],
)
def test_more_is_checked_as_every_parameter_is(more, message):
    with pytest.raises(ValueError, match=message):
        of_parameters({"data": "synthetic", "preset": "smoke", "more": more})


@pytest.mark.parametrize("number", [-1, 2**63, 2**64, 10**400, -(10**4000)])
@pytest.mark.parametrize("name", ["seed", "width", "learning_rate"])
def test_a_number_that_pytorch_cannot_take_is_refused_in_a_short_line(name, number):
    with pytest.raises(ValueError, match=rf"^{name} must be 0 or more and below 2\*\*63, got ") as error:
        choose(**{name: number})
    assert len(str(error.value)) < 150


LARGEST = {
    "epochs": 10**6,
    "min_steps": 10**9,
    "batch_size": 2**16,
    "frames": 10_000,
    "heatmap_size": 1024,
    "test_scale": 16,
    "segment_clips": 1000,
    "folds": 10_000,
    "no_gesture_ratio": 1000,
    "devices": 4096,
    "width": 4096,
    "stem_kernel": 4096,
}


@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("value", [1_000_000, 10**15])
def test_an_absurd_number_is_refused_in_one_line(name, value):
    value = max(value, LARGEST[name] + 1)
    message = f"{name} must be at most {LARGEST[name]:,}, got {value}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        choose(**{name: value})
    with pytest.raises(SystemExit, match=f"^python -m miga_lib.training: {name} .* got {value}[.0]*$"):
        main([f"--{name.replace('_', '-')}", str(value)])
    choose("smoke", **{name: LARGEST[name]})


def test_maps_of_a_clip_and_a_network_have_a_size_that_can_be_computed():
    message = "a clip must have at most 33,554,432 pixels, got 10000 frames of 64 × 64 pixels in test"
    with pytest.raises(ValueError, match=message):
        choose("paper", frames=10_000, device="cpu")
    assert choose("paper", "stgcn", frames=10_000, device="cpu").frames == 10_000, "graphs have no maps"
    with pytest.raises(ValueError, match="stage_blocks must have at most 100 numbers, got 101"):
        choose(stage_blocks=(1,) * 101)
    with pytest.raises(ValueError, match="stage_blocks must be at most 4,096, got 5000"):
        choose(stage_blocks=(1, 5000))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 2.5, r"epochs must be int, got 2.5 \(float\)"),
        ("epochs", "3", r"epochs must be int, got '3' \(str\)"),
        ("folds", True, r"folds must be int, got True \(bool\)"),
        ("resume", 1, r"resume must be bool, got 1 \(int\)"),
        ("protocol", None, r"protocol must be str, got None \(NoneType\)"),
    ],
)
def test_a_value_of_another_type_is_refused(name, value, message):
    settings = choose("smoke", device="cpu")
    object.__setattr__(settings, name, value)  # since the type checker of the tests refuses it in the call
    with pytest.raises(ValueError, match=message):
        settings.__post_init__()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "lstm"}, "model must be one of posec3d, stgcn, stgcnpp, ctrgcn, got 'lstm'"),
        (
            {"stream": "elbow"},
            "stream must be one of joint, limb, joint_motion, limb_motion for model 'posec3d', got 'elbow'",
        ),
        (
            {"model": "stgcn", "stream": "limb"},
            "stream must be one of joint, bone, .* for model 'stgcn', got 'limb'",
        ),
        ({"layout": "imigue23"}, "layout must be one of openpose137"),
        ({"temporal": "stretch"}, "temporal must be one of align, crop_pad, segments, got 'stretch'"),
        ({"preset": "huge"}, "preset must be one of auto, smoke, quick, paper, got 'huge'"),
        ({"augment": "rotate+spin"}, "a name in augment must be one of rotate, .*, got 'spin'"),
        ({"denoise": "gaps+blur"}, "a name in denoise must be one of swaps, outliers, gaps, .*, got 'blur'"),
        (
            {"augment": "rotate+rotate"},
            "augment has rotate twice, and each is applied once; give each name once",
        ),
        ({"augment": "rotate+"}, "a name in augment must be one of rotate, .*, got ''"),
        ({"fold": 3, "folds": 3}, "fold must be 0 to 2 with 3 folds, got 3"),
        ({"learning_rate": float("nan")}, r"learning_rate must be 0 or more and below 2\*\*63, got nan"),
    ],
)
def test_a_value_that_is_not_among_the_possible_ones_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        choose(**wrong)


@pytest.mark.parametrize("name", ["start_from", "embeddings", "protocol"])
def test_a_null_character_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} cannot have a null character, got 'a\\x00b'"):
        choose(**{name: "a\0b"})


@pytest.mark.parametrize("device", ["cpux", "cuda:", "cuda0", "cuda:-1", "cuda:x"])
def test_a_device_is_one_that_there_can_be(device):
    with pytest.raises(ValueError, match=f"device must be auto, cpu, cuda or cuda:<number>, got '{device}'"):
        choose(device=device)


@pytest.mark.parametrize("device", ["mps", "mps:0"])
def test_mps_is_refused_with_the_reason(device):
    with pytest.raises(
        ValueError,
        match=rf"device must be auto, cpu, cuda.* got '{device}'; .*64-bit numbers.*mps does not have.*cpu",
    ):
        choose(device=device)
    with pytest.raises(ValueError, match=r"device must be auto, cpu, cuda.* got 'tpu'$"):
        choose(device="tpu")


def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match="device 'cuda' was requested and PyTorch finds no CUDA device; use 'auto' or 'cpu'"
    ):
        choose(device="cuda")


@pytest.mark.parametrize(
    ("available", "device", "preset"), [(False, "cpu", "quick"), (True, "cuda", "paper")]
)
def test_auto_is_the_paper_s_preset_with_a_gpu_and_the_quick_one_without(
    monkeypatch, available, device, preset
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    resolved = choose(precision="fp32")
    assert (resolved.device, resolved.preset) == (device, preset)
    assert choose(preset="smoke", precision="fp32").preset == "smoke"


@pytest.mark.parametrize(
    "name", ["model", "stream", "layout", "temporal", "preset", "precision", "keep", "device"]
)
def test_a_long_value_makes_no_long_message(name):
    with pytest.raises(ValueError, match=f"^{name} must be ") as error:
        choose(**{name: "x" * 3000})
    assert len(str(error.value)) <= 400


@pytest.mark.parametrize(
    ("onednn", "cpu", "expected"),
    [("there", "there", "bf16"), ("gone", "there", "fp32"), ("there", "gone", "fp32")],
)
def test_without_the_private_functions_of_pytorch_the_precision_is_fp32(monkeypatch, onednn, cpu, expected):
    """A release may remove them; `auto` then means what works everywhere."""
    functions = {"_is_mkldnn_bf16_supported": lambda: True} if onednn == "there" else {}
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**functions))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    if cpu == "gone":
        monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert choose(device="cpu").precision == expected


def test_every_model_s_settings_are_options():
    assert {"width", "stage_blocks", "stem_kernel", "multiples", "partition", "epochs"} <= names().keys()
    assert "network" not in names()
