"""What readers of PyTorch programs say about connections, judged by PyTorch itself.

    check_pt_structure.py [MODELS [FIRST_SEED]]

Part 1: every model of make_torch_structure.py in all forms against its written truth.
Part 2: models put together at random; everything that is stated about them (connections, what is read, initial states,
activations, the absence of anything before and behind) is recomputed from what the modules really saw.
"""
import importlib.util, json, os, pathlib, random, subprocess, sys, tempfile, warnings

warnings.simplefilter("ignore")
import torch
from torch import nn
from torch.nn import functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
N, T, D, H = 3, 5, 4, 7

PRE = ["x"] * 8 + ["x.flip(1)", "x * 2", "x.transpose(0, 1)", "x - x.mean()", "x.contiguous()", "x[:, :]", "F.dropout(x, 0.5, self.training)"]
STATES = ["None"] * 6 + ["zeros", "stored", "bare", "scaled"]
READS = ["y"] * 4 + [
    "y[:, -1]", "y[-1]", "y[:, 0]", "y[0]", "y[..., -1, :]", "y.select(1, -1)", "y.select(0, -1)", "y[:, -1:].squeeze(1)",
    "y[:, -1:]", "y.transpose(0, 1)", "y.transpose(0, 1)[-1]", "y.permute(1, 0, 2)", "y.permute(1, 0, 2)[-1]",
    "y.mean(1)", "y.sum(0)", "y.max(1)[0]", "y[:, :, :7]", "y[:, :, -7:]", "y.chunk(2, -1)[0]", "y.split(7, 2)[-1]",
    "torch.cat(y.chunk(2, 2), 2)", "torch.cat([y[:, :, 7:], y[:, :, :7]], 2)", "y.flip(2)", "y.flip(0)",
    "torch.roll(y, 1, 1)", "y.reshape(-1, y.size(-1))", "y.contiguous().view(-1, y.size(2))", "F.relu(y)", "torch.tanh(y)",
    "y * 1.5", "y + 0", "F.layer_norm(y, [y.size(2)])", "self.norm(y)", "self.norm(y)[:, -1]", "self.drop(y)",
    "self.drop(y[:, -1])", "self.drop(h[-1])", "h[-1]", "h[0]", "h[-2]", "h", "h.squeeze(0)", "h.mean(0)", "h.transpose(0, 1)",
    "h[-1:]", "h[-1:].squeeze(0)", "h.unbind(0)[-1]", "h.transpose(0, 1).flatten(1)", "h.permute(1, 0, 2).reshape(x.size(0), -1)",
    "h[-2:].transpose(0, 1).reshape(-1, 14)", "torch.cat([h[-2], h[-1]], 1)", "torch.cat([h[-1], h[-2]], -1)",
    "torch.cat([h[0], h[1]], -1)", "torch.cat((h[-1], h[-1]), 1)", "torch.cat([h[-2:-1], h[-1:]], 2)", "torch.stack([h[0], h[-1]], 1)",
    "h.view(-1, 2, x.size(0), 7)[-1, 0]", "h.view(LAYERS, DIRECTIONS, -1, 7)[-1][0]", "h.view(LAYERS, DIRECTIONS, -1, 7)[:, -1][-1]",
    "torch.cat([y[:, -1, :7], y[:, 0, 7:]], 1)", "torch.cat([y[:, 0, :7], y[:, -1, 7:]], 1)", "torch.cat([y[:, -1], h[-1]], 1)",
    "y[:, -2]", "y[:, 1:]", "y[:, ::2]", "y[torch.arange(y.size(0)), -1]", "y.unsqueeze(1).squeeze(1)", "c[-1]", "c[0] + h[0]",
    "torch.sigmoid(h[-1])", "h[-1] + y[:, -1, :7]", "y.clone()", "y.detach()", "y.narrow(1, 0, 1)", "y.masked_fill(y > 0, 0.0)",
    "self.gate(y)", "self.gate(h[-1])", "y.abs_()", "y.transpose(1, 2)", "y.transpose(1, 2).transpose(2, 1)",
]
POST = ["z"] * 6 + [
    "torch.softmax(z, -1)", "torch.softmax(z, 0)", "torch.softmax(z, 1)", "F.log_softmax(z, dim=-1)", "torch.sigmoid(z)",
    "torch.tanh(z)", "F.relu(z)", "z.transpose(0, 1)", "z.squeeze()", "z[:, -1]", "z.reshape(-1, 3)", "z + 1", "z.relu_()",
    "z.argmax(-1)", "(z, torch.softmax(z, -1))", "(z, y)", "(z, h)", "torch.softmax(z.transpose(0, 1), -1)", "z.sum()",
    "torch.softmax(z, -1).transpose(0, 1)", "(torch.sigmoid(z), z + y.mean())", "self.two(z)", "self.two(F.relu(z))",
    "z.transpose(0, 1).transpose(0, 1)", "(z.clone().sigmoid_(), z)", "z.clone().sigmoid_()", "z[..., :2]", "self.fc(y * 0.5)",
]

TEMPLATE = '''
import torch
from torch import nn
from torch.nn import functional as F

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(13, {D}) if {EMB} else nn.Identity()
        self.rnn = nn.{CELL}({D}, {H}, {LAYERS}, batch_first={FIRST}, bidirectional={BOTH})
        self.drop = nn.Dropout(0.3)
        self.norm = nn.LayerNorm({H} * {DIRECTIONS})
        self.h0 = nn.Parameter(torch.randn({LAYERS} * {DIRECTIONS}, 1, {H}))
        self.two = nn.Linear(3, 2)
        self.gate = nn.Sequential(nn.Linear({GATE}, {GATE}), nn.Tanh())
        self.fc = nn.Linear({WIDTH}, 3)

    def read(self, x):
        x = {PRE_IDS}
        x = self.emb(x)
        x = {PRE}
        n = x.size({BATCH})
        {STATE}
        {RUN}
        return x, y, h, {READ}

    def forward(self, x):
        x = {PRE_IDS}
        x = self.emb(x)
        x = {PRE}
        n = x.size({BATCH})
        {STATE}
        {RUN}
        r = {READ}
        z = self.fc(r)
        return {POST}
'''


def build(seed, folder):
    r = random.Random(seed)
    cell = r.choice(["LSTM", "GRU", "RNN"])
    layers, both, first, emb = r.choice([1, 1, 2]), r.random() < 0.5, r.random() < 0.6, r.random() < 0.4
    directions = 2 if both else 1
    state = r.choice(STATES)
    lines = {"None": "s = None", "zeros": f"s = torch.zeros({layers * directions}, n, {H})",
             "stored": "s = self.h0.expand(-1, n, -1).contiguous()", "bare": "s = self.h0.repeat(1, n, 1)",
             "scaled": "s = self.h0.expand(-1, n, -1) * 0.5"}
    call = "x" if state == "None" else "x, (s, s)" if cell == "LSTM" else "x, s"
    run = f"y, (h, c) = self.rnn({call})" if cell == "LSTM" else f"y, h = self.rnn({call}); c = h"
    if state == "None":
        lines["None"] = "pass"
    pre = r.choice(PRE)
    facts = dict(D=D, H=H, CELL=cell, LAYERS=layers, BOTH=both, FIRST=first, EMB=emb, DIRECTIONS=directions, GATE=H * directions,
                 PRE=pre, PRE_IDS=r.choice(["x"] * 6 + ["x.flip(1)", "x.transpose(0, 1)", "x[:, 1:]"]), BATCH=0 if first else 1,
                 STATE=lines[state], RUN=run, POST=r.choice(POST), WIDTH=1)
    x = torch.randint(0, 13, (N, T)) if emb else torch.randn(N, T, D)
    for _ in range(40):
        facts["READ"] = r.choice(READS).replace("LAYERS", str(layers)).replace("DIRECTIONS", str(directions))
        try:
            with torch.no_grad():
                probe = load(folder, f"probe{seed}", facts).eval()
                facts["WIDTH"] = probe.read(x.clone())[3].shape[-1]
                model = load(folder, f"model{seed}", facts).eval()
                model(x.clone())
            return facts, model, x
        except Exception:
            facts["WIDTH"] = 1
    return None


def load(folder, name, facts):
    text = TEMPLATE
    for key, value in facts.items():
        text = text.replace("{" + key + "}", str(value))
    path = pathlib.Path(folder) / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    torch.manual_seed(3)
    return module.Model()


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for v in value for t in tensors(v)] if isinstance(value, (tuple, list)) else []


def same(a, b):
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-6)


def judge(structure, model, x):
    """Everything that is said and does not hold."""
    calls, wrong = {}, []
    hooks = [m.register_forward_hook(lambda m, i, o, n=name: calls.setdefault(n, []).append(
        ([t.clone() for t in tensors(i)], [t.clone() for t in tensors(o)]))) for name, m in model.named_modules() if name]
    with torch.no_grad():
        outputs = [t.clone() for t in tensors(model(x.clone()))]
    for hook in hooks:
        hook.remove()
    modules = {m["name"]: m for m in structure["modules"]}
    # Where time and batch are exchanged around the modules, the structure says the model's own order of axes.
    turned = any(m["kind"] == "recurrent" and m["name"] in calls
                 and m["batchFirst"] == str(not model.get_submodule(m["name"]).batch_first).lower() for m in modules.values())
    into = {}
    for c in structure["connections"]:
        into.setdefault(c["to"], []).append(c)
    leading = {c["from"] for c in structure["connections"]}
    before = {o["module"] for o in structure["obstacles"] if o["side"] == "before"}
    behind = {o["module"] for o in structure["obstacles"] if o["side"] == "behind"}

    def read(name, reads):
        y, h = calls[name][0][1][:2]
        rnn = model.get_submodule(name)
        if reads == "sequence":
            return y
        if reads == "last":
            return y[:, -1] if rnn.batch_first else y[-1]
        return torch.cat(list(h[-(2 if rnn.bidirectional else 1):]), -1)

    def result(name):
        """What a module gives when it reads what is stated."""
        module = model.get_submodule(name)
        if isinstance(module, nn.RNNBase):
            return calls[name][0][1][0]
        if modules[name]["kind"] == "embedding" and name not in before and name not in into:
            return module(x)  # in the model's own order, whatever is exchanged before and behind
        if name in into and modules[name]["kind"] == "linear":
            source = into[name][0]
            value = result(source["from"]) if modules[source["from"]]["kind"] != "recurrent" else read(source["from"], source["reads"])
            return F.linear(value, module.weight, module.bias)
        return calls[name][0][1][0]

    for name, m in modules.items():
        if m["kind"] == "other" or name not in calls:
            continue
        seen = [c[0][0] for c in calls[name]]
        if name in into and name not in before:
            for c in into[name]:
                source = modules[c["from"]]["kind"]
                value = read(c["from"], c["reads"]) if source == "recurrent" else result(c["from"])
                for s in seen:
                    shapes = [value.transpose(0, 1) if turned and source == "embedding" else value]
                    if m["kind"] == "linear":
                        shapes = [value, value.flatten(0, -2)]
                        if value.dim() == 3:
                            shapes += [value.transpose(0, 1), value.transpose(0, 1).flatten(0, 1)]
                        if value.dim() == 2:
                            shapes += [value.unsqueeze(0), value.unsqueeze(1)]
                    if not any(same(s, v) for v in shapes):
                        wrong.append(f"{c['from']} -> {name} {c['reads']}")
        elif name not in into and name not in before and not all(
                same(s, x.transpose(0, 1) if turned and m["kind"] == "recurrent" else x)
                or (m["kind"] == "embedding" or (turned and m["kind"] == "linear")) and same(s, x.transpose(0, 1)) for s in seen):
            wrong.append(f"{name} does not read the model's input")
        if name not in leading and name not in behind:
            value = result(name)
            if m.get("activation"):
                f = {"softmax": lambda v: torch.softmax(v, -1), "log_softmax": lambda v: torch.log_softmax(v, -1),
                     "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}[m["activation"]]
                value = f(value)
            if turned and value.dim() == 3 and (name in into or m["kind"] == "recurrent"):
                value = value.transpose(0, 1)
            states = m["kind"] == "recurrent" and not any(same(o, value) for o in outputs)
            if not any(same(o, value) for o in outputs) and not (states and len(calls[name]) == 0):
                wrong.append(f"{name} is no output")
        if m["kind"] == "recurrent":
            given = calls[name][0][0][1:]
            kind = m["initial"]
            zero = all(not g.any() for g in given)
            if kind == "zeros" and not zero:
                wrong.append("states are not zeros")
            if kind.startswith("stored"):
                h0 = model.get_parameter(kind.split()[1])
                if not all(same(g, h0.expand_as(g)) for g in given):
                    wrong.append("states are not those stored")
            if kind == "fed":
                wrong.append("nobody feeds states")
    return wrong


def swift(**environment):
    command = ["swift", "test", "-j", "2", "--skip-build", "--filter", "TorchStructureTests"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    subprocess.run(["swift", "build", "--build-tests", "-j", "2"], cwd=ROOT, check=True, capture_output=True)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, ROOT / "tools/goldens/make_torch_structure.py", folder, "--all"], check=True)
        code, text = swift(RECURRENT_TORCH_STRUCTURES=folder)
        if code:
            failures += 1
            print("\n".join(line for line in text.splitlines() if "issue" in line))
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for seed in range(first, first + count):
            built = build(seed, folder)
            if built is None:
                continue
            facts, model, x = built
            for form in ["script.pt", "trace.pt", "export.pt2"]:
                path = os.path.join(folder, f"{seed}.{form}")
                try:
                    with torch.no_grad():
                        if form == "script.pt":
                            torch.jit.script(model).save(path)
                        elif form == "trace.pt":
                            torch.jit.trace(model, (x.clone(),), check_trace=False).save(path)
                        else:
                            torch.export.save(torch.export.export(model, (x.clone(),)), path)
                    models[f"{seed}.{form}"] = built
                except Exception:
                    if os.path.exists(path):
                        os.remove(path)
        code, text = swift(RECURRENT_TORCH_DUMP=folder)
        if code:
            sys.exit(text)
        found = json.load(open(os.path.join(folder, "structures.json")))
        stated, plain, missed = 0, 0, []
        for name, (facts, model, x) in models.items():
            wrong = judge(found[name], model, x)
            heads = [c for c in found[name]["connections"] if c["from"] == "rnn" and c["to"] == "fc"]
            stated += bool(heads)
            if wrong:
                failures += 1
                print(name, wrong, {k: facts[k] for k in ["CELL", "LAYERS", "FIRST", "BOTH", "EMB", "PRE_IDS", "PRE", "STATE", "READ", "POST"]})
                print("   ", found[name]["connections"], found[name]["obstacles"])
            if not heads:
                # A head that reads what a head can read, and is not stated, is a loss but no lie.
                with torch.no_grad():
                    _, y, h, r = model.read(x.clone())
                last = y[:, -1] if facts["FIRST"] else y[-1]
                final = torch.cat(list(h[-facts["DIRECTIONS"]:]), -1)
                if any(same(r, v) for v in [y, last, final]):
                    missed.append((name, facts["READ"], facts["POST"]))
        print(f"{len(models)} programs, {stated} heads stated, {len(missed)} heads not stated that are heads, {failures} failures")
        for line in missed:
            print("  not stated:", *line)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
