"""A network for prediction: batch norm as part of the convolution before it."""

import copy
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(model: Network) -> Network:
    """A copy of a network in evaluation mode: the same results, faster. In each ``nn.Sequential``, a batch
    norm that directly follows a convolution becomes part of it."""
    model = copy.deepcopy(model).eval()
    for layers in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for (conv_name, conv), (norm_name, norm) in pairwise(list(layers.named_children())):
            if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                layers.add_module(conv_name, fuse_conv_bn_eval(conv, norm))
                layers.add_module(norm_name, nn.Identity())
    return model
