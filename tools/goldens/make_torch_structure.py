"""Models around recurrent layers whose connections are known, saved in four forms with what a reader must state.

    make_torch_structure.py [DIRECTORY] [--all]

Writes NAME.script.pt, NAME.trace.pt, NAME.export.pt2, NAME.module.pt and expected.json. Without --all only the
models that are marked as golden; without a directory into fixtures/golden/pt-structure.
"""
import json, os, sys, warnings

warnings.simplefilter("ignore")
import torch
from torch import nn
from torch.nn import functional as F
from typing import Optional, Tuple

torch.manual_seed(7)
N, T, D = 3, 4, 5
CASES = []


def case(name, model, x, connections, obstacles=(), activations=None, initial=None, forms="stem", golden=False, **own):
    """forms: s(cript), t(race), e(xport), m(odule). own: what one form states instead."""
    CASES.append(dict(name=name, model=model.eval(), x=x if isinstance(x, tuple) else (x,), connections=connections,
                      obstacles=obstacles, activations=activations or {}, initial=initial or {}, forms=forms,
                      golden=golden, own=own))


X = torch.randn(N, T, D)        # batch first
S = torch.randn(T, N, D)        # time first
I = torch.randint(0, 11, (N, T))


class Base(nn.Module):
    """emb? -> rnn -> fc, with one thing changed by each subclass."""

    def __init__(s, cell="LSTM", layers=1, both=False, first=True, emb=False, out=3, inputs=D, hidden=7, **kw):
        super().__init__()
        if emb:
            s.emb = nn.Embedding(11, D, padding_idx=0)
        s.rnn = getattr(nn, cell)(inputs, hidden, layers, batch_first=first, bidirectional=both, **kw)
        s.fc = nn.Linear(hidden * (2 if both else 1), out)


class Sequence(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y)


case("sequence", Sequence(), X, ["rnn -> fc sequence"], golden=True)
case("sequence-time-first", Sequence("GRU", 2, first=False, dropout=0.25), S, ["rnn -> fc sequence"])
case("sequence-both", Sequence("RNN", both=True, nonlinearity="relu"), X, ["rnn -> fc sequence"])


class Tagger(Base):
    def __init__(s, **kw):
        super().__init__(emb=True, **kw)
        s.drop = nn.Dropout(0.2)

    def forward(s, x):
        y, h = s.rnn(s.drop(s.emb(x)))
        return F.log_softmax(s.fc(s.drop(y)), dim=2)


case("tagger", Tagger(cell="GRU", layers=2, both=True, bias=False), I, ["emb -> rnn sequence", "rnn -> fc sequence"],
     activations={"fc": "log_softmax"}, golden=True)


class Last(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return torch.sigmoid(s.fc(y[:, -1]))


case("last", Last(both=True), X, ["rnn -> fc last"], activations={"fc": "sigmoid"}, golden=True)


class LastTimeFirst(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y[-1, :, :])


case("last-time-first", LastTimeFirst("GRU", first=False), S, ["rnn -> fc last"])


class LastSlice(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y[:, -1:, :].squeeze(1))


case("last-slice", LastSlice("GRU"), X, ["rnn -> fc last"])


class WrongLast(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y[-1])


case("row-not-step", WrongLast("GRU"), X, [], [("rnn", "behind"), ("fc", "before")])


class First(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y[:, 0])


case("first-step", First(), X, [], [("rnn", "behind"), ("fc", "before")])


class Final(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        return s.fc(h[-1])


case("final", Final(layers=2), X, ["rnn -> fc final"])


class FinalBoth(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        return torch.softmax(s.fc(torch.cat([h[-2], h[-1]], dim=1)), dim=1)


case("final-both", FinalBoth(layers=2, both=True), X, ["rnn -> fc final"], activations={"fc": "softmax"}, golden=True)


class FinalSwapped(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        return s.fc(torch.cat([h[-1], h[-2]], dim=1))


case("final-swapped", FinalSwapped(layers=2, both=True), X, [], [("rnn", "behind"), ("fc", "before")], golden=True)


class FinalView(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        h = h.view(2, 2, -1, 7)[-1]
        return s.fc(torch.cat([h[0], h[1]], dim=-1))


case("final-view", FinalView(layers=2, both=True), X, ["rnn -> fc final"])


class FinalTransposed(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        return s.fc(h[-2:].transpose(0, 1).flatten(1))


case("final-transposed", FinalTransposed(layers=2, both=True), X, ["rnn -> fc final"])


class FinalPermuted(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(h.permute(1, 0, 2).squeeze(1))


case("final-permuted", FinalPermuted("GRU"), X, ["rnn -> fc final"])


class FinalUnsqueezed(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(h)


case("final-keeps-axis", FinalUnsqueezed("GRU"), X, ["rnn -> fc final"], [("fc", "behind")])


class LowerLayer(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(h[0])


case("lower-layer", LowerLayer("GRU", layers=2), X, [], [("rnn", "behind"), ("fc", "before")])


class CellState(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        return s.fc(c[-1])


case("cell-state", CellState(), X, [], [("rnn", "behind"), ("fc", "before")], golden=True)


class Ends(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(torch.cat([y[:, -1, :7], y[:, 0, 7:]], dim=1))


case("both-ends", Ends("GRU", both=True), X, ["rnn -> fc final"])


class Halves(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        a, b = torch.chunk(y, 2, dim=-1)
        return s.fc(torch.cat([b, a], dim=-1))


case("swapped-halves", Halves("GRU", both=True), X, [], [("rnn", "behind"), ("fc", "before")])


class Norm(Base):
    def __init__(s, **kw):
        super().__init__(**kw)
        s.norm = nn.LayerNorm(7)

    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(s.norm(y))


case("norm", Norm(), X, [], [("rnn", "behind"), ("fc", "before")], golden=True)


class Relu(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(F.relu(y))


case("relu", Relu(), X, [], [("rnn", "behind"), ("fc", "before")])


class Residual(Base):
    def __init__(s, **kw):
        super().__init__(hidden=D, **kw)

    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y + x)


case("residual", Residual(), X, [], [("rnn", "behind"), ("fc", "before")])


class Attention(Base):
    def forward(s, x):
        y, (h, c) = s.rnn(x)
        w = torch.softmax(torch.bmm(y, h[-1].unsqueeze(2)), dim=1)
        return s.fc((w * y).sum(1))


case("attention", Attention(), X, [], [("rnn", "behind"), ("fc", "before")])


class Projection(Base):
    def __init__(s):
        super().__init__(inputs=6)
        s.inp = nn.Linear(D, 6)

    def forward(s, x):
        y, h = s.rnn(s.inp(x))
        return s.fc(y)


case("projection-before", Projection(), X, ["inp -> rnn sequence", "rnn -> fc sequence"])


class ProjectionTanh(Projection):
    def forward(s, x):
        y, h = s.rnn(torch.tanh(s.inp(x)))
        return s.fc(y)


case("projection-tanh", ProjectionTanh(), X, ["rnn -> fc sequence"], [("inp", "behind"), ("rnn", "before")])


class Flipped(Base):
    def forward(s, x):
        y, h = s.rnn(x.flip(1))
        return s.fc(y)


case("flipped", Flipped(), X, ["rnn -> fc sequence"], [("rnn", "before")], golden=True)


class Scaled(Base):
    def __init__(s, **kw):
        super().__init__(**kw)
        s.register_buffer("mean", torch.randn(D))

    def forward(s, x):
        y, h = s.rnn((x - s.mean) / 2)
        return s.fc(y)


case("scaled-input", Scaled(), X, ["rnn -> fc sequence"], [("rnn", "before")])


class TransposedInput(Base):
    def forward(s, x):
        y, h = s.rnn(x.transpose(0, 1))
        return s.fc(y.transpose(0, 1))


# The scripted class does not say how many axes its input has; of two it would be time and features.
case("transposed", TransposedInput(first=False), X, ["rnn -> fc sequence"], [("rnn", "before"), ("fc", "behind")],
     trace=dict(obstacles=[], batch_first=True), export=dict(obstacles=[], batch_first=True))


class TransposedBack(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y.transpose(0, 1)).transpose(0, 1)


case("transposed-back", TransposedBack(), X, ["rnn -> fc sequence"])


class Flat(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y.reshape(-1, 7))


case("flattened", Flat(), X, ["rnn -> fc sequence"], [("fc", "behind")])


class Stored(Base):
    def __init__(s, **kw):
        super().__init__("LSTM", 2, **kw)
        s.h0 = nn.Parameter(torch.randn(2, 1, 7))
        s.register_buffer("c0", torch.randn(2, 1, 7))

    def forward(s, x):
        n = x.size(0)
        y, h = s.rnn(x, (s.h0.expand(-1, n, -1).contiguous(), s.c0.repeat(1, n, 1)))
        return s.fc(y)


case("stored-state", Stored(), X, ["rnn -> fc sequence"], initial={"rnn": "stored h0 c0"}, golden=True)


class StoredVector(Base):
    def __init__(s, **kw):
        super().__init__("GRU", 1, **kw)
        s.h0 = nn.Parameter(torch.randn(7))

    def forward(s, x):
        h0 = s.h0.unsqueeze(0).unsqueeze(0).expand(1, x.size(0), 7).contiguous()
        y, h = s.rnn(x, h0)
        return s.fc(y)


case("stored-vector", StoredVector(), X, ["rnn -> fc sequence"], initial={"rnn": "computed"})


class Zeros(Base):
    def forward(s, x):
        h0 = torch.zeros(1, x.size(0), 7)
        y, h = s.rnn(x, (h0, torch.zeros(1, x.size(0), 7)))
        return s.fc(y)


case("zeros-by-hand", Zeros(), X, ["rnn -> fc sequence"])


class Fed(Base):
    def forward(s, x, h: Tuple[torch.Tensor, torch.Tensor]):
        y, h = s.rnn(x, h)
        return s.fc(y), h


case("fed", Fed(), (X, (torch.randn(1, N, 7), torch.randn(1, N, 7))), ["rnn -> fc sequence"], initial={"rnn": "fed"},
     golden=True)


class TwoStacks(nn.Module):
    def __init__(s):
        super().__init__()
        s.rnn1 = nn.LSTM(D, 6, batch_first=True)
        s.rnn2 = nn.GRU(6, 7, batch_first=True)
        s.fc = nn.Linear(7, 2)

    def forward(s, x):
        return s.fc(s.rnn2(s.rnn1(x)[0])[0])


case("two-stacks", TwoStacks(), X, ["rnn1 -> rnn2 sequence", "rnn2 -> fc sequence"])


class TwoOrders(TwoStacks):
    def __init__(s):
        super().__init__()
        s.rnn2 = nn.GRU(6, 7)


case("two-orders", TwoOrders(), X, ["rnn2 -> fc sequence"], [("rnn1", "behind"), ("rnn2", "before")])


class Seq2Seq(nn.Module):
    def __init__(s):
        super().__init__()
        s.encoder = nn.ModuleDict({"emb": nn.Embedding(11, D), "rnn": nn.GRU(D, 7, batch_first=True)})
        s.decoder = nn.GRU(D, 7, batch_first=True)
        s.out = nn.Linear(7, 11)

    def forward(s, x):
        e = s.encoder["emb"](x)
        y, h = s.encoder["rnn"](e)
        z, _ = s.decoder(e, h)
        return s.out(z)


case("seq2seq", Seq2Seq(), I, ["encoder.emb -> encoder.rnn sequence", "encoder.emb -> decoder sequence",
                               "decoder -> out sequence"], [("encoder.rnn", "behind")],
     initial={"decoder": "computed"}, golden=True)


class Head(nn.Module):
    def __init__(s):
        super().__init__()
        s.rnn = nn.GRU(D, 7, batch_first=True)
        s.head = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, 2), nn.Softmax(-1))

    def forward(s, x):
        y, h = s.rnn(x)
        return s.head(y[:, -1])


case("mlp-head", Head(), X, ["rnn -> head.0 last"], [("head.0", "behind"), ("head.3", "before")],
     activations={"head.3": "softmax"}, golden=True)


class Unused(Base):
    def __init__(s):
        super().__init__()
        s.other = nn.Linear(7, 3)

    def forward(s, x):
        return s.fc(s.rnn(x)[0])


case("unused", Unused(), X, ["rnn -> fc sequence"])


class Condition(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        if x.size(0) > 2:
            y = y * 2
        return s.fc(y)


case("condition", Condition(), X, [], [("rnn", "behind"), ("fc", "before")], forms="st", golden=True)


class Loop(nn.Module):
    def __init__(s):
        super().__init__()
        s.emb = nn.Embedding(11, D)
        s.cell = nn.GRUCell(D, 7)
        s.fc = nn.Linear(7, 3)

    def forward(s, x):
        h = torch.zeros(x.size(0), 7)
        for i in range(x.size(1)):
            h = s.cell(s.emb(x[:, i]), h)
        return s.fc(h)


case("cell-loop", Loop(), I, ["emb -> cell sequence"], [("emb", "before"), ("cell", "behind"), ("fc", "before")],
     script=dict(connections=[], obstacles=[("emb", "before"), ("emb", "behind"), ("cell", "before"),
                                            ("cell", "behind"), ("fc", "before")]))


class InPlace(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        z = y[:, 0]
        z.mul_(2)
        return s.fc(y)


case("in-place", InPlace(), X, [], [("rnn", "behind"), ("fc", "before")], golden=True)


class Optional_(Base):
    def forward(s, x, h: Optional[torch.Tensor] = None):
        y, h = s.rnn(x, h)
        return s.fc(y), h


case("optional-state", Optional_("GRU"), (X, torch.randn(1, N, 7)), ["rnn -> fc sequence"], initial={"rnn": "fed"})


class Branch(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y), y.mean(1)


case("side-branch", Branch(), X, ["rnn -> fc sequence"], [("rnn", "behind*")])


class Both(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        return s.fc(y[:, -1]), s.fc(y)


case("read-twice", Both("GRU"), X, [], [("rnn", "behind"), ("fc", "before")])


class LogitsAndProbabilities(Base):
    def forward(s, x):
        y, h = s.rnn(x)
        z = s.fc(y)
        return z, torch.softmax(z, -1)


case("logits-and-probabilities", LogitsAndProbabilities(), X, ["rnn -> fc sequence"], [("fc", "behind*")])


class Packed(Base):
    def forward(s, x, lengths):
        p = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        y, h = s.rnn(p)
        y, n = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return s.fc(y)


case("packed", Packed("GRU"), (X, torch.tensor([4, 3, 1])), ["rnn -> fc sequence"], forms="st")


class PackedFinal(Base):
    def forward(s, x, lengths):
        p = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        y, h = s.rnn(p)
        return s.fc(h[-1])


case("packed-final", PackedFinal("GRU"), (X, torch.tensor([4, 3, 1])), ["rnn -> fc final"], forms="st")


class ProjectedLSTM(nn.Module):
    def __init__(s):
        super().__init__()
        s.rnn = nn.LSTM(D, 7, 2, batch_first=True, proj_size=4)
        s.fc = nn.Linear(4, 2)

    def forward(s, x):
        return s.fc(s.rnn(x)[0])


case("projected-lstm", ProjectedLSTM(), X, ["rnn -> fc sequence"])


class Tied(nn.Module):
    def __init__(s):
        super().__init__()
        s.emb = nn.Embedding(11, 7)
        s.rnn = nn.GRU(7, 7, batch_first=True)
        s.fc = nn.Linear(7, 11)
        s.fc.weight = s.emb.weight

    def forward(s, x):
        return s.fc(s.rnn(s.emb(x))[0])


case("tied", Tied(), I, ["emb -> rnn sequence", "rnn -> fc sequence"])


class Bare(nn.Module):
    """A recurrent layer alone, inside a wrapper that throws nothing away."""

    def __init__(s):
        super().__init__()
        s.core = nn.Sequential(nn.LSTM(D, 7, bidirectional=True))

    def forward(s, x):
        return s.core(x)


case("bare", Bare(), S, [])

KINDS = {nn.LSTM: "recurrent", nn.GRU: "recurrent", nn.RNN: "recurrent", nn.LSTMCell: "cell", nn.GRUCell: "cell",
         nn.RNNCell: "cell", nn.Embedding: "embedding", nn.Linear: "linear"}


def modules(model):
    found = []
    for name, module in model.named_modules():
        own = list(module.parameters(recurse=False)) + list(module.buffers(recurse=False))
        if type(module).__module__.startswith("torch.nn"):
            if isinstance(module, (nn.Sequential, nn.ModuleDict, nn.ModuleList)):
                continue
        elif not own:
            continue
        entry = dict(name=name, kind=KINDS.get(type(module), "other"), className=type(module).__name__)
        if entry["kind"] == "recurrent":
            entry.update(cell=module.mode.lower(), inputSize=module.input_size, hiddenSize=module.hidden_size,
                         layerCount=module.num_layers, projSize=module.proj_size or None, hasBias=module.bias,
                         batchFirst=module.batch_first, dropout=float(module.dropout),
                         direction="both" if module.bidirectional else "forward")
        if entry["kind"] == "embedding":
            entry["paddingIndex"] = module.padding_idx
        found.append(entry)
    return found


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    folder = arguments[0] if arguments else os.path.join(os.path.dirname(__file__), "../../fixtures/golden/pt-structure")
    os.makedirs(folder, exist_ok=True)
    expected = {}
    for c in CASES:
        if not ("--all" in sys.argv or c["golden"]):
            continue
        for form, key in [("script", "s"), ("trace", "t"), ("export", "e"), ("module", "m")]:
            if key not in c["forms"]:
                continue
            name = f"{c['name']}.{form}.{'pt2' if form == 'export' else 'pt'}"
            path = os.path.join(folder, name)
            with torch.no_grad():
                if form == "script":
                    torch.jit.script(c["model"]).save(path)
                elif form == "trace":
                    torch.jit.trace(c["model"], c["x"], check_trace=False).save(path)
                elif form == "export":
                    torch.export.save(torch.export.export(c["model"], c["x"]), path)
                else:
                    torch.save(c["model"], path)
            truth = dict(form=form, modules=modules(c["model"]))
            if form == "module":
                truth.update(states=False, connections=[], obstacles=[], activations={}, initial={})
            else:
                own = c["own"].get(form, {})
                for m in truth["modules"]:
                    if m["kind"] == "recurrent":
                        m["batchFirst"] = own.get("batch_first", m["batchFirst"])
                truth.update(states=True, connections=sorted(own.get("connections", c["connections"])),
                             obstacles=sorted(" ".join(o) for o in own.get("obstacles", c["obstacles"])),
                             activations=c["activations"],
                             initial={m["name"]: c["initial"].get(m["name"], "zeros") for m in truth["modules"]
                                      if m["kind"] == "recurrent"})
            expected[name] = truth
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(expected, file, indent=1, sort_keys=True)
    print(len(expected), "files in", folder)


if __name__ == "__main__":
    main()
