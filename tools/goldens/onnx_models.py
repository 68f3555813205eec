"""Small models around a recurrent layer, and what their ONNX graphs state: the truth for reader tests.

`variants()` yields (name, ModelProto, truth). Truth: "connections" as "from -> to reads", "obstacles" as
"module side[ branch]: operation, …" (operations only where they are certain, else "module side"),
"activation" of the linear layer, "batch_first", "initial" (zeros, stored, fed, computed).
"""
import io, logging, pathlib, sys, tempfile, warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


class Net(nn.Module):
    """An LSTM or GRU with a head, and `how` says what it computes."""

    def __init__(self, how, kind=nn.LSTM, layers=1, both=False, batch_first=False, width=None, embed=False):
        super().__init__()
        self.how, self.kind = how, kind
        if embed:
            self.emb = nn.Embedding(7, 5)
        self.rnn = kind(5, 4, layers, bidirectional=both, batch_first=batch_first)
        self.fc = nn.Linear(width or (8 if both else 4), 3)

    def forward(self, *given):
        return self.how(self, *given)


def h_of(state):
    return state[0] if isinstance(state, tuple) else state


def simple(pick):
    """A model whose head reads pick(y, h, c)."""
    def how(s, x):
        if hasattr(s, "emb"):
            x = s.emb(x)
        y, state = s.rnn(x)
        return s.fc(pick(y, h_of(state), state[1] if isinstance(state, tuple) else None))
    return how


def export(model, args, dynamo=False, dynamic=None, opset=None):
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "m.onnx")
        options = {"dynamo": dynamo, "verbose": False}
        if opset:
            options["opset_version"] = opset
        if dynamic and not dynamo:
            options |= {"input_names": ["x"], "dynamic_axes": {"x": dynamic}}
        stdout, sys.stdout = sys.stdout, io.StringIO()
        try:
            torch.onnx.export(model.eval(), args, path, **options)
        finally:
            sys.stdout = stdout
        proto = onnx.load(path)
    for node in proto.graph.node:  # stack traces, by far the most of the file
        for i in reversed(range(len(node.metadata_props))):
            if "stack" in node.metadata_props[i].key or "fx_node" in node.metadata_props[i].key:
                del node.metadata_props[i]
        node.doc_string = ""
    return proto


SEQ, LAST, FINAL = ["rnn -> fc sequence"], ["rnn -> fc last"], ["rnn -> fc final"]


def torch_models():
    """name, model, inputs, truth."""
    ids, x, xb = torch.arange(12).reshape(6, 2) % 7, torch.randn(6, 2, 5), torch.randn(2, 6, 5)
    cut = ["rnn behind", "fc before"]
    rows = [
        ("all", Net(simple(lambda y, h, c: y)), (x,), dict(connections=SEQ, batch_first=False)),
        ("all-batch-first", Net(simple(lambda y, h, c: y), nn.GRU, 2, True, True), (xb,),
         dict(connections=SEQ, batch_first=True)),
        ("tagger", Net(simple(lambda y, h, c: y), nn.LSTM, 2, True, True, embed=True), (ids.T.contiguous(),),
         dict(connections=["emb -> rnn sequence"] + SEQ, batch_first=True)),
        ("tagger-time-first", Net(simple(lambda y, h, c: y), nn.GRU, 1, False, False, embed=True), (ids,),
         dict(connections=["emb -> rnn sequence"] + SEQ, batch_first=False)),
        ("last", Net(simple(lambda y, h, c: y[-1])), (x,), dict(connections=LAST, batch_first=False)),
        ("last-batch-first", Net(simple(lambda y, h, c: y[:, -1]), batch_first=True), (xb,),
         dict(connections=LAST, batch_first=True)),
        ("last-slice", Net(simple(lambda y, h, c: y[-1:].squeeze(0)), both=True), (x,), dict(connections=LAST)),
        ("top", Net(simple(lambda y, h, c: h[-1]), layers=2), (x,), dict(connections=FINAL)),
        ("states-concatenated", Net(simple(lambda y, h, c: torch.cat([h[-2], h[-1]], 1)), layers=2, both=True),
         (x,), dict(connections=FINAL)),
        ("states-transposed", Net(simple(lambda y, h, c: h.transpose(0, 1).reshape(2, -1)), both=True), (x,),
         dict(connections=FINAL)),
        ("states-viewed", Net(simple(lambda y, h, c: torch.cat(
            tuple(h.view(2, 2, 2, 4)[-1]), -1)), nn.GRU, layers=2, both=True), (x,), dict(connections=None)),
        ("ends-of-both", Net(simple(lambda y, h, c: torch.cat([y[-1, :, :4], y[0, :, 4:]], 1)), both=True), (x,),
         dict(connections=FINAL)),
        ("flattened", Net(lambda s, x: s.fc(s.rnn(x)[0].reshape(-1, 4)).reshape(6, 2, 3)), (x,),
         dict(connections=SEQ, batch_first=False)),
        ("rows-out", Net(lambda s, x: s.fc(s.rnn(x)[0].reshape(-1, 4))), (x,),
         dict(connections=SEQ, obstacles=["fc behind"])),
        ("first", Net(simple(lambda y, h, c: y[0])), (x,), dict(connections=[], obstacles=cut)),
        ("bottom", Net(simple(lambda y, h, c: h[0]), layers=2), (x,), dict(connections=[], obstacles=cut)),
        ("swapped", Net(simple(lambda y, h, c: torch.cat([h[-1], h[-2]], 1)), both=True), (x,),
         dict(connections=[], obstacles=cut)),
        ("halves-swapped", Net(simple(lambda y, h, c: torch.cat([y[..., 4:], y[..., :4]], -1)), both=True), (x,),
         dict(connections=[], obstacles=cut)),
        ("halves-in-order", Net(simple(lambda y, h, c: torch.cat([y[..., :4], y[..., 4:]], -1)), both=True), (x,),
         dict(connections=SEQ)),
        ("half", Net(simple(lambda y, h, c: y[..., :4]), both=True, width=4), (x,),
         dict(connections=[], obstacles=cut)),
        ("cell", Net(simple(lambda y, h, c: c[-1])), (x,), dict(connections=[], obstacles=cut)),
        ("mean", Net(simple(lambda y, h, c: y.mean(0))), (x,), dict(connections=[], obstacles=cut)),
        ("directions-added", Net(simple(lambda y, h, c: y[..., :4] + y[..., 4:]), both=True, width=4), (x,),
         dict(connections=[], obstacles=cut)),
        ("tanh-between", Net(simple(lambda y, h, c: torch.tanh(y))), (x,),
         dict(connections=[], obstacles=["rnn behind: Tanh", "fc before: Tanh"])),
        ("layers-mixed", Net(simple(lambda y, h, c: torch.cat([h[0], h[1]], 1)), layers=2, width=8), (x,),
         dict(connections=[], obstacles=cut)),
        ("mixed-axes", Net(simple(lambda y, h, c: y.permute(1, 0, 2).reshape(6, 2, 4))), (x,),
         dict(connections=[], obstacles=cut)),
        ("softmax", Net(lambda s, x: s.fc(s.rnn(x)[0]).softmax(-1)), (x,),
         dict(connections=SEQ, activation="softmax")),
        ("softmax-over-time", Net(lambda s, x: s.fc(s.rnn(x)[0]).softmax(0)), (x,),
         dict(connections=SEQ, activation=None, obstacles=["fc behind"])),
        ("sigmoid", Net(lambda s, x: s.fc(s.rnn(x)[1][0][-1]).sigmoid()), (x,),
         dict(connections=FINAL, activation="sigmoid")),
        ("log-softmax-too", Net(lambda s, x: (lambda z: (z, z.log_softmax(-1)))(s.fc(s.rnn(x)[0]))), (x,),
         dict(connections=SEQ, activation="log_softmax")),
        ("around", Net(lambda s, x: s.fc(s.rnn(torch.flip((x - 0.5) / 2, [0]))[0]) * 10 + 3), (x,),
         dict(connections=SEQ, obstacles=["rnn before", "fc behind: Mul, Add"])),
        ("output-turned", Net(lambda s, x: s.fc(s.rnn(x)[0]).transpose(0, 1)), (x,),
         dict(connections=SEQ, obstacles=["fc behind: Transpose"])),
        ("residual", Net(lambda s, x: (lambda y: s.fc(y) + y[..., :3])(s.rnn(x)[0])), (x,),
         dict(connections=SEQ, obstacles=["rnn behind branch", "fc behind"])),
        ("side-output", Net(lambda s, x: (lambda y: (s.fc(y), y.mean(0)))(s.rnn(x)[0])), (x,),
         dict(connections=SEQ, obstacles=["rnn behind branch"])),
        ("fed", Net(lambda s, x, h, c: s.fc(s.rnn(x, (h, c))[0]), layers=2),
         (x, torch.randn(2, 2, 4), torch.randn(2, 2, 4)), dict(connections=SEQ, initial="fed")),
        ("fed-turned", Net(lambda s, x, h: s.fc(s.rnn(x, h.flip(0))[0]), nn.GRU, 2),
         (x, torch.randn(2, 2, 4)), dict(connections=SEQ, initial="computed")),
    ]

    class Learned(nn.Module):
        def __init__(self, both=False):
            super().__init__()
            self.h = nn.Parameter(torch.randn(4 if both else 2, 1, 4))
            self.c = nn.Parameter(torch.randn(4 if both else 2, 1, 4))
            self.rnn = nn.LSTM(5, 4, 2, bidirectional=both)
            self.fc = nn.Linear(8 if both else 4, 3)

        def forward(self, x):
            n = x.shape[1]
            return self.fc(self.rnn(x, (self.h.expand(-1, n, -1).contiguous(), self.c.repeat(1, n, 1)))[0])

    class Projected(nn.Module):
        def __init__(self, function=None):
            super().__init__()
            self.proj, self.rnn, self.fc = nn.Linear(6, 5), nn.GRU(5, 4, batch_first=True), nn.Linear(4, 3)
            self.function = function or (lambda v: v)

        def forward(self, x):
            return self.fc(self.rnn(self.function(self.proj(x)))[0])

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.a, self.b = nn.GRU(5, 4), nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.b(torch.relu(self.a(self.rnn(x)[0])))

    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder, self.fc = nn.GRU(5, 4), nn.GRU(3, 4), nn.Linear(4, 2)

        def forward(self, x, y):
            return self.fc(self.decoder(y, self.encoder(x)[1])[0])

    class Normed(nn.Module):
        def __init__(self, before):
            super().__init__()
            self.before = before
            self.norm, self.rnn, self.fc = nn.LayerNorm(5 if before else 4), nn.LSTM(5, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.rnn(self.norm(x))[0] if self.before else self.norm(self.rnn(x)[0]))

    class Stacked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.fc = nn.GRU(5, 4), nn.LSTM(4, 6, bidirectional=True), nn.Linear(12, 3)

        def forward(self, x):
            return self.fc(self.b(self.a(x)[0])[0])

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.tags, self.fc = nn.GRU(5, 4), nn.Linear(4, 7), nn.Linear(4, 3)

        def forward(self, x):
            y, h = self.rnn(x)
            return self.tags(y), self.fc(h[-1])

    rows += [
        ("learned", Learned(), (x,), dict(connections=SEQ, initial="stored")),
        ("learned-both", Learned(True), (x,), dict(connections=SEQ, initial="stored")),
        ("projection", Projected(), (torch.randn(2, 6, 6),),
         dict(connections=["proj -> rnn sequence"] + SEQ, batch_first=True)),
        ("projection-relu", Projected(torch.relu), (torch.randn(2, 6, 6),),
         dict(connections=SEQ, batch_first=True, obstacles=["rnn before: relu", "proj behind: relu"])),
        ("deep-head", Deep(), (x,), dict(connections=["rnn -> a sequence"],
                                         obstacles=["a behind: relu", "b before: relu"])),
        ("encoder-decoder", Seq2Seq(), (x, torch.randn(4, 2, 3)),
         dict(connections=["decoder -> fc sequence"], initial={"encoder": "zeros", "decoder": "computed"})),
        ("norm-before", Normed(True), (x,), dict(connections=SEQ, obstacles=["rnn before"])),
        ("norm-behind", Normed(False), (x,), dict(connections=[], obstacles=cut)),
        ("two-kinds", Stacked(), (x,), dict(connections=["a -> b sequence", "b -> fc sequence"])),
        ("two-heads", Heads(), (x,), dict(connections=["rnn -> tags sequence", "rnn -> fc final"])),
    ]
    return rows


def hand_models():
    """Graphs that no exporter of PyTorch writes."""
    rng = np.random.default_rng(4)
    f = lambda *s: (rng.standard_normal(s) * .3).astype(np.float32)
    info = helper.make_tensor_value_info

    def build(nodes, tensors, outputs=("out",), inputs=(("x", 1, ["T", "N", 5]),), opset=14):
        made = {k: numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()}
        graph = helper.make_graph(nodes, "g", [info(*i) for i in inputs],
                                  [info(o, TensorProto.FLOAT, None) for o in outputs], list(made.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8
        return model

    N = helper.make_node
    gru = {"W": f(2, 12, 5), "R": f(2, 12, 4), "B": f(2, 24), "fc.weight": f(3, 8), "fc.bias": f(3)}
    one = {"W": f(1, 12, 5), "R": f(1, 12, 4), "B": f(1, 24), "fc.weight": f(3, 4), "fc.bias": f(3)}
    run = N("GRU", ["x", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4, linear_before_reset=1,
            direction="bidirectional")
    run1 = N("GRU", ["x", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4, linear_before_reset=1)
    ints = lambda *v: np.array(v, np.int64)
    gemm = N("Gemm", ["v", "fc.weight", "fc.bias"], ["out"], transB=1)
    cut = ["rnn behind", "fc before"]
    yield "computed-shape", build(
        [run, N("Transpose", ["Y"], ["t"], perm=[0, 2, 1, 3]), N("Shape", ["x"], ["s"]),
         N("Slice", ["s", "zero", "two"], ["tn"]), N("Concat", ["tn", "eight"], ["shape"], axis=0),
         N("Reshape", ["t", "shape"], ["y"]), N("Reshape", ["y", "rows"], ["v"]), gemm],
        gru | {"zero": ints(0), "two": ints(2), "eight": ints(8), "rows": ints(-1, 8)}), dict(
            connections=SEQ, obstacles=["fc behind"])
    yield "computed-shape-swapped", build(  # (N, T, .) of what lies (T, N, .): mixes the axes
        [run, N("Transpose", ["Y"], ["t"], perm=[0, 2, 1, 3]), N("Shape", ["x"], ["s"]),
         N("Gather", ["s", "nt"], ["tn"]), N("Concat", ["tn", "eight"], ["shape"], axis=0),
         N("Reshape", ["t", "shape"], ["y"]), N("Gather", ["y", "last"], ["v"], axis=1), gemm],
        gru | {"nt": ints(1, 0), "eight": ints(8), "last": np.int64(-1)}), dict(connections=[], obstacles=cut)
    yield "reshape-without-transpose", build(  # (T, D, N, H) as (T, N, D·H) mixes directions and batch
        [run, N("Reshape", ["Y", "shape"], ["y"]), N("Gather", ["y", "last"], ["v"], axis=0), gemm],
        gru | {"shape": ints(0, -1, 8), "last": np.int64(-1)}), dict(connections=[], obstacles=cut)
    yield "gather-over-batch", build(
        [run1, N("Squeeze", ["Y", "axis"], ["y"]), N("Gather", ["y", "last"], ["v"], axis=1), gemm],
        one | {"axis": ints(1), "last": np.int64(-1)}), dict(connections=[], obstacles=cut)
    yield "split-states", build(
        [run, N("Split", ["H"], ["a", "b"], axis=0), N("Concat", ["a", "b"], ["ab"], axis=2),
         N("Squeeze", ["ab", "axis"], ["v"]), gemm], gru | {"axis": ints(0)}), dict(connections=FINAL)
    yield "split-states-swapped", build(
        [run, N("Split", ["H"], ["a", "b"], axis=0), N("Concat", ["b", "a"], ["ab"], axis=2),
         N("Squeeze", ["ab", "axis"], ["v"]), gemm], gru | {"axis": ints(0)}), dict(connections=[], obstacles=cut)
    yield "flattened-states", build(  # with both directions, Flatten keeps them apart as rows
        [run1, N("Transpose", ["H"], ["t"], perm=[1, 0, 2]), N("Flatten", ["t"], ["v"]), gemm], one), dict(
            connections=FINAL)
    lens = (("x", 1, ["T", "N", 5]), ("lengths", 6, ["N"]))
    run2 = N("GRU", ["x", "W", "R", "B", "lengths"], ["Y", "H"], name="/rnn/GRU", hidden_size=4,
             linear_before_reset=1)
    yield "lengths-last-step", build(
        [run2, N("Squeeze", ["Y", "axis"], ["y"]), N("Gather", ["y", "last"], ["v"], axis=0), gemm],
        one | {"axis": ints(1), "last": np.int64(-1)}, inputs=lens), dict(connections=[], obstacles=cut)
    yield "lengths-final", build(
        [run2, N("Squeeze", ["H", "axis"], ["v"]), gemm], one | {"axis": ints(0)}, inputs=lens), dict(
            connections=FINAL)
    yield "layout-1", build(
        [N("GRU", ["x", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4, layout=1),
         N("Squeeze", ["Y", "axis"], ["y"]), N("Gather", ["y", "last"], ["v"], axis=1), gemm],
        one | {"axis": ints(2), "last": np.int64(-1)}, inputs=(("x", 1, ["N", "T", 5]),)), dict(
            connections=LAST, batch_first=True)
    yield "half-of-the-input", build(
        [N("Slice", ["x", "zero", "five", "two"], ["part"]),
         N("GRU", ["part", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4),
         N("Squeeze", ["H", "zero"], ["v"]), gemm],
        one | {"zero": ints(0), "five": ints(5), "two": ints(2)}, inputs=(("x", 1, ["T", "N", 9]),)), dict(
            connections=FINAL, obstacles=["rnn before: Slice"])
    yield "reversed-input", build(
        [N("Slice", ["x", "last", "end", "zero", "step"], ["part"]),
         N("GRU", ["part", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4),
         N("Squeeze", ["H", "zero"], ["v"]), gemm],
        one | {"zero": ints(0), "last": ints(-1), "end": ints(-2 ** 63), "step": ints(-1)}), dict(
            connections=FINAL, obstacles=["rnn before: Slice (backwards)"])
    yield "bias-too-long", build(
        [run1, N("Squeeze", ["H", "axis"], ["v"]), N("MatMul", ["v", "w"], ["p"]),
         N("Add", ["p", "other"], ["out"])],
        {k: one[k] for k in "WRB"} | {"axis": ints(0), "w": f(4, 3), "other": f(2, 1, 3)}), dict(
            connections=["rnn -> classifier final"], obstacles=["classifier behind: Add"])
    yield "tied", build(  # the embedding's table is the head's matrix
        [N("Gather", ["emb.weight", "x"], ["e"], name="/emb/Gather"),
         N("GRU", ["e", "W", "R", "B"], ["Y", "H"], name="/rnn/GRU", hidden_size=4),
         N("Squeeze", ["H", "axis"], ["v"]), N("Transpose", ["emb.weight"], ["t"], perm=[1, 0]),
         N("MatMul", ["v", "t"], ["out"], name="/fc/MatMul")],
        {"W": f(1, 12, 4), "R": f(1, 12, 4), "B": f(1, 24), "emb.weight": f(7, 4), "axis": ints(0)},
        inputs=(("x", 7, ["T", "N"]),)), dict(connections=["emb -> rnn sequence"] + FINAL)


# With sizes of any kind these are other models: a Reshape to numbers, a Squeeze inside an If.
DYNAMIC_NOT = ("mixed-axes", "states-viewed", "flattened", "states-transposed", "last-slice")


def variants(full=False):
    """All of them; `full` exports each model in five ways."""
    ways = [("", dict())]
    if full:
        ways += [("-dynamic", dict(dynamic={0: "a", 1: "b"})), ("-9", dict(opset=9)), ("-dynamo", dict(dynamo=True)),
                 ("-unbatched-names", dict(dynamic={1: "b"}, opset=16))]
    for name, model, args, truth in torch_models():
        for suffix, options in ways:
            if options.get("dynamic") and (len(args) > 1 or name in DYNAMIC_NOT):
                continue
            try:
                proto = export(model, args, **options)
            except Exception as error:  # the exporter's own fault is not ours
                print(f"{name}{suffix}: not exported ({str(error).splitlines()[0][:80]})", file=sys.stderr)
                continue
            yield name + suffix, proto, truth
    yield from hand_models()


def problems(found, truth):
    """What a reader's account (as `rnn-inspect --json` or a test prints it) has wrong."""
    out = []
    if truth.get("connections") is not None and sorted(found["connections"]) != sorted(truth["connections"]):
        out.append(f"connections {found['connections']}, not {truth['connections']}")
    given = list(found["obstacles"])
    for wanted in truth.get("obstacles", []):
        match = [g for g in given if g == wanted or (":" not in wanted and g.startswith(wanted + ":"))]
        if not match:
            out.append(f"no obstacle '{wanted}' in {found['obstacles']}")
        for m in match:
            given.remove(m)
    if truth.get("connections") is not None and given:
        out.append(f"obstacles {given} that are none")
    if "activation" in truth and found["activation"].get("fc") != truth["activation"]:
        out.append(f"activation {found['activation']}")
    if "batch_first" in truth and found["batch_first"].get("rnn") != truth["batch_first"]:
        out.append(f"batch_first {found['batch_first']}")
    initial = truth.get("initial", "zeros")
    for module, state in found["initial"].items():
        wanted = initial.get(module) if isinstance(initial, dict) else initial
        if state != wanted:
            out.append(f"initial state of {module} {state}, not {wanted}")
    return out
