"""Writes one fixture (the page MakingFixtures): an .npz with what numpy.savez would have put in it."""
import io
import json
import os
import zipfile

import numpy as np


def save(path, config, **groups):
    """groups: weights, inputs, outputs, grads, trained as dicts; losses as an array.

    The members are written one by one, because the zip headers of numpy.savez differ between
    versions of Python: equal arrays give equal bytes everywhere. ZipInfo dates them 1980-01-01.
    """
    text = json.dumps({"schema": 1, **config}, ensure_ascii=False)
    members = {"config": np.frombuffer(text.encode("utf-8"), dtype=np.uint8)}
    for group, content in groups.items():
        if isinstance(content, dict):
            members.update({f"{group}/{key}": array for key, array in content.items()})
        elif content is not None:
            members[group] = content
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in members.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.array(array, order="C"), version=(1, 0))
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data.getvalue())
