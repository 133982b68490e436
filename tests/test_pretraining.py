"""Pre-training: the error counts hidden joints only, and the weights are taken by ``start_from``."""

from dataclasses import replace

import pytest
import torch

from miga_lib import layouts, training
from miga_lib.readers import DataError
from miga_lib.settings import Settings
from miga_lib.training import pretraining, starting_weights
from miga_lib.training.inputs import Inputs

SMOKE = Settings(preset="smoke", device="cpu", precision="fp32", semantic_weight=0.0)


def test_error_worked_by_hand():
    """Two joints in four frames on a map with a side of 20 px. Only the first is hidden; in the last frame it
    is missing."""
    pixels = torch.zeros(1, 4, 2, 3)
    pixels[0, :, 0] = torch.tensor([15.0, 10.0, 0.9])
    pixels[0, :, 1] = torch.tensor([5.0, 5.0, 0.9])
    pixels[0, 3, 0] = 0
    hidden = torch.tensor([[True, False]])
    predicted = torch.zeros(1, 4, 2, 2)
    # True positions (0.25, 0); predicted (0.25, 0), (0, 0) and (0.25, 0.5): squared distances 0, 1/16 and
    # 1/4.
    predicted[0, :3, 0] = torch.tensor([[0.25, 0.0], [0.0, 0.0], [0.25, 0.5]])
    assert pretraining.error(predicted.flatten(1), pixels, hidden, 20).item() == pytest.approx(
        (1 / 16 + 1 / 4) / 3
    )
    assert pretraining.error(predicted.flatten(1), pixels, ~hidden & False, 20) == 0


def test_hidden_joints_depend_on_seed_epoch_and_clip_only(smoke):
    inputs = Inputs(smoke.split("train"), SMOKE.resolve())
    together = pretraining.hidden(inputs, torch.tensor([5, 2]), 1)
    assert torch.equal(pretraining.hidden(inputs, torch.tensor([2]), 1), together[1:])
    assert not torch.equal(pretraining.hidden(inputs, torch.tensor([2]), 2), together[1:])
    every = torch.cat([pretraining.hidden(inputs, torch.arange(len(inputs)), epoch) for epoch in range(50)])
    assert every.float().mean().item() == pytest.approx(pretraining.HIDDEN_SHARE, abs=0.02)


@pytest.mark.parametrize("model", ["posec3d", "stgcn"])
def test_it_learns_gives_the_same_bits_again_and_its_weights_start_a_run(smoke, tmp_path, model):
    settings = replace(SMOKE, model=model, epochs=20)
    errors = pretraining.pretrain(smoke, settings, tmp_path / "a.pt")
    assert errors[-1] < 0.85 * errors[0]
    assert pretraining.pretrain(smoke, settings, tmp_path / "b.pt") == errors
    weights = torch.load(tmp_path / "a.pt", weights_only=True)["state_dict"]
    started = replace(settings, start_from=str(tmp_path / "a.pt")).resolve()
    network = training.build(started, 32, 0)
    anew = set(starting_weights.start_weights(network, started, smoke.classes, 0, tmp_path / "new"))
    assert anew - {"A"} in ({"fc_cls.weight", "fc_cls.bias"}, {"fcn.weight", "fcn.bias"})
    assert all(
        torch.equal(tensor, weights[name])
        for name, tensor in network.state_dict().items()
        if name not in anew
    )


def test_weights_of_the_same_joints_in_another_order_are_taken_by_name(smoke, tmp_path, monkeypatch):
    pretraining.pretrain(smoke, replace(SMOKE, epochs=1), tmp_path / "a.pt")
    kept = torch.load(tmp_path / "a.pt", weights_only=True)["state_dict"]["backbone.conv1.conv.weight"]
    usual = layouts.get("imigue41")
    turned = layouts.make(
        "turned", usual.joints[::-1], [(40 - a, 40 - b) for a, b in usual.limbs], 40 - usual.center
    )
    started = replace(
        SMOKE, layout=str(layouts.save(turned, tmp_path / "turned.json")), start_from=str(tmp_path / "a.pt")
    ).resolve()
    network = training.build(started, 32, 0)
    assert "backbone.conv1.conv.weight" in starting_weights.start_weights(
        network, started, smoke.classes, 0, tmp_path / "new"
    )
    assert torch.equal(network.state_dict()["backbone.conv1.conv.weight"], kept.flip(1))
    limbs = replace(SMOKE, stream="limb_motion", start_from=str(tmp_path / "a.pt")).resolve()
    network = training.build(limbs, 32, 0)
    initial = network.state_dict()["backbone.conv1.conv.weight"].clone()
    starting_weights.start_weights(network, limbs, smoke.classes, 0, tmp_path / "new")
    assert torch.equal(network.state_dict()["backbone.conv1.conv.weight"], initial), (
        "channels of another stream mean something else"
    )


def test_a_stem_of_another_kernel_is_initialised_anew_also_for_other_joints(smoke, tmp_path):
    path, name = tmp_path / "a.pt", "backbone.conv1.conv.weight"
    pretraining.pretrain(smoke, replace(SMOKE, epochs=1), path)
    content = torch.load(path, weights_only=True)
    content["state_dict"][name] = torch.nn.functional.pad(content["state_dict"][name], (2, 2, 2, 2))
    torch.save(content, path)
    settings = replace(SMOKE, layout="imigue22", start_from=str(path)).resolve()
    network = training.build(settings, 32, 0)
    initial = network.state_dict()[name].clone()
    assert name in starting_weights.start_weights(network, settings, smoke.classes, 0, tmp_path / "new")
    assert torch.equal(network.state_dict()[name], initial)


def test_weights_of_another_model_and_a_damaged_origin_are_refused(smoke, tmp_path):
    path = tmp_path / "a.pt"
    pretraining.pretrain(smoke, replace(SMOKE, epochs=1), path)
    other = replace(SMOKE, model="stgcn", start_from=str(path)).resolve()
    with pytest.raises(
        ValueError,
        match="a.pt: its model is 'posec3d'; start a run of model 'stgcn' from one of the same model",
    ):
        starting_weights.start_weights(
            training.build(other, 32, 0), other, smoke.classes, 0, tmp_path / "new"
        )
    torch.save(torch.load(path, weights_only=True) | {"origin": {"model": "posec3d", "colour": "red"}}, path)
    same = replace(SMOKE, start_from=str(path)).resolve()
    with pytest.raises(
        DataError,
        match="a.pt: expected an origin of model, stream, joints, limbs, channels, found model, colour",
    ):
        starting_weights.start_weights(training.build(same, 32, 0), same, smoke.classes, 0, tmp_path / "new")


def test_the_command_prints_what_start_from_takes(tmp_path, smoke_outputs, capsys, monkeypatch):
    monkeypatch.setenv("MIGA_OUTPUTS", str(tmp_path))
    pretraining.main(["--data", "synthetic-smoke", "--preset", "smoke", "--epochs", "1", "--device", "cpu"])
    path = capsys.readouterr().out.splitlines()[-1].removeprefix("--start-from ")
    assert Settings(preset="smoke", start_from=path)
    assert torch.load(path, weights_only=True)["state_dict"]
    for wrong, message in {
        ("--stream", "elbow"): "stream must be one of",
        ("--mixing", "0.2"): "pre-training has no mixing; set it",
    }.items():
        with pytest.raises(SystemExit, match=message):
            pretraining.main(["--data", "synthetic-smoke", "--preset", "smoke", *wrong])


def test_a_small_set_has_as_many_epochs_as_the_least_number_of_steps_needs(smoke, tmp_path):
    steps = len(
        training.batches(torch.zeros(len(smoke.split("train")), dtype=torch.long), SMOKE.resolve(), 0)
    )
    assert len(pretraining.pretrain(smoke, replace(SMOKE, min_steps=3 * steps), tmp_path / "a.pt")) == 3
