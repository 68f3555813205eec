"""Cases from PyTorch: state dicts, modules, TorchScript and exported graphs."""
import json
import subprocess
import sys

import numpy as np

from .cases import case, net, normal
from .truth import same

STEPS5 = [("steps", 5)]


@case
def a_head_behind_a_norm(tools):
    for index, norm in enumerate(["nn.LayerNorm(16)", "nn.Sequential(nn.LayerNorm(16), nn.ReLU())", "nn.Linear(16, 16)"]):
        text = net({"rnn": "nn.GRU(5, 16)", "norm": norm, "fc": "nn.Linear(16, 3)"},
                   ["return self.fc(self.norm(self.rnn(x)[0]))"])
        tools.torch_model(f"norm {index}", text, STEPS5)


@case
def a_projection_before_the_rnn(tools):
    for cell, hidden, inputs in (("LSTM", 6, 6), ("GRU", 9, 5), ("RNN", 5, 5)):
        text = net({"proj": f"nn.Linear({inputs}, {inputs})", "rnn": f"nn.{cell}({inputs}, {hidden})"},
                   ["return self.rnn(self.proj(x))[0]"])
        tools.torch_model(f"projection {cell}", text, [("steps", inputs)])


@case
def a_projection_without_bias_is_no_embedding(tools):
    text = net({"inp": "nn.Linear(7, 4, bias=False)", "rnn": "nn.LSTM(4, 6)"}, ["return self.rnn(self.inp(x))[0]"])
    tools.torch_model("no bias", text, [("steps", 7)])


@case
def encoder_and_decoder_have_each_their_own(tools):
    for cell, hidden in (("GRU", 6), ("RNN", 8)):
        text = (f"class Enc(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
                f"        self.embedding = nn.Embedding(11, 4)\n        self.rnn = nn.{cell}(4, {hidden})\n\n"
                f"    def forward(self, x):\n        return self.rnn(self.embedding(x))[1]\n\n\n"
                f"class Dec(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
                f"        self.embedding = nn.Embedding(9, 5)\n        self.rnn = nn.{cell}(5, {hidden})\n"
                f"        self.fc_out = nn.Linear({hidden}, 9)\n\n"
                f"    def forward(self, y, h):\n        return self.fc_out(self.rnn(self.embedding(y), h)[0])\n\n\n")
        text += net({"encoder": "Enc()", "decoder": "Dec()"}, ["return self.decoder(y, self.encoder(x))"], "x, y")
        tools.torch_model(f"encoder decoder {cell}", text, [("tokens", 11), ("tokens", 9)])


@case
def two_pairs_of_stack_and_head(tools):
    for one, two in (("actor", "critic"), ("left", "right")):
        box = lambda n, c: (f"class {n.capitalize()}(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
                            f"        self.rnn = nn.GRU(4, 6)\n        self.out = nn.Linear(6, {c})\n\n"
                            f"    def forward(self, x):\n        return self.out(self.rnn(x)[0])\n\n\n")
        text = box(one, 3) + box(two, 1) + net({one: f"{one.capitalize()}()", two: f"{two.capitalize()}()"},
                                               [f"return self.{one}(x), self.{two}(x)"])
        tools.torch_model(f"{one} and {two}", text, [("steps", 4)])


@case
def cells_under_their_own_names(tools):
    import torch
    from torch import nn
    for kind, gates in (("GRUCell", 3), ("LSTMCell", 4), ("RNNCell", 1)):
        torch.manual_seed(gates)
        m = nn.Module()
        m.embedding, m.step, m.out = nn.Embedding(9, 4), getattr(nn, kind)(4, 6), nn.Linear(6, 9)
        torch.save(m.state_dict(), tools.path("cell.pt"))
        done = tools.convert("cell.pt", "cell.npz", "--as", "torch")
        if tools.expect(done.returncode == 0, f"{kind}: {done.text[:300]}"):
            check_state(tools, "cell.npz", m.state_dict())
        done = tools.convert("cell.pt", "cell.h5")
        tools.expect(done.returncode == 0, f"{kind} to HDF5: {done.text[:300]}")
    torch.manual_seed(9)
    m = nn.Module()
    m.encoder, m.decoder = nn.LSTM(8, 4, bidirectional=True), nn.LSTMCell(8, 10)
    torch.save(m.state_dict(), tools.path("seq.pt"))
    done = tools.convert("seq.pt", "seq.npz", "--as", "torch")
    if tools.expect(done.returncode == 0, f"a stack and a cell: {done.text[:300]}"):
        check_state(tools, "seq.npz", m.state_dict())
    done = tools.convert("seq.pt", "dec.npz", "--as", "torch", "--module", "decoder")
    if tools.expect(done.returncode == 0, f"--module decoder: {done.text[:300]}"):
        check_state(tools, "dec.npz", {k: v for k, v in m.state_dict().items() if k.startswith("decoder.")})


def check_state(tools, name, state):
    """Every tensor of a state dict is in the file, bit for bit."""
    with np.load(tools.path(name)) as file:
        for key, value in state.items():
            there = key in file.files and np.array_equal(file[key], value.numpy())
            tools.expect(there, f"{name}: {key} is {'another' if key in file.files else 'not there'}")


@case
def mixed_types(tools):
    import torch
    from torch import nn
    torch.manual_seed(1)
    for rnn, fc in ((nn.LSTM(4, 6).half(), nn.Linear(6, 3)), (nn.GRU(4, 6), nn.Linear(6, 3).half())):
        m = nn.Module()
        m.rnn, m.fc = rnn, fc
        torch.save(m.state_dict(), tools.path("mix.pt"))
        done = tools.convert("mix.pt", "mix.npz")
        if tools.expect(done.returncode == 0, f"to npz: {done.text[:300]}"):
            check_state(tools, "mix.npz", m.state_dict())
        done = tools.convert("mix.pt", "mix.keras", "--dtype", "f32")
        tools.expect(done.returncode == 0 or tools.honest_refusal(done, "mix.keras"), f"--dtype f32 to .keras: {done.text[:300]}")
        done = tools.convert("mix.pt", "mixed.keras")
        tools.expect(done.returncode == 0 or tools.honest_refusal(done, "mixed.keras"), f"to .keras: {done.text[:300]}")


@case
def several_state_dicts_in_one_file(tools):
    import torch
    from torch import nn
    for one, two in (("en", "de"), ("generator", "critic")):
        parts = {one: nn.GRU(4, 4, 2, bidirectional=True).state_dict(), two: nn.GRU(4, 4, 2).state_dict(), "iteration": 1}
        torch.save(parts, tools.path("chat.tar"))
        done = tools.run("rnn-inspect", "chat.tar")
        tools.expect(one in done.text and two in done.text, f"rnn-inspect does not list {one} and {two}: {done.text[:300]}")
        done = tools.convert("chat.tar", "chat.npz")
        if done.returncode == 0:
            check_state(tools, "chat.npz", {f"{k}.{n}": v for k in (one, two) for n, v in parts[k].items()})
        else:
            tools.expect(tools.honest_refusal(done, "chat.npz"), f"rnn-convert: {done.text[:300]}")


@case
def nothing_but_an_optimiser(tools):
    import torch
    for name, value in (("empty.pt", {}), ("numbers.pt", {"epoch": 3, "loss": 0.5})):
        torch.save(value, tools.path(name))
        done = tools.convert(name, name + ".npz")
        tools.expect(tools.refused(done, name + ".npz"), f"{name}: exit status {done.returncode}: {done.text[:200]}")


@case
def names_that_people_give_embeddings(tools):
    import torch
    from torch import nn
    from recurrent_capture import capture

    class Tagger(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name
            setattr(self, name, nn.Embedding(9, 4))
            self.lstm = nn.LSTM(4, 6)
            self.out = nn.Linear(6, 3)

        def forward(self, x):
            return self.out(self.lstm(getattr(self, self.name)(x))[0])
    for name in ("word_emb", "char_embeddings", "word_embeds", "embedding_layer", "tok_embeddings", "src_embed", "embeds",
                 "src", "tgt"):
        capture(Tagger(name).eval(), torch.randint(0, 9, (5, 2)), tools.path(name + ".npz"))
        done = tools.run("rnn-verify", name + ".npz")
        tools.expect(done.returncode == 0, f"{name}: {done.text[:300]}")


READS = {"all": ("y", 1, 0), "last": ("y[-1]", 1, 0), "first": ("y[0]", 1, 0), "top": ("h[-1]", 2, 0),
         "bottom": ("h[0]", 2, 0), "cat": ("torch.cat([h[-2], h[-1]], 1)", 1, 1), "cat of two": ("torch.cat([h[-2], h[-1]], 1)", 2, 1),
         "swapped": ("torch.cat([h[-1], h[-2]], 1)", 1, 1), "half": ("y[:, :, :4]", 1, 1), "cell": ("c[-1]", 1, 0),
         "mean": ("y.mean(0)", 1, 0), "last of both": ("y[-1]", 1, 1)}


@case
def where_a_head_reads(tools):
    for how, (expression, layers, both) in READS.items():
        width = 8 if both and how != "half" else 4
        text = net({"rnn": f"nn.LSTM(5, 4, {layers}, bidirectional={bool(both)})", "fc": f"nn.Linear({width}, 3)"},
                   ["y, (h, c) = self.rnn(x)", f"return self.fc({expression})"])
        plain = how in ("all", "last", "top", "cat", "cat of two", "last of both")
        tools.torch_model(f"reads {how}", text, STEPS5, forms=("state", "script", "onnx"), plain=plain)


@case
def a_stored_initial_state(tools):
    for cell, names in (("GRU", ["h0"]), ("LSTM", ["h_init", "c_init"])):
        parts = {n: f"nn.Parameter(torch.randn(1, 1, 6))" for n in names}
        wide = [f"self.{n}.expand(-1, x.size(1), -1).contiguous()" for n in names]
        state = wide[0] if len(wide) == 1 else f"({', '.join(wide)})"
        text = net(parts | {"rnn": f"nn.{cell}(5, 6)", "fc": "nn.Linear(6, 3)"}, [f"return self.fc(self.rnn(x, {state})[0])"])
        tools.torch_model(f"stored state of a {cell}", text, STEPS5)


@case
def operations_around(tools):
    for name, line in (("flip and scale", "return self.fc(self.rnn(torch.flip((x - 0.5) / 2, [0]))[0]) * 10 + 3"),
                       ("flip", "return self.fc(self.rnn(torch.flip(x, [0]))[0])"),
                       ("scaled behind", "return self.fc(self.rnn(x)[0]) * 10 + 3"),
                       ("normalised before", "return self.fc(self.rnn((x - x.mean(2, keepdim=True)) * 2.0)[0])")):
        text = net({"rnn": "nn.GRU(5, 6)", "fc": "nn.Linear(6, 3)"}, [line])
        tools.torch_model(name, text, STEPS5)


@case
def a_name_is_never_lost(tools):
    import torch
    from torch import nn
    torch.manual_seed(2)
    for prefix in ("lstm.", "model.encoder.rnn.", ""):
        state = {prefix + k: v for k, v in nn.LSTM(3, 5, 2).state_dict().items()} | {"mean": torch.randn(3)}
        torch.save(state, tools.path("bare.pt"))
        done = tools.convert("bare.pt", "bare.onnx", "--module", prefix.rstrip(".")) if prefix else tools.convert("bare.pt", "bare.onnx")
        if not tools.expect(done.returncode == 0, f"{prefix or 'no prefix'}: {done.text[:300]}"):
            continue
        tools.expect("left behind" in done.text, f"{prefix}: nothing says that mean is left behind")
        done = tools.convert("bare.onnx", "back.npz", "--as", "torch")
        if tools.expect(done.returncode == 0, f"{prefix} back: {done.text[:300]}"):
            check_state(tools, "back.npz", {k: v for k, v in state.items() if k != "mean"})


@case
def what_the_caller_says_is_used(tools):
    import onnxruntime
    import torch
    from torch import nn
    torch.manual_seed(3)
    m = nn.Module()
    m.tokens, m.rnn, m.score = nn.Embedding(11, 4), nn.GRU(4, 6, batch_first=True, bidirectional=True), nn.Linear(12, 3)
    torch.save(m.state_dict(), tools.path("given.pt"))
    ids = torch.randint(0, 11, (3, 5))
    with torch.no_grad():
        y, h = m.rnn(m.tokens(ids))
        expected = {"sequence": m.score(y), "last": m.score(y[:, -1]), "final": m.score(torch.cat([h[-2], h[-1]], 1))}
    for how, logits in expected.items():
        done = tools.convert("given.pt", "given.onnx", "--head", "score", "--head-reads", how, "--embedding", "tokens",
                             "--batch-first", "yes")
        if tools.expect(done.returncode == 0, f"--head-reads {how}: {done.text[:300]}"):
            session = onnxruntime.InferenceSession(tools.path("given.onnx"))
            got = session.run(["logits"], {session.get_inputs()[0].name: ids.numpy()})[0]
            tools.expect(same(got, logits.numpy()), f"--head-reads {how}: other numbers")
        done = tools.convert("given.pt", "given.npz", "--head", "score", "--head-reads", how, "--embedding", "tokens", "--batch-first", "yes")
        if done.returncode == 0:
            with np.load(tools.path("given.npz")) as file:
                said = json.loads(bytes(file["__metadata__"]).decode())
            found = [v for k, v in said.items() if k.split(".")[-1] == "head_reads"]
            tools.expect(found == [how] or (how == "sequence" and not found), f"metadata of --head-reads {how}: {said}")
    done = tools.convert("given.pt", "none.onnx", "--head", "none", "--embedding", "none", "--batch-first", "yes")
    if tools.expect(done.returncode == 0, f"--head none: {done.text[:300]}"):
        session = onnxruntime.InferenceSession(tools.path("none.onnx"))
        tools.expect("logits" not in [o.name for o in session.get_outputs()], "--head none, and there are logits")
        tools.expect(len(session.get_inputs()[0].shape) == 3, "--embedding none, and it takes token ids")
    done = tools.convert("given.pt", "strict.onnx", "--strict")
    tools.expect(tools.refused(done, "strict.onnx"), f"--strict: exit status {done.returncode}")
    done = tools.convert("given.pt", "bad.onnx", "--head", "rnn")
    tools.expect(done.returncode in (64, 65), f"--head rnn: exit status {done.returncode}")


@case
def what_we_wrote_is_read_by_the_capture_tool(tools):
    import torch
    from torch import nn
    from recurrent_capture import CaptureError, capture
    torch.manual_seed(4)
    for cell in ("LSTM", "GRU"):
        m = nn.Module()
        m.rnn, m.fc = getattr(nn, cell)(3, 5, 2), nn.Linear(5, 2)
        torch.save(m.state_dict(), tools.path("h.pt"))
        done = tools.convert("h.pt", "h.onnx")
        if tools.expect(done.returncode == 0, f"{cell}: {done.text[:200]}"):
            check = ("import sys, onnxruntime as o; o.set_default_logger_severity(2); "
                     "o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])")
            opened = subprocess.run([sys.executable, "-c", check, tools.path("h.onnx")], capture_output=True, text=True)
            noise = [line for line in opened.stderr.splitlines() if "[W:" in line and "graph.cc" in line]
            tools.expect(opened.returncode == 0 and not noise, f"onnxruntime warns: {noise[:2]}")
            try:
                capture(tools.path("h.onnx"), normal(1, 4, 2, 3), tools.path("x.npz"), overwrite=True)
            except CaptureError as error:
                tools.complain(f"{cell}: {error}")
                continue
            done = tools.run("rnn-verify", "x.npz")
            tools.expect(done.returncode == 0, f"{cell}: rnn-verify of the capture: {done.text[:300]}")


@case
def quantised_state_dicts(tools):
    import torch
    from torch import nn
    try:
        quantize = torch.ao.quantization.quantize_dynamic
        m = nn.Module()
        m.rnn, m.fc = nn.LSTM(4, 6), nn.Linear(6, 3)
        m.forward = lambda x: m.fc(m.rnn(x)[0])
        torch.save(quantize(m, {nn.LSTM, nn.Linear}, dtype=torch.qint8).state_dict(), tools.path("q.pt"))
    except (AttributeError, RuntimeError, NotImplementedError):
        return  # this PyTorch has none any more
    done = tools.convert("q.pt", "q.onnx")
    tools.expect(tools.honest_refusal(done, "q.onnx"), f"exit status {done.returncode}: {done.text[:300]}")


@case
def weights_that_modules_layers_or_directions_share(tools):
    tied = net({"emb": "nn.Embedding(7, 6)", "rnn": "nn.GRU(6, 6, batch_first=True)", "fc": "nn.Linear(6, 7, bias=False)"},
               ["return self.fc(self.rnn(self.emb(x))[0])"]) + "\n\nNet_made = Net\n"
    tied = tied.replace("self.fc = nn.Linear(6, 7, bias=False)",
                        "self.fc = nn.Linear(6, 7, bias=False)\n        self.fc.weight = self.emb.weight")
    tools.expect("self.fc.weight = self.emb.weight" in tied, "the case does not tie the weights")
    tools.torch_model("tied", tied, [("tokens", 7)], batch_first=True)
    import torch
    from torch import nn
    for directions, layers, inputs in ((2, 1, 4), (1, 2, 6)):
        torch.manual_seed(directions)
        m = nn.Sequential(nn.LSTM(inputs, 6, layers, bidirectional=directions == 2)).eval()
        other = "_l0_reverse" if directions == 2 else "_l1"
        for word in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(m[0], word + other, getattr(m[0], word + "_l0"))
        torch.export.save(torch.export.export(m, (torch.randn(5, 2, inputs),)), tools.path("shared.pt2"))
        done = tools.convert("shared.pt2", "shared.onnx")
        if tools.expect(done.returncode == 0, f"{directions} directions, {layers} layers: {done.text[:300]}"):
            import onnxruntime
            x = normal(3, 5, 2, inputs)
            session = onnxruntime.InferenceSession(tools.path("shared.onnx"))
            y = session.run(None, {session.get_inputs()[0].name: x})[0]
            with torch.no_grad():
                wanted = m(torch.from_numpy(x))[0].numpy()
            tools.expect(same(y, wanted), "other numbers than PyTorch")


@case
def classes_of_ones_own_and_functions_without_weights(tools):
    source = ("import torch\nfrom torch import nn\n\n\nclass MyGRU(nn.GRU):\n    def forward(self, x):\n"
              "        return 2 * super().forward(x)[0]\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
              "        self.rnn = RNN\n        self.fc = nn.Linear(6, 3)\n        self.act = nn.Softmax(dim=0)\n\n"
              "    def forward(self, x):\n        return self.act(self.fc(self.rnn(x)))\n\n\ntorch.manual_seed(1)\ntorch.save(Net(), 'own.pt')\n")
    for rnn, word in (("MyGRU(4, 6)", "MyGRU"), ("nn.GRU(4, 6)", "act (Softmax)")):
        subprocess.run([sys.executable, "-c", source.replace("RNN", rnn)], cwd=tools.folder, check=True)
        for output in ("own.npz", "own.onnx"):
            done = tools.convert("own.pt", output, "--as" if output == "own.npz" else "--head",
                                 "keras" if output == "own.npz" else "fc")
            tools.expect(done.returncode == 0 and word in done.text, f"{output}: nothing about {word}: {done.text[:300]}")
            tools.expect("the same network" not in done.text, f"{output}: called the same network")
            done = tools.convert("own.pt", output, "--head", "fc", "--strict")
            tools.expect(done.returncode == 65, f"{output} --strict: exit status {done.returncode}")


@case
def a_quantised_head(tools):
    import torch
    from torch import nn
    m = nn.Module()
    m.rnn, m.fc = nn.LSTM(4, 6), nn.Linear(6, 3)
    torch.save(torch.ao.quantization.quantize_dynamic(m.eval(), {nn.Linear}, dtype=torch.qint8).state_dict(), tools.path("q.pt"))
    for output in ("q.npz", "q.onnx"):
        done = tools.convert("q.pt", output)
        tools.expect(tools.honest_refusal(done, output), f"{output}: exit status {done.returncode}: {done.text[:300]}")


@case
def what_is_left_behind_stays_known(tools):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.fc = nn.GRU(4, 6), nn.Linear(6, 3)

        def forward(self, x):
            return torch.exp(self.fc(self.rnn((x - 0.5) / 2)[0]))
    torch.manual_seed(2)
    torch.onnx.export(Net().eval(), (torch.randn(5, 2, 4),), tools.path("around.onnx"), dynamo=False)
    for middle in ("middle.safetensors", "middle.h5", "middle.npz"):
        done = tools.convert("around.onnx", middle, "--as", "torch")
        tools.expect(done.returncode == 0 and "left behind" in done.text, f"{middle}: {done.text[:300]}")
        done = tools.convert(middle, "again.onnx")
        tools.expect(tools.honest_refusal(done), f"{middle} -> onnx: exit status {done.returncode}: {done.text[:300]}")
        done = tools.convert(middle, "again.onnx", "--module", "rnn")
        tools.expect(done.returncode == 0 and "left behind" in done.text and "the same network" not in done.text,
                     f"{middle} -> onnx --module: {done.text[:300]}")
        done = tools.run("rnn-verify", "--same", "around.onnx", middle)
        tools.expect(done.returncode == 0 and "same modules" in done.text and "same network" not in done.text, done.text[:300])


@case
def metadata_that_do_not_fit(tools):
    import torch
    from safetensors.torch import save_file
    from torch import nn
    m = nn.Module()
    m.emb, m.rnn, m.fc = nn.Embedding(5, 9), nn.GRU(8, 8), nn.Linear(9, 3)
    for metadata, reason in (({"connections": "rnn -> fc (stated)"}, "network.sizes"),
                             ({"connections": "emb -> rnn (stated)"}, "network.sizes"),
                             ({"connections": "rnn -> head (stated)"}, "metadata.connections"),
                             ({"head_reads": "banana"}, "metadata.head_reads"),
                             ({"format": "rnn-state-dict", "format_version": "99"}, "metadata.format_version")):
        save_file(m.state_dict(), tools.path("odd.safetensors"), metadata)
        for output in ("odd.onnx", "odd.keras", "odd.npz"):
            done = tools.convert("odd.safetensors", output, *(["--as", "flax"] if output == "odd.npz" else []))
            tools.expect(tools.refused(done, output) and reason in done.text, f"{metadata} -> {output}: {done.text[:300]}")


@case
def time_first_modules_on_a_batch_first_input(tools):
    import onnxruntime
    import torch
    from torch import nn
    text = {"logits back": "s.fc(s.rnn(s.emb(x.t()))[0]).transpose(0, 1)", "output back": "s.fc(s.rnn(s.emb(x).transpose(0, 1))[0].transpose(0, 1))",
            "permuted": "s.fc(s.rnn(s.emb(x).permute(1, 0, 2))[0].permute(1, 0, 2))", "last": "s.fc(s.rnn(s.emb(x).transpose(0, 1).contiguous())[0][-1])",
            "not back": "s.fc(s.rnn(s.emb(x).transpose(0, 1))[0])", "features": "s.fc(s.rnn(s.emb(x).transpose(1, 2).transpose(1, 2))[0])"}
    for name, body in text.items():
        source = (f"import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(s):\n        super().__init__()\n"
                  f"        s.emb, s.rnn, s.fc = nn.Embedding(9, 4), nn.LSTM(4, 6, 2), nn.Linear(6, 3)\n\n    def forward(s, x):\n        return {body}\n")
        with open(tools.path("swapped.py"), "w") as file:
            file.write(source)
        own = {}
        exec(compile(source, tools.path("swapped.py"), "exec"), own)
        torch.manual_seed(4)
        m, x = own["Net"]().eval(), torch.randint(0, 9, (2, 7))
        torch.jit.trace(m, x).save(tools.path("trace.pt"))
        torch.export.save(torch.export.export(m, (x,)), tools.path("program.pt2"))
        for file in ("trace.pt", "program.pt2"):
            done = tools.convert(file, "swapped.onnx")
            if name in ("not back", "features"):
                tools.expect(tools.honest_refusal(done), f"{name}, {file}: {done.text[:300]}")
                continue
            if tools.expect(done.returncode == 0 and "the same network" in done.text, f"{name}, {file}: {done.text[:300]}"):
                session = onnxruntime.InferenceSession(tools.path("swapped.onnx"))
                y = session.run(["logits"], {session.get_inputs()[0].name: x.numpy()})[0]
                with torch.no_grad():
                    tools.expect(same(y, m(x).numpy()), f"{name}, {file}: other numbers than PyTorch")
