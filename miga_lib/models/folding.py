"""A network for prediction: batch norm as part of the convolution before it."""

import copy
import itertools
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(model: Network) -> Network:
    """A copy of a network in evaluation mode: the same results, faster.

    Where a convolution is directly followed by batch norm in an ``nn.Sequential``, the norm becomes part of
    the convolution.
    """
    model = copy.deepcopy(model).eval()
    for parts in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for (first, convolution), (second, norm) in itertools.pairwise(list(parts.named_children())):
            if isinstance(convolution, nn.Conv2d | nn.Conv3d) and isinstance(
                norm, nn.BatchNorm2d | nn.BatchNorm3d
            ):
                parts.add_module(first, fuse_conv_bn_eval(convolution, norm))
                parts.add_module(second, nn.Identity())
    return model
