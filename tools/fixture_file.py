"""Writes one fixture (DESIGN.md, section 7): an .npz that numpy.savez alone could have made."""
import json
import os

import numpy as np


def save(path, config, **groups):
    """groups: weights, inputs, outputs, grads, trained as dicts; losses as an array.

    numpy.savez dates every member 1980-01-01 and keeps their order, so equal arrays give equal
    bytes whenever this runs.
    """
    text = json.dumps({"schema": 1, **config}, ensure_ascii=False, separators=(", ", ": "))
    members = {"config": np.frombuffer(text.encode("utf-8"), dtype=np.uint8)}
    for group, content in groups.items():
        if content is None:
            continue
        if not isinstance(content, dict):
            members[group] = np.ascontiguousarray(content)
            continue
        for key, array in content.items():
            members[f"{group}/{key}"] = np.array(array, order="C", copy=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        np.savez(file, **members)
