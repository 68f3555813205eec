"""State dicts whose weights stand in another form, and checkpoints with several state dicts.

    make_torch_forms.py        writes fixtures/golden/pt-forms and expected.json there
"""
import json, os, pathlib, warnings

warnings.simplefilter("ignore")
import torch
from torch import nn
import torch.nn.utils.prune as prune
from torch.nn.utils import parametrizations

torch.manual_seed(11)
folder = pathlib.Path(__file__).resolve().parents[2] / "fixtures/golden/pt-forms"
folder.mkdir(parents=True, exist_ok=True)
expected = {}


def save(name, value, tensors, skipped=(), refused=()):
    torch.save(value, folder / name)
    expected[name] = {"tensors": [[k, list(v.shape), v.flatten().tolist()] for k, v in tensors.items()],
                      "skipped": list(skipped), "refused": list(refused)}


lstm = nn.LSTM(3, 4)
prune.l1_unstructured(lstm, "weight_hh_l0", amount=0.4)
saved = dict(lstm.state_dict())
pruned = {k: v for k, v in saved.items() if "weight_hh" not in k}
pruned["weight_hh_l0"] = lstm.weight_hh_l0.detach()
order = [k.replace("_orig", "") for k in saved if not k.endswith("_mask")]
save("pruned.pt", saved, {k: pruned[k] for k in order},
     ["pruning of weight_hh_l0, worked out: weight_orig times weight_mask"])

plain = nn.LSTM(3, 4).state_dict()
fresh = torch.randn(16, 4)
beside = {"rnn.weight_hh_l0_raw": fresh, **{"rnn.module." + k: v for k, v in plain.items()}, "decoder.bias": torch.randn(2)}
save("raw-beside.pt", beside, {k: fresh if k.endswith("weight_hh_l0") else v for k, v in beside.items() if "raw" not in k},
     ["weight dropping of rnn.module.weight_hh_l0: rnn.weight_hh_l0_raw is the weight without dropout, "
      "rnn.module.weight_hh_l0 itself a stale copy"])
inside = {k.replace("weight_hh_l0", "weight_hh_l0_raw"): v for k, v in plain.items()}
save("raw-inside.pt", inside, plain, ["weight dropping of weight_hh_l0: weight_hh_l0_raw is the weight without dropout"])


class Model(nn.Module):
    def __init__(s, make):
        super().__init__()
        s.rnn = make(nn.LSTM(3, 4))
        s.fc = nn.Linear(4, 2)


old = Model(lambda m: nn.utils.spectral_norm(m, "weight_hh_l0"))
old.rnn(torch.randn(2, 1, 3))
save("spectral-old.pt", old.state_dict(), old.state_dict(), refused=["rnn"])
new = Model(lambda m: parametrizations.spectral_norm(m, "weight_hh_l0"))
save("spectral-new.pt", new.state_dict(), new.state_dict(), refused=["rnn"])
orthogonal = Model(lambda m: parametrizations.orthogonal(m, "weight_hh_l0"))
save("orthogonal.pt", orthogonal.state_dict(), orthogonal.state_dict(), refused=["rnn"])

en, de = nn.GRU(3, 4, 2, bidirectional=True).state_dict(), nn.GRU(3, 5).state_dict()
several = {**{"en." + k: v for k, v in en.items()}, **{"de." + k: v for k, v in de.items()}}
adam = torch.optim.Adam([nn.Parameter(torch.randn(2))])
adam.param_groups[0]["params"][0].grad = torch.ones(2)
adam.step()
save("several.pt", {"en": en, "de": de, "iteration": 1, "en_opt": adam.state_dict()}, several,
     ["iteration = 1", "en_opt = the state of an optimizer"])
save("top-and-dict.pt", {"w": torch.arange(3.), "other": de}, {"w": torch.arange(3.), **{"other." + k: v for k, v in de.items()}})
save("single.pt", {"voice": de, "step": 4}, de, ["step = 4"])
save("optimizer.pt", adam.state_dict(), {}, ["the file = the state of an optimizer alone, no weights"])
save("empty.pt", {}, {}, ["the file = an empty dict"])
table = nn.Embedding(5, 3, max_norm=1.0)
save("max-norm.pt", table, table.state_dict(), refused=[""])
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
print(len(expected), "files")
