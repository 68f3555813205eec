"""Cases of other kinds: graphs made by hand, foreign files, names files."""
import json
import pickle

import numpy as np

from .cases import case, normal
from .truth import same


def graph(nodes, inputs, outputs, tensors=(), **options):
    """An ONNX model."""
    import onnx
    from onnx import helper, numpy_helper
    values = lambda given: [helper.make_tensor_value_info(n, t, s) for n, t, s in given]
    held = [numpy_helper.from_array(v, n) for n, v in tensors]
    made = helper.make_graph(nodes, "g", values(inputs), values(outputs), held)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", options.get("opset", 16))], ir_version=8)
    onnx.checker.check_model(model)
    return model


def floats(*names):
    return [(n, 1, ["a", "b", "c", "d"]) for n in names]


@case
def a_large_model_version(tools):
    import onnx
    from onnx import helper
    tensors = [("W", normal(1, 1, 16, 3)), ("R", normal(2, 1, 16, 4))]
    for version in (0x0001_0000_0000_0001, 2**32, -1):
        model = graph([helper.make_node("LSTM", ["x", "W", "R"], ["y"], hidden_size=4)], [("x", 1, ["T", "N", 3])],
                      [("y", 1, ["T", 1, "N", 4])], tensors)
        model.model_version = version
        onnx.save(model, tools.path("mv.onnx"))
        done = tools.run("rnn-inspect", "mv.onnx")
        tools.expect(done.returncode == 0 and "lstm" in done.text, f"model_version {version}: {done.text[:200]}")


@case
def weights_in_constant_nodes(tools):
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper
    from . import reference
    for inputs, hidden in ((5, 7), (96, 160), (600, 512)):
        w = {"w_ih": normal(3, 4 * hidden, inputs) * 0.1, "w_hh": normal(4, 4 * hidden, hidden) * 0.1}
        nodes = []
        constant = lambda n, v: nodes.append(helper.make_node("Constant", [], [n], value=numpy_helper.from_array(v, n)))
        for n, v in w.items():
            constant(n, v)
        for n, v in {"s0": [0], "s1": [hidden], "s3": [3 * hidden], "s4": [4 * hidden], "ax": [0]}.items():
            constant(n, np.array(v, np.int64))
        for n in w:
            for part, a, b in (("i", "s0", "s1"), ("fc", "s1", "s3"), ("o", "s3", "s4")):
                nodes.append(helper.make_node("Slice", [n, a, b, "ax"], [f"{n}_{part}"]))
            nodes.append(helper.make_node("Concat", [f"{n}_i", f"{n}_o", f"{n}_fc"], [f"{n}_cat"], axis=0))
            nodes.append(helper.make_node("Unsqueeze", [f"{n}_cat", "ax"], [f"{n}_u"]))
        nodes.append(helper.make_node("LSTM", ["X", "w_ih_u", "w_hh_u"], ["Y"], hidden_size=hidden, name="lstm"))
        onnx.save(graph(nodes, [("X", 1, ["T", "N", inputs])], [("Y", 1, ["T", 1, "N", hidden])]), tools.path("c.onnx"))
        done = tools.convert("c.onnx", "c.npz", "--as", "torch")
        if not tools.expect(done.returncode == 0, f"{inputs} -> {hidden}: {done.text[:300]}"):
            continue
        x = normal(5, 3, 2, inputs)
        right = onnxruntime.InferenceSession(tools.path("c.onnx")).run(None, {"X": x})[0][:, 0]
        with np.load(tools.path("c.npz")) as file:
            tensors = {k: file[k] for k in file.files if k != "__metadata__"}
        prefixes = reference.prefixes(tensors)
        if tools.expect(len(prefixes) == 1, f"{inputs} -> {hidden}: {', '.join(tensors)}"):
            got = reference.run(tensors, prefixes[0], x, {"cell": "lstm"})
            tools.expect(same(got["output"], right), f"{inputs} -> {hidden}: other numbers")


@case
def recurrent_layers_inside_an_if(tools):
    import onnx
    from onnx import helper, numpy_helper
    def branch(p, seed):
        held = [numpy_helper.from_array(normal(seed, 1, 16, k), p + n) for n, k in (("W", 5), ("R", 4))]
        node = helper.make_node("LSTM", ["X", p + "W", p + "R"], [p + "Y"], hidden_size=4)
        return helper.make_graph([node], p, [], [helper.make_tensor_value_info(p + "Y", 1, ["a", "b", "c", "d"])], held)
    nodes = [helper.make_node("Equal", ["rate", "k"], ["c"]),
             helper.make_node("If", ["c"], ["Y"], then_branch=branch("a", 1), else_branch=branch("b", 2))]
    model = graph(nodes, [("X", 1, [None, None, 5]), ("rate", 7, [])], floats("Y"), [("k", np.array(16000, np.int64))], opset=14)
    onnx.save(model, tools.path("if.onnx"))
    done = tools.convert("if.onnx", "if.npz", "--as", "torch")
    if done.returncode == 0:  # then both of them, under names of their own
        with np.load(tools.path("if.npz")) as file:
            stacks = [k for k in file.files if k.endswith("weight_ih_l0")]
        tools.expect(len(stacks) == 2, f"one of two branches was taken: {', '.join(stacks)}")
    else:
        tools.expect(tools.honest_refusal(done, "if.npz"), f"exit status {done.returncode}: {done.text[:300]}")


@case
def activations_that_a_graph_states(tools):
    import onnx
    import onnxruntime
    from onnx import helper
    for cell, gates, words in (("LSTM", 4, ["HardSigmoid", "Tanh", "Relu"]), ("GRU", 3, ["HardSigmoid", "Tanh"]), ("RNN", 1, ["Elu"])):
        tensors = [("W", normal(1, 1, gates * 4, 3) * 0.5), ("R", normal(2, 1, gates * 4, 4) * 0.5)]
        node = helper.make_node(cell, ["X", "W", "R"], ["Y"], hidden_size=4, activations=words, name="cellar")
        onnx.save(graph([node], [("X", 1, ["T", "N", 3])], floats("Y"), tensors, opset=14), tools.path("a.onnx"))
        x = normal(3, 5, 2, 3)
        right = onnxruntime.InferenceSession(tools.path("a.onnx")).run(None, {"X": x})[0][:, 0]
        done = tools.convert("a.onnx", "b.onnx")
        if done.returncode != 0:
            tools.expect(tools.refused(done, "b.onnx"), f"{cell}: {done.text[:200]}")
            continue
        session = onnxruntime.InferenceSession(tools.path("b.onnx"))
        got = session.run(None, {session.get_inputs()[0].name: x})[0]
        got = got[:, 0] if got.ndim == 4 else got
        tools.expect(same(got, right), f"{cell} with {words}: other numbers")


FOREIGN = {
    "m.tflite": (b"\x1c\0\0\0TFL3" + bytes(200), ("TFLite", "TensorFlow Lite", "LiteRT")),
    "m.gguf": (b"GGUF\3\0\0\0" + bytes(200), ("GGUF",)),
    "m.mlmodel": (b"\x08\x04\x12\x10\x0a\x05input\x12\x07" + bytes(200), ("Core ML", "CoreML")),
    "saved_model.pb": (b"\x08\x01\x12\xa0\x10\x0a\x33\x0a\x05\x53\x74\x6f\x72\x65" + bytes(200), ("SavedModel",)),
    "m.ort": (b"\x24\0\0\0ORTM" + bytes(200), ("ORT", "ONNX Runtime", "onnxruntime")),
    "rt.json": (b'{"in_shape":[null,null,1],"layers":[{"type":"lstm","activation":"","shape":[null,null,8],"weights":[]}]}', ("RTNeural",)),
    "m.pkl": (pickle.dumps({"w": [1.0, 2.0]}, 4), ("pickle",)),
}


@case
def foreign_files_are_named_as_what_they_are(tools):
    for name, (content, words) in FOREIGN.items():
        for file in (name, "renamed.bin"):
            if file != name and name in ("saved_model.pb", "m.mlmodel", "rt.json"):
                continue  # these are known by their names
            with open(tools.path(file), "wb") as out:
                out.write(content)
            done = tools.run("rnn-inspect", file)
            tools.expect(done.returncode in (65, 69) and any(w.lower() in done.text.lower() for w in words),
                         f"{name} as {file}: exit status {done.returncode}: {done.text[:200]}")


def draft_in(value):
    """The names file inside a report: an object with schema and modules."""
    if isinstance(value, dict):
        if "modules" in value and "schema" in value and isinstance(value["modules"], dict):
            return value
        value = list(value.values())
    if isinstance(value, list):
        return next((d for v in value if (d := draft_in(v))), None)
    return None


@case
def a_draft_for_names_of_ones_own(tools):
    for gates, names in ((3, ["enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"]), (4, ["wx", "wh", "bx", "bh"])):
        shapes = [(gates * 6, 4), (gates * 6, 6), (gates * 6,), (gates * 6,)]
        values = {n: normal(i, *s) for i, (n, s) in enumerate(zip(names, shapes))}
        np.savez(tools.path("own.npz"), **values, enc_emb=normal(9, 9, 4))
        done = tools.run("rnn-inspect", "own.npz", "--json")
        try:
            draft = draft_in(json.loads(done.stdout))
        except ValueError:
            draft = None
        if not tools.expect(draft, f"rnn-inspect --json drafts no names file: {done.text[:300]}"):
            continue
        text = json.dumps(draft)
        tools.expect(all(n in text for n in names[:2]), f"the draft does not name the weights: {text[:300]}")
        with open(tools.path("draft.json"), "w") as file:
            file.write(text)
        done = tools.convert("own.npz", "read.npz", "--names", "draft.json", "--as", "torch")
        tools.expect(done.returncode == 0 or tools.refused(done), f"--names with the draft: {done.text[:300]}")


@case
def a_names_file(tools):
    d, h, v = 4, 6, 9
    stack = {f"k{i}{s}": normal(i, d if i == 0 else 2 * h, 4 * h) for i in (0, 1) for s in ("", "_back")}
    stack |= {f"rk{i}{s}": normal(10 + i, h, 4 * h) + (s != "") for i in (0, 1) for s in ("", "_back")}
    stack |= {f"b{i}{s}": normal(20 + i, 4 * h) for i in (0, 1) for s in ("", "_back")}
    gru = {"enc_w_ih": normal(31, 3 * h, d), "enc_w_hh": normal(32, 3 * h, h), "enc_b_ih": normal(33, 3 * h), "enc_b_hh": normal(34, 3 * h)}
    per = {f"{w}_{g}": normal(40 + i, *s) for i, (w, s) in enumerate({"W": (h, d), "U": (h, h), "b": (h,)}.items()) for g in "ifco"}
    per = {k: v_ * (1 + "ifco".index(k[-1])) for k, v_ in per.items()}
    np.savez(tools.path("own.npz"), **stack, **gru, **per, enc_emb=normal(51, v, d), fc_w=normal(52, 3, h), fc_b=normal(53, 3))
    names = {"schema": 1, "modules": {
        "encoder": {"cell": "gru", "gates": "r z n", "orientation": "rows", "tensors": {
            "weight_ih": "enc_w_ih", "weight_hh": "enc_w_hh", "bias_ih": "enc_b_ih", "bias_hh": "enc_b_hh"}},
        "stack": {"cell": "lstm", "gates": "i g f o", "orientation": "columns", "layers": 2, "directions": ["", "_back"],
                  "tensors": {"weight_ih": "k{layer}{direction}", "weight_hh": "rk{layer}{direction}", "bias": "b{layer}{direction}"}},
        "per_gate": {"cell": "lstm", "orientation": "rows", "gates": "i f c o", "tensors": {
            "weight_ih": "W_{gate}", "weight_hh": "U_{gate}", "bias": "b_{gate}"}},
        "embedding": {"kind": "embedding", "tensors": {"weight": "enc_emb"}},
        "fc": {"kind": "linear", "orientation": "rows", "tensors": {"weight": "fc_w", "bias": "fc_b"}}},
        "connections": ["embedding -> encoder", "encoder -> fc"]}
    with open(tools.path("names.json"), "w") as file:
        json.dump(names, file)
    done = tools.convert("own.npz", "read.npz", "--names", "names.json", "--as", "torch")
    if not tools.expect(done.returncode == 0, f"--names: exit status {done.returncode}: {done.text[:300]}"):
        return
    with np.load(tools.path("read.npz")) as file:
        got = {k: file[k] for k in file.files}
    def pytorch(a):  # i g f o, in columns
        i, g, f, o = np.split(a, 4, -1)
        return np.concatenate([i, f, g, o], -1).T
    right = {"encoder.weight_ih_l0": gru["enc_w_ih"], "encoder.bias_hh_l0": gru["enc_b_hh"], "embedding.weight": normal(51, v, d),
             "fc.weight": normal(52, 3, h), "per_gate.weight_ih_l0": np.concatenate([per[f"W_{g}"] for g in "ifco"]),
             "per_gate.weight_hh_l0": np.concatenate([per[f"U_{g}"] for g in "ifco"])}
    for layer in (0, 1):
        for suffix, back in (("", ""), ("_reverse", "_back")):
            right[f"stack.weight_ih_l{layer}{suffix}"] = pytorch(stack[f"k{layer}{back}"])
            right[f"stack.weight_hh_l{layer}{suffix}"] = pytorch(stack[f"rk{layer}{back}"])
    for key, value in right.items():
        tools.expect(key in got and np.array_equal(got[key], value), f"{key} is {'another' if key in got else 'not there'}")
    broken = {"schema": 1, "modules": {"encoder": names["modules"]["encoder"] | {"tensors": {"weight_ih": "enc_w_ih", "weight_hh": "nowhere"}}}}
    with open(tools.path("broken.json"), "w") as file:
        json.dump(broken, file)
    done = tools.convert("own.npz", "none.npz", "--names", "broken.json", "--as", "torch")
    tools.expect(tools.refused(done, "none.npz") and "nowhere" in done.text, f"a tensor that is not there: {done.text[:200]}")


@case
def names_with_other_separators(tools):
    import torch
    from safetensors.torch import save_file
    from torch import nn
    torch.manual_seed(6)
    a, b = nn.LSTM(4, 6), nn.LSTM(6, 6)
    numbered = dict(a.state_dict()) | {f"{k}__{4 + i}": v for i, (k, v) in enumerate(b.state_dict().items())}
    barred = {"lstm|" + k: v.clone() for k, v in a.state_dict().items()}
    slashed = {"params/rnn/" + k: v.clone() for k, v in a.state_dict().items()}
    for name, state in (("numbered", numbered), ("barred", barred), ("slashed", slashed)):
        save_file(state, tools.path(name + ".safetensors"))
        done = tools.convert(name + ".safetensors", name + ".onnx")
        if done.returncode != 0:
            tools.expect(tools.refused(done, name + ".onnx"), f"{name}: {done.text[:200]}")
            continue
        # What is taken must be one whole module, and the rest must be spoken of.
        tools.expect(name != "numbered" or "left behind" in done.text, f"{name}: half of the file is gone without a word")
        import onnxruntime
        x = normal(7, 5, 2, 4)
        with torch.no_grad():
            right = a(torch.from_numpy(x))[0].numpy()
        session = onnxruntime.InferenceSession(tools.path(name + ".onnx"))
        got = session.run(["output"], {session.get_inputs()[0].name: x})[0]
        tools.expect(same(got, right), f"{name}: other numbers")


@case
def other_libraries_cells(tools):
    from safetensors.numpy import save_file
    slash = {f"params/cell/{g}/kernel": normal(i, 3, 5) for i, g in enumerate(("ii", "if", "ig", "io"))}
    slash |= {f"params/cell/{g}/{k}": normal(9 + i, *s) for i, g in enumerate(("hi", "hf", "hg", "ho"))
              for k, s in (("kernel", (5, 5)), ("bias", (5,)))}
    equinox = {"weight_ih": normal(1, 18, 4), "weight_hh": normal(2, 18, 6), "bias": normal(3, 18), "bias_n": normal(4, 6)}
    for name, state in (("slash", slash), ("equinox", equinox)):
        save_file(state, tools.path(name + ".safetensors"))
        done = tools.run("rnn-inspect", name + ".safetensors")
        tools.expect(done.returncode == 0 or tools.refused(done), f"{name}: exit status {done.returncode}")
        done = tools.convert(name + ".safetensors", name + ".npz", "--as", "torch")
        if done.returncode == 0:
            with np.load(tools.path(name + ".npz")) as file:
                values = [file[k] for k in file.files if k != "__metadata__"]
            lost = [k for k, v in state.items() if v.ndim == 2 and not any(contains(w, v) for w in values)]
            tools.expect(not lost or "left behind" in done.text, f"{name}: lost without a word: {', '.join(lost[:3])}")
        else:
            tools.expect(tools.refused(done, name + ".npz"), f"{name}: {done.text[:200]}")


def contains(whole, part):
    """Whether a matrix is a block of rows of another, as it is or transposed."""
    for block in (part, part.T):
        if whole.ndim == 2 and whole.shape[1] == block.shape[1]:
            if any(np.array_equal(whole[i:i + len(block)], block) for i in range(len(whole) - len(block) + 1)):
                return True
    return False


@case
def a_draft_of_square_matrices(tools):
    """The words of names tell input from state; what nothing tells is announced when the draft is used."""
    import torch
    from torch import nn
    torch.manual_seed(8)
    m = nn.GRU(6, 6)
    w = {k.removesuffix("_l0"): v.detach().numpy() for k, v in m.named_parameters()}
    x = normal(5, 4, 2, 6)
    with torch.no_grad():
        wanted = m(torch.from_numpy(x))[0].numpy()
    for names in (("enc_w_ih", "enc_w_hh", "enc_b_ih", "enc_b_hh"), ("kernel_h", "kernel_x", "bias_h", "bias_x"),
                  ("one", "two", "three", "four")):
        words = dict(zip(names, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
        if names[0] == "kernel_h":
            words = dict(zip(names, ("weight_hh", "weight_ih", "bias_hh", "bias_ih")))
        np.savez(tools.path("own.npz"), **{n: w[k] for n, k in words.items()})
        draft = json.loads(tools.run("rnn-inspect", "own.npz", "--json").stdout)["names_draft"]
        module = next(iter(draft["modules"].values()))
        tools.expect("gates" in module["assumed"], f"the order of gates is no guess: {module}")
        with open(tools.path("draft.json"), "w") as file:
            json.dump(draft, file)
        done = tools.convert("own.npz", "own.onnx", "--names", "draft.json")
        if not tools.expect(done.returncode == 0 and "assumed: gates" in done.text, done.text[:300]):
            continue
        import onnxruntime
        session = onnxruntime.InferenceSession(tools.path("own.onnx"))
        y = session.run(None, {session.get_inputs()[0].name: x})[0]
        said = "assumed: weight_ih" in done.text
        tools.expect(said == (names[0] == "one"), f"{names}: {done.text[:400]}")
        tools.expect(same(y.reshape(wanted.shape), wanted), f"{names}: other numbers than PyTorch")


@case
def gates_that_a_branch_reorders(tools):
    """As a scripted LSTMCell is exported: the branches of an If slice and join the weights of the graph around them."""
    import onnx
    from onnx import helper
    hidden, inputs = 64, 48
    w = {"w_ih": normal(3, 4 * hidden, inputs), "w_hh": normal(4, 4 * hidden, hidden)}
    integers = {"s0": [0], "s1": [hidden], "s3": [3 * hidden], "s4": [4 * hidden], "ax": [0]}

    def branch(name):
        nodes = []
        for n in w:
            for part, a, b in (("i", "s0", "s1"), ("fc", "s1", "s3"), ("o", "s3", "s4")):
                nodes.append(helper.make_node("Slice", [n, a, b, "ax"], [f"{name}_{n}_{part}"]))
            nodes.append(helper.make_node("Concat", [f"{name}_{n}_{p}" for p in ("i", "o", "fc")], [f"{name}_{n}_cat"], axis=0))
            nodes.append(helper.make_node("Unsqueeze", [f"{name}_{n}_cat", "ax"], [f"{name}_{n}_u"]))
        nodes.append(helper.make_node("LSTM", ["X", f"{name}_w_ih_u", f"{name}_w_hh_u"], [f"{name}_Y"], hidden_size=hidden, name=f"{name}_lstm"))
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}_Y", 1, ["a", "b", "c", "d"])])
    node = helper.make_node("If", ["c"], ["Y"], then_branch=branch("yes"), else_branch=branch("no"))
    tensors = list(w.items()) + [(n, np.array(v, np.int64)) for n, v in integers.items()]
    onnx.save(graph([node], [("X", 1, ["T", "N", inputs]), ("c", 9, [])], floats("Y"), tensors), tools.path("if.onnx"))
    done = tools.convert("if.onnx", "if.npz", "--as", "torch")
    if tools.expect(done.returncode == 0, done.text[:400]):
        made = np.load(tools.path("if.npz"))
        keys = [k for k in made.files if k.endswith("weight_ih_l0")]
        tools.expect(len(keys) == 2 and all(same(made[k], w["w_ih"]) for k in keys), f"{made.files}")
