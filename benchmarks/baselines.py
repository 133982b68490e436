"""The `quick` preset compared with the majority class and a linear classifier, on the synthetic test split.

    python benchmarks/baselines.py --seeds 0 1 2

The linear classifier gets the same preparation as the network: clips are aligned and coordinates are cropped
to the person. Its regularisation is chosen on the validation split. Seeds are those of the network; the other
two are not random.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from miga_lib import alignment, augmentation, metrics, training
from miga_lib.clips import Clips, load
from miga_lib.predictions import Predictions
from miga_lib.runs import run_folder, run_name

FRAMES = 16
INVERSE_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Values of C of ``LogisticRegression`` to choose from."""


def features(clips: Clips) -> np.ndarray:
    """Aligned coordinates relative to the person's box, and scores: (N, T·V·3)."""
    aligned = torch.stack([alignment.align(torch.tensor(clips[i]), FRAMES) for i in range(len(clips))])
    boxed = augmentation.to_pixels(aligned, augmentation.crop_box(aligned), (1, 1))
    present = boxed[..., 2:] > 0
    return torch.where(present, boxed, 0.0).flatten(1).numpy()


def linear(data_set: Clips) -> dict[str, Predictions]:
    """Predictions of val and test by logistic regression, with the penalty that is best on val."""
    train = data_set.split("train")
    inputs, labels = features(train), train.table["label"].to_numpy()
    candidates = []
    for inverse_penalty in INVERSE_PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=500))
        model.fit(inputs, labels)
        candidates.append({split: _predict(model, data_set.split(split)) for split in ("val", "test")})
    return max(candidates, key=lambda predicted: metrics.scores(predicted["val"])["top1"])


def _predict(model, clips: Clips) -> Predictions:
    probabilities = np.zeros((len(clips), len(clips.classes)))
    probabilities[:, model.classes_] = model.predict_proba(features(clips))
    return _predictions(clips, probabilities)


def _predictions(clips: Clips, probabilities: np.ndarray) -> Predictions:
    ids, labels = clips.table["id"].to_numpy(str), clips.table["label"].to_numpy()
    return Predictions(ids, labels, probabilities, np.array(clips.classes))


def majority(data_set: Clips) -> Predictions:
    """The most frequent training class, predicted for every clip."""
    test = data_set.split("test")
    predicted = data_set.split("train").table["label"].mode()[0]
    return _predictions(test, np.eye(len(test.classes))[np.full(len(test), predicted)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--streams", nargs="+", default=["joint"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    chosen = parser.parse_args()
    data_set = load(chosen.data)
    rows = [{"method": "majority class", **metrics.scores(majority(data_set))}]
    rows.append({"method": "linear on aligned coordinates", **metrics.scores(linear(data_set)["test"])})
    for stream in chosen.streams:
        for seed in chosen.seeds:
            settings = training.choose(stream=stream, preset=chosen.preset, seed=seed)
            result = training.fit(data_set, settings, run_folder(run_name(settings, chosen.data)))
            row = {"method": f"PoseC3D {stream}, seed {seed}", "seconds": result["seconds"]}
            rows.append(row | result["scores"]["test"])
    table = pd.DataFrame(rows)[["method", "top1", "top5", "mean_class", "macro_f1", "seconds"]]
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep="–"))
