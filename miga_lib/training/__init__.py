"""Training: the input of a network (``inputs``), the loop (``loop``), several processes (``distributed``),
checkpoints (``checkpoint``), predictions of finished runs (``predicted``), what keeps a GPU busy (``gpu``).

``python -m miga_lib.training --stream limb --preset paper`` trains without a notebook; under ``torchrun`` on
several devices.
"""

from ..settings import choose, of_parameters
from .loop import batches, fit, left_out, print_epoch
from .networks import autocast, build, load_model, predict
from .predicted import predictions_of

__all__ = [
    "autocast",
    "batches",
    "build",
    "choose",
    "fit",
    "left_out",
    "load_model",
    "of_parameters",
    "predict",
    "predictions_of",
    "print_epoch",
]
