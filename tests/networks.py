"""What the tests of the networks share: random weights and inputs, and layers computed sum by sum from a
state dict."""

import numpy as np
import torch
from torch import Tensor, nn

from miga_lib import layouts

CHAIN = layouts.make("chain", ["head", "hip", "foot"], "head-hip-foot", center="head")
NORM = ("weight", "bias", "running_mean", "running_var")


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics, so that no path is blocked by an initial 0 and no variance is
    negative. The graph of an ST-GCN gets no new limbs."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        if name == "A" or name.startswith("edge_importance"):
            tensor.mul_(1 + 0.5 * noise)
        elif tensor.dim() > 1:
            tensor.copy_(noise * tensor[0].numel() ** -0.5)
        else:
            mean = 0.5 if name.endswith("alpha") else 1
            tensor.copy_(mean + 0.1 * noise)
    return model


class Published:
    """The layers of PySkl's graph networks in numpy, for one person (C, T, V): sums over single frames and
    joints. It notes which tensors were used, by their published names."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state, self.used = state, set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.used.add(name)
        return self.state[name].double().numpy()

    def unused(self) -> list[str]:
        """The other tensors, apart from counters of batches."""
        names = self.state.keys() - self.used
        return sorted(name for name in names if not name.endswith("num_batches_tracked"))

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        """Of the first axis."""
        column = (-1, *[1] * (x.ndim - 1))
        weight, bias, mean, variance = (self[f"{name}.{part}"].reshape(column) for part in NORM)
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def over_time(self, name: str, x: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
        kernel, bias = self[f"{name}.weight"], self[f"{name}.bias"]
        _, frames, joints = x.shape
        y = np.zeros((len(kernel), -(-frames // stride), joints)) + bias[:, None, None]
        for t in range(y.shape[1]):
            for k in range(kernel.shape[2]):
                frame = t * stride + (k - kernel.shape[2] // 2) * dilation
                if 0 <= frame < frames:
                    y[:, t] += kernel[:, :, k, 0] @ x[:, frame]
        return y

    def max_pool(self, x: np.ndarray, stride: int) -> np.ndarray:
        frames = range(0, x.shape[1], stride)
        return np.stack([x[:, max(t - 1, 0) : t + 2].max(1) for t in frames], 1)

    def projection(self, name: str, x: np.ndarray, width: int) -> np.ndarray:
        if len(x) == width:
            return x
        return self.norm(f"{name}.1", self.over_time(f"{name}.0", x))

    def residual(self, name: str, x: np.ndarray, width: int, stride: int) -> np.ndarray:
        if len(x) == width:
            return x
        return self.norm(f"{name}.bn", self.over_time(f"{name}.conv", x, stride))

    def inputs(self, norm: str, poses: Tensor) -> list[np.ndarray]:
        """(C, T, V) of each person, whose values are normalised joint after joint; those of one person after
        those of another."""
        c, t, v, m = poses.shape
        values = poses.double().numpy().transpose(3, 2, 0, 1).reshape(-1, t)
        width = len(self[f"{norm}.weight"])
        parts = np.split(values, len(values) // width)
        rows = np.concatenate([self.norm(norm, part) for part in parts])
        return [person.transpose(1, 2, 0) for person in rows.reshape(m, v, c, t)]

    def heads(self, persons: list[np.ndarray]) -> list[np.ndarray]:
        feature = np.mean([person.mean((1, 2)) for person in persons], 0)
        return [self[f"{head}.weight"] @ feature + self[f"{head}.bias"] for head in ("fc_cls", "emb_fc")]


def assert_equal_outputs(outputs: tuple[Tensor, ...], expected: list[np.ndarray], clip: int) -> None:
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output[clip].detach().numpy(), value, rtol=1e-4, atol=1e-5)
