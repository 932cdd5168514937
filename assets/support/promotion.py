"""The promoted model: the one that a new one is held against. `HOME/promoted_model.json` holds its figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm.errors import AbsentError, InputError
from lm.local_store import replace_file
from lm.locations import is_remote
from lm.storage import open_artifact
from lm.store_access import request
from pipelines.paths import artifact_path

MODEL = "pretrained_model"
_FILE = "promoted_model.json"


def promote(root: Path) -> dict[str, Any]:
    """Promote the pre-trained model of the home `root`, in place of an earlier one; return what is kept of it.

    Raises:
        InputError: there is no pre-trained model.
    """
    model = open_artifact(artifact_path(MODEL, root=root))
    kept = {
        "digest": model.digest,
        "bits_per_byte": model.summary["bits_per_byte"],
        "token_shards": model.inputs["token_shards"],
    }
    path, data = root / _FILE, (json.dumps(kept, indent=1) + "\n").encode()
    if is_remote(path):
        request(path, lambda: path.write_bytes(data))
    else:
        replace_file(path, data)
    return kept


def promoted(root: Path) -> Mapping[str, Any] | None:
    """Return what is kept of the promoted model; None if none was promoted.

    Raises:
        InputError: the file is damaged.
    """
    path = root / _FILE
    try:
        data = path.read_bytes() if not is_remote(path) else request(path, path.read_bytes)
    except (FileNotFoundError, AbsentError):
        return None
    try:
        found = json.loads(data)
        return {"digest": str(found["digest"]), "bits_per_byte": float(found["bits_per_byte"]), **found}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: expected digest, bits_per_byte and token_shards of the promoted model") from None
