"""A random PyTorch model as Python text: `draft(seed)`.

Text, because TorchScript compiles text, and because a failing model is best read as its author would
have written it. About two in five are plain: embedding? -> stack -> head?, and nothing else.
"""
import random
import re
from dataclasses import dataclass, field

CELLS = ["lstm", "gru", "rnn_tanh", "rnn_relu"]
CLASSES = {"lstm": "nn.LSTM", "gru": "nn.GRU", "rnn_tanh": "nn.RNN", "rnn_relu": "nn.RNN"}
EMBEDDINGS = ["embedding", "emb", "embed", "word_emb", "char_embeddings", "embeds", "tok_embeddings",
              "src_embed", "word_embeddings", "embedding_layer", "encoder"]
HEADS = ["fc", "linear", "head", "classifier", "out", "decoder", "hidden2tag", "output_layer", "proj_out",
         "fc_out", "dense"]
STACKS = {"lstm": ["lstm", "rnn", "encoder_lstm", "bilstm"], "gru": ["gru", "rnn", "gru_layer"],
          "rnn_tanh": ["rnn", "recurrent"], "rnn_relu": ["rnn", "recurrent"]}
VARIABLE = re.compile(r"(?<![\w.])[a-z]\d*(?!\w)")  # as forward names its values


@dataclass
class Draft:
    """A model under construction, and its text in the end."""
    seed: int
    pick: random.Random
    kind: str = ""
    plain: bool = False
    parts: list = field(default_factory=list)     # (attribute, expression) in the order of registration
    body: list = field(default_factory=list)      # lines of forward
    inputs: list = field(default_factory=list)    # ("tokens", V) or ("steps", D)
    shuffled: bool = False                        # registered in another order than called
    batch_first: bool = False
    sizes: dict = field(default_factory=dict)
    after: list = field(default_factory=list)     # lines at the end of __init__
    result: str = ""
    root: str = ""                                # the model is this module itself

    def __post_init__(self):
        pick = self.pick
        names = ["D", "E", "H", "C", "K", "V"]
        if pick.random() < 0.25:  # shapes that mislead
            same = pick.randint(4, 8)
            self.sizes = {n: same for n in names} | {"V": pick.choice([same, same + 5])}
        else:
            self.sizes = dict(zip(names, pick.sample(range(3, 15), len(names))))
        self.steps, self.rows = pick.choice([(5, 3), (6, 2), (4, 7), (7, 4)])
        self.batch_first = pick.random() < 0.5

    @property
    def time(self):
        return 1 if self.batch_first else 0

    def size(self, name):
        return self.sizes[name]

    def part(self, name, expression):
        taken = [n for n, _ in self.parts]
        while name in taken:
            name += "2" if self.pick.random() < 0.5 else "_b"
        self.parts.append((name, expression))
        return name

    def line(self, text):
        self.body.append(text)

    def linear(self, name, inputs, outputs, bias=None):
        bias = self.pick.random() < 0.8 if bias is None else bias
        return self.part(name, f"nn.Linear({inputs}, {outputs}{'' if bias else ', bias=False'})")

    def steps_input(self, features):
        self.inputs.append(("steps", features))
        return f"x{len(self.inputs) - 1}"

    def tokens_input(self, count):
        self.inputs.append(("tokens", count))
        return f"x{len(self.inputs) - 1}"

    def source(self):
        parts = list(self.parts)
        if self.shuffled:
            self.pick.shuffle(parts)
        lines = ["import torch", "from torch import nn", "from torch.nn import functional as F", "", ""]
        if self.root:
            return "\n".join(lines + [f"Net = lambda: {self.root}", ""])
        boxes = sorted({n.rpartition(".")[0] for n, _ in parts if "." in n})
        made = {}
        for box in boxes:
            own = [(n.removeprefix(box + "."), e) for n, e in parts if n.startswith(box + ".")]
            text = self.called(box, own) if self.pick.random() < 0.7 else None
            made[box] = text is not None
            lines += text or []
        lines += ["class Box(nn.Module):", "    pass", "", ""] if not all(made.values()) else []
        lines += ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        begun = set()
        for name, expression in parts:
            box = name.rpartition(".")[0]
            if box and box not in begun:
                begun.add(box)
                lines.append(f"        self.{box} = {box.capitalize() + 'Part' if made[box] else 'Box'}()")
            if not made.get(box):
                lines.append(f"        self.{name} = {expression}")
        lines += [f"        {text}" for text in self.after]
        arguments = ", ".join(f"x{i}" for i in range(len(self.inputs)))
        lines += ["", f"    def forward(self, {arguments}):"]
        lines += [f"        {text}" for text in self.body] + [f"        return {self.result}"]
        return "\n".join(lines) + "\n"

    def called(self, box, own):
        """A class of its own for a box, whose forward is the lines that use it; None where they are scattered."""
        uses = [i for i, line in enumerate(self.body) if f"self.{box}." in line]
        if not uses or uses != list(range(uses[0], uses[-1] + 1)):
            return None
        inner, behind = self.body[uses[0]:uses[-1] + 1], self.body[uses[-1] + 1:] + [self.result]
        takes, makes = [], []
        for line in inner:
            left, _, right = line.partition(" = ")
            takes += [v for v in VARIABLE.findall(right) if v not in makes + takes]
            makes += [v for v in VARIABLE.findall(left) if v not in makes]
        gives = [v for v in makes if any(v in VARIABLE.findall(line) for line in behind)]
        lines = [f"class {box.capitalize()}Part(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        lines += [f"        self.{n} = {e}" for n, e in own] + ["", f"    def forward(self, {', '.join(takes)}):"]
        lines += ["        " + line.replace(f"self.{box}.", "self.") for line in inner]
        lines += [f"        return {', '.join(gives)}", "", ""]
        self.body[uses[0]:uses[-1] + 1] = [f"{', '.join(gives)} = self.{box}({', '.join(takes)})"]
        return lines


@dataclass
class Stack:
    """One recurrent module of a draft, and the variables that hold its results."""
    name: str
    cell: str
    layers: int
    directions: int
    hidden: int
    features: int  # of the output
    y: str
    h: str
    c: str


def stack(d, x, inputs, name=None, state="", cell=None, plain_directions=False, **fixed):
    """Adds a recurrent module that reads x and names its results."""
    pick = d.pick
    cell = cell or pick.choices(CELLS, [5, 4, 2, 1])[0]
    hidden = fixed.get("hidden", d.size("H"))
    layers = fixed.get("layers", pick.choices([1, 2, 3], [6, 4, 1])[0])
    directions = fixed.get("directions", 2 if pick.random() < 0.4 and not plain_directions else 1)
    projection = fixed.get("projection", 0 if cell != "lstm" or pick.random() > 0.08 or hidden < 5 else hidden - 2)
    options = [str(inputs), str(hidden)]
    if layers > 1:
        options.append(f"num_layers={layers}" if pick.random() < 0.5 else str(layers))
    if directions == 2:
        options.append("bidirectional=True")
    if d.batch_first:
        options.append("batch_first=True")
    if pick.random() < 0.12:
        options.append("bias=False")
    if layers > 1 and pick.random() < 0.3:
        options.append("dropout=0.3")
    if cell == "rnn_relu":
        options.append("nonlinearity='relu'")
    if projection:
        options.append(f"proj_size={projection}")
    name = d.part(name or pick.choice(STACKS[cell]), f"{CLASSES[cell]}({', '.join(options)})")
    number = sum(line.startswith("y") and " = self." in line for line in d.body)
    y, h, c = f"y{number}", f"h{number}", f"c{number}"
    call = f"self.{name}({x}{', ' + state if state else ''})"
    d.line(f"{y}, ({h}, {c}) = {call}" if cell == "lstm" else f"{y}, {h} = {call}")
    width = (projection or hidden) * directions
    return Stack(name, cell, layers, directions, projection or hidden, width, y, h, c)


def last(d, y):
    return f"{y}[:, -1]" if d.batch_first else f"{y}[-1]"


def final(s):
    return f"{s.h}[-1]" if s.directions == 1 else f"torch.cat([{s.h}[-2], {s.h}[-1]], 1)"


def front(d, embedding=None):
    """The model's input, behind an embedding or not: (variable, features)."""
    if embedding if embedding is not None else d.pick.random() < 0.5:
        x = d.tokens_input(d.size("V"))
        padding = ", padding_idx=0" if d.pick.random() < 0.2 else ""
        name = d.part(d.pick.choice(EMBEDDINGS), f"nn.Embedding({d.size('V')}, {d.size('E')}{padding})")
        d.line(f"e = self.{name}({x})")
        return "e", d.size("E")
    return d.steps_input(d.size("D")), d.size("D")


def plain_reading(d, s):
    return d.pick.choices([s.y, last(d, s.y), final(s)], [5, 3, 3])[0]


def results(d, s, main):
    """What forward returns: mostly what matters, sometimes the states and the output too."""
    choice = d.pick.random()
    if choice < 0.7:
        return main
    states = f"({s.h}, {s.c})" if s.cell == "lstm" else s.h
    return f"{main}, {s.h}" if choice < 0.85 or main == s.y else f"{main}, {s.y}, {states}"


def plain(d):
    """embedding? -> stack -> head?, and nothing else."""
    d.plain, d.kind = True, "plain"
    pick = d.pick
    x, features = front(d)
    if pick.random() < 0.15:
        name = d.part("dropout", "nn.Dropout(0.3)")
        d.line(f"d = self.{name}({x})")
        x = "d" if d.inputs[0][0] == "tokens" or pick.random() < 0.5 else x
    s = stack(d, x, features)
    if pick.random() < 0.75:
        reads = plain_reading(d, s)
        if pick.random() < 0.2:
            reads = f"self.{d.part('drop', 'nn.Dropout(0.2)')}({reads})"
        d.line(f"z = self.{d.linear(pick.choice(HEADS), s.features, d.size('C'))}({reads})")
        d.result = results(d, s, "z")
    else:
        d.result = pick.choice([s.y, f"{s.y}, {s.h}", f"{s.y}, ({s.h}, {s.c})" if s.cell == "lstm" else s.y])


def nested(d):
    """A plain model whose parts live in a box of their own, as encoder.rnn."""
    plain(d)
    box = d.pick.choice(["encoder", "model", "net", "core"])
    if any(n == box for n, _ in d.parts):
        box = "inner"
    d.parts = [(f"{box}.{n}", e) for n, e in d.parts]
    d.body = [line.replace("self.", f"self.{box}.") for line in d.body]
    d.kind = "plain, nested"


def bare(d):
    """A recurrent module behind one name, and nothing more."""
    d.plain, d.kind = True, "plain, alone"
    x = d.steps_input(d.size("D"))
    s = stack(d, x, d.size("D"))
    d.result = results(d, s, s.y)
    if d.pick.random() < 0.5:
        d.root, d.kind = d.parts[0][1], "plain, itself"


# What may stand in front of a stack: each takes (draft, variable, features) and gives the same.

def project(d, x, features):
    out = d.size("K")
    d.line(f"p = self.{d.linear(d.pick.choice(['proj', 'fc_in', 'input_layer', 'linear_in', 'fc1']), features, out)}({x})")
    return "p", out


def project_and_bend(d, x, features):
    x, features = project(d, x, features)
    d.line(f"a = torch.{d.pick.choice(['tanh', 'relu', 'sigmoid'])}({x})")
    return "a", features


def normalise(d, x, features):
    d.line(f"n = self.{d.part(d.pick.choice(['norm', 'ln', 'layer_norm', 'norm_in']), f'nn.LayerNorm({features})')}({x})")
    return "n", features


def batch_norm(d, x, features):
    name = d.part("bn", f"nn.BatchNorm1d({features})")
    axes = "0, 2, 1" if d.batch_first else "1, 2, 0"
    back = "0, 2, 1" if d.batch_first else "2, 0, 1"
    d.line(f"n = self.{name}({x}.permute({axes})).permute({back})")
    return "n", features


def scale(d, x, features):
    d.line(f"a = ({x} - 0.5) / 2.0" if d.pick.random() < 0.5 else f"a = {x} * 0.3")
    return "a", features


def flip(d, x, features):
    d.line(f"a = torch.flip({x}, [{d.time}])")
    return "a", features


def bend(d, x, features):
    d.line(f"a = torch.{d.pick.choice(['tanh', 'relu', 'abs'])}({x})")
    return "a", features


def convolve(d, x, features):
    out = d.size("K")
    name = d.part(d.pick.choice(["conv", "conv1"]), f"nn.Conv1d({features}, {out}, 3, padding=1)")
    axes = "0, 2, 1" if d.batch_first else "1, 2, 0"
    back = "0, 2, 1" if d.batch_first else "2, 0, 1"
    d.line(f"k = self.{name}({x}.permute({axes})).permute({back})")
    return "k", out


def slice_features(d, x, features):
    d.line(f"a = {x}[:, :, 1:]")
    return "a", features - 1


def roll(d, x, features):
    d.line(f"a = torch.roll({x}, 1, {d.time})")
    return "a", features


def shift(d, x, features):
    """A learnt vector added to every step."""
    name = d.part("offset", f"nn.Parameter(torch.randn({features}))")
    d.line(f"a = {x} + self.{name}")
    return "a", features


FRONTS = [project, project_and_bend, normalise, batch_norm, scale, flip, bend, convolve, slice_features, roll, shift]

# What may stand behind a stack.

def residual(d, x, features):
    name = d.linear(d.pick.choice(["skip", "res"]), features, features)
    d.line(f"b = {x} + self.{name}({x})")
    return "b", features


def attend(d, x, features):
    name = d.linear(d.pick.choice(["att", "attention", "attn"]), features, 1)
    d.line(f"w = torch.softmax(self.{name}({x}), {d.time})")
    d.line(f"b = w * {x}")
    return "b", features


def bend_behind(d, x, features):
    d.line(f"b = torch.{d.pick.choice(['tanh', 'relu', 'sigmoid'])}({x})")
    return "b", features


def scale_behind(d, x, features):
    d.line(f"b = {x} * {d.pick.choice(['0.5', '2.0', '-1.0'])}")
    return "b", features


def norm_behind(d, x, features):
    d.line(f"b = self.{d.part(d.pick.choice(['norm', 'ln', 'layer_norm']), f'nn.LayerNorm({features})')}({x})")
    return "b", features


def flip_behind(d, x, features):
    d.line(f"b = torch.flip({x}, [{d.time}])")
    return "b", features


def convolve_behind(d, x, features):
    name = d.part("post_conv", f"nn.Conv1d({features}, {features}, 3, padding=1)")
    axes = "0, 2, 1" if d.batch_first else "1, 2, 0"
    back = "0, 2, 1" if d.batch_first else "2, 0, 1"
    d.line(f"b = self.{name}({x}.permute({axes})).permute({back})")
    return "b", features


def gate_behind(d, x, features):
    name = d.part("gain", f"nn.Parameter(torch.rand({features}) + 0.5)")
    d.line(f"b = {x} * self.{name}")
    return "b", features


def swap_halves(d, x, features):
    half = features // 2
    d.line(f"b = torch.cat([{x}[:, :, {half}:], {x}[:, :, :{half}]], 2)")
    return "b", features


BEHINDS = [residual, attend, bend_behind, scale_behind, norm_behind, flip_behind, convolve_behind, gate_behind, swap_halves]


def head(d, s, reads=None, features=None, name=None):
    reads = reads or plain_reading(d, s)
    d.line(f"z = self.{d.linear(name or d.pick.choice(HEADS), features or s.features, d.size('C'))}({reads})")
    return "z"


def something_before(d):
    operation = d.pick.choice(FRONTS)
    d.kind = f"before: {operation.__name__}"
    x, features = front(d, embedding=d.pick.random() < 0.4)
    x, features = operation(d, x, features)
    s = stack(d, x, features)
    d.result = results(d, s, head(d, s) if d.pick.random() < 0.6 else s.y)


def something_behind(d):
    operation = d.pick.choice(BEHINDS)
    d.kind = f"behind: {operation.__name__}"
    x, features = front(d)
    s = stack(d, x, features)
    b, width = operation(d, s.y, s.features)
    d.result = results(d, s, head(d, s, d.pick.choice([b, last(d, b)]), width) if d.pick.random() < 0.75 else b)


def odd_reading(d):
    """A head that reads something that is no stack's every step, last step or final states."""
    pick = d.pick
    x, features = front(d)
    how = pick.choice(["first", "bottom", "swapped", "cell", "mean", "max", "half", "sum", "second last", "steps"])
    directions = {"swapped": 2, "bottom": 1, "sum": 2}.get(how, pick.choice([1, 2]))
    cell = "lstm" if how == "cell" else None
    s = stack(d, x, features, directions=directions, cell=cell, projection=0,
              layers=pick.choice([2, 3]) if how == "bottom" else pick.choice([1, 2]))
    h, width = s.hidden, s.features
    first = f"{s.y}[:, 0]" if d.batch_first else f"{s.y}[0]"
    before_last = f"{s.y}[:, -2]" if d.batch_first else f"{s.y}[-2]"
    without_first = f"{s.y}[:, 1:]" if d.batch_first else f"{s.y}[1:]"
    reads, width = {
        "first": (first, width), "bottom": (f"{s.h}[0]", h),
        "swapped": (f"torch.cat([{s.h}[-1], {s.h}[-2]], 1)", width), "cell": (f"{s.c}[-1]", h),
        "mean": (f"{s.y}.mean({d.time})", width), "max": (f"{s.y}.max({d.time})[0]", width),
        "half": (f"{s.y}[:, :, :{(width + 1) // 2}]", (width + 1) // 2),
        "sum": (f"{s.y}[:, :, :{h}] + {s.y}[:, :, {h}:]", h), "second last": (before_last, width),
        "steps": (without_first, width)}[how]
    d.kind = f"reads: {how}"
    d.result = results(d, s, head(d, s, reads, width))


def after_the_head(d):
    """A plain model whose logits go through something more."""
    pick = d.pick
    x, features = front(d)
    s = stack(d, x, features)
    head(d, s)
    how, text = pick.choice([("scaled", "z * 10.0 + 3.0"), ("softmax", "torch.softmax(z, -1)"),
                             ("sigmoid", "torch.sigmoid(z)"), ("log_softmax", "F.log_softmax(z, dim=-1)"),
                             ("tanh", "torch.tanh(z)"), ("relu", "torch.relu(z)")])
    d.kind = f"after the head: {how}"
    d.result = text


def mlp_head(d):
    x, features = front(d)
    s = stack(d, x, features)
    k = d.size("K")
    reads = plain_reading(d, s)
    if d.pick.random() < 0.5:
        name = d.part("head", f"nn.Sequential(nn.Linear({s.features}, {k}), nn.ReLU(), nn.Linear({k}, {d.size('C')}))")
        d.line(f"z = self.{name}({reads})")
    else:
        first, second = d.linear("fc1", s.features, k), d.linear("fc2", k, d.size("C"))
        bend_it = d.pick.choice(["torch.relu", "torch.tanh", ""])
        d.line(f"z = self.{second}({bend_it}(self.{first}({reads})))")
    d.kind, d.result = "head: mlp", "z"


def two_heads(d):
    x, features = front(d)
    s = stack(d, x, features)
    one, two = d.linear("policy", s.features, d.size("C")), d.linear("value", s.features, 1)
    d.line(f"z = self.{one}({plain_reading(d, s)})")
    d.line(f"v = self.{two}({plain_reading(d, s)})")
    d.kind, d.result = "head: two", "z, v"


def state_shape(d, s):
    return f"{s['layers'] * s['directions']}, 1, {s['hidden']}"


def stored_state(d):
    """A learnt initial state."""
    pick = d.pick
    x, features = front(d)
    options = {"layers": pick.choice([1, 2]), "directions": pick.choice([1, 1, 2]), "hidden": d.size("H")}
    cell = pick.choice(CELLS)
    rows = f"{x}.size({1 - d.time})"
    wide = lambda n: f"self.{n}.expand(-1, {rows}, -1).contiguous()"
    make = "nn.Parameter(torch.randn({}))".format(state_shape(d, options))
    first = d.part(pick.choice(["h0", "h_0", "init_h", "hidden_init"]), make)
    d.line(f"i = {wide(first)}")
    state = "i"
    if cell == "lstm":
        second = d.part(pick.choice(["c0", "c_0", "init_c"]), make)
        d.line(f"j = {wide(second)}")
        state = "(i, j)"
    s = stack(d, x, features, state=state, cell=cell, projection=0, **options)
    d.kind = "state: stored"
    d.result = results(d, s, head(d, s) if pick.random() < 0.6 else s.y)


def computed_state(d):
    pick = d.pick
    x, features = front(d)
    cell = pick.choice(["gru", "rnn_tanh", "rnn_relu"])
    name = d.linear("init_hidden", features, d.size("H"), bias=True)
    d.line(f"i = torch.tanh(self.{name}({x}.mean({d.time}))).unsqueeze(0)")
    s = stack(d, x, features, state="i", cell=cell, layers=1, directions=1)
    d.kind = "state: computed"
    d.result = results(d, s, head(d, s) if pick.random() < 0.6 else s.y)


def unused_parts(d):
    plain(d)
    d.plain = False
    pick = d.pick
    what = pick.choice(["linear", "embedding", "convolution", "two"])
    if what in ("linear", "two"):
        width = pick.choice([d.size("H"), 2 * d.size("H"), d.size("D")])
        d.linear(pick.choice(["aux", "old_fc", "unused", "fc_extra"]), width, d.size("C"))
    if what in ("embedding", "two"):
        d.part(pick.choice(["pos_emb", "aux_embedding"]), f"nn.Embedding({d.size('V')}, {pick.choice([d.size('D'), d.size('E')])})")
    if what == "convolution":
        d.part("aux_conv", f"nn.Conv1d({d.size('D')}, {d.size('K')}, 3)")
    d.kind, d.shuffled = f"unused: {what}", pick.random() < 0.5


def two_embeddings(d):
    one, two = d.tokens_input(d.size("V")), d.tokens_input(d.size("K") + 2)
    first = d.part("word_emb", f"nn.Embedding({d.size('V')}, {d.size('E')})")
    how = d.pick.choice(["sum", "concat"])
    width = d.size("E") if how == "sum" else d.size("D")
    second = d.part(d.pick.choice(["tag_emb", "pos_emb"]), f"nn.Embedding({d.size('K') + 2}, {width})")
    joined = f"self.{first}({one}) + self.{second}({two})" if how == "sum" else \
        f"torch.cat([self.{first}({one}), self.{second}({two})], 2)"
    d.line(f"e = {joined}")
    s = stack(d, "e", width if how == "sum" else d.size("E") + width)
    d.kind = f"embeddings: {how}"
    d.result = results(d, s, head(d, s) if d.pick.random() < 0.6 else s.y)


def encoder_decoder(d):
    pick = d.pick
    boxed = pick.random() < 0.6
    prefix = (lambda side, n: f"{side}.{n}") if boxed else (lambda side, n: f"{side}_{n}")
    cell = pick.choice(CELLS)
    layers = pick.choice([1, 2])
    options = {"cell": cell, "layers": layers, "directions": 1, "projection": 0}
    source, target = d.tokens_input(d.size("V")), d.tokens_input(d.size("K") + 2)
    one = d.part(prefix("encoder", "embedding"), f"nn.Embedding({d.size('V')}, {d.size('E')})")
    d.line(f"e = self.{one}({source})")
    first = stack(d, "e", d.size("E"), name=prefix("encoder", "rnn"), **options)
    two = d.part(prefix("decoder", "embedding"), f"nn.Embedding({d.size('K') + 2}, {d.size('D')})")
    d.line(f"f = self.{two}({target})")
    state = f"({first.h}, {first.c})" if cell == "lstm" else first.h
    second = stack(d, "f", d.size("D"), name=prefix("decoder", "rnn"), state=state, **options)
    out = d.linear(prefix("decoder", pick.choice(["fc_out", "out"])), second.features, d.size("C"))
    d.line(f"z = self.{out}({second.y})")
    d.kind, d.result = "two stacks: encoder and decoder", "z"


def sequence_of_two(d):
    pick = d.pick
    x, features = front(d)
    first = stack(d, x, features, name=pick.choice(["rnn1", "lstm1", "encoder_rnn"]))
    between = pick.choice(["linear", "norm", "nothing", "tanh"])
    y, width = first.y, first.features
    if between == "linear":
        d.line(f"m = self.{d.linear('bridge', width, d.size('K'))}({y})")
        y, width = "m", d.size("K")
    elif between == "norm":
        d.line(f"m = self.{d.part('ln1', f'nn.LayerNorm({width})')}({y})")
        y = "m"
    elif between == "tanh":
        d.line(f"m = torch.tanh({y})")
        y = "m"
    second = stack(d, y, width, name=pick.choice(["rnn2", "lstm2", "decoder_rnn"]),
                   hidden=pick.choice([d.size("H"), d.size("E")]))
    d.kind = f"two stacks: {between} between"
    d.result = head(d, second) if pick.random() < 0.7 else second.y


def actor_critic(d):
    pick = d.pick
    x = d.steps_input(d.size("D"))
    one = stack(d, x, d.size("D"), name="actor.rnn")
    out = d.linear("actor.out", one.features, d.size("C"))
    d.line(f"z = self.{out}({one.y})")
    two = stack(d, x, d.size("D"), name="critic.rnn", **({"cell": one.cell} if pick.random() < 0.6 else {}))
    value = d.linear("critic.out", two.features, 1)
    d.line(f"v = self.{value}({last(d, two.y)})")
    d.kind, d.result = "two stacks: actor and critic", "z, v"


def cell_decoder(d):
    """A cell that its author unrolls by hand."""
    pick = d.pick
    x, features = front(d)
    cell = pick.choice(["gru", "rnn_tanh", "lstm"])
    kind = {"gru": "nn.GRUCell", "rnn_tanh": "nn.RNNCell", "lstm": "nn.LSTMCell"}[cell]
    width = features
    if pick.random() < 0.4:
        s = stack(d, x, features)
        x, width = s.y, s.features
    name = d.part(pick.choice(["cell", "decoder_cell", "step"]), f"{kind}({width}, {d.size('K')})")
    call = lambda i, state: f"self.{name}({x}[:, {i}]{state})" if d.batch_first else f"self.{name}({x}[{i}]{state})"
    d.line(f"u = {call(0, '')}")
    d.line(f"u = {call(1, ', u')}")
    out = d.linear(pick.choice(HEADS), d.size("K"), d.size("C"))
    d.line(f"z = self.{out}(u{'[0]' if cell == 'lstm' else ''})")
    d.kind, d.result = "cell", "z"


def shuffled_plain(d):
    plain(d)
    d.kind, d.shuffled, d.plain = "registered in another order", True, False


def tied(d):
    """A language model whose head is its embedding's table."""
    x = d.tokens_input(d.size("V"))
    name = d.part("embedding", f"nn.Embedding({d.size('V')}, {d.size('H')})")
    d.line(f"e = self.{name}({x})")
    s = stack(d, "e", d.size("H"), directions=1, projection=0)
    out = d.linear("decoder", d.size("H"), d.size("V"))
    d.after.append(f"self.{out}.weight = self.{name}.weight")
    d.line(f"z = self.{out}({s.y})")
    d.kind, d.result = "tied head", "z"


def attention_pool(d):
    x, features = front(d)
    s = stack(d, x, features)
    name = d.linear(d.pick.choice(["att", "attention"]), s.features, 1)
    d.line(f"w = torch.softmax(self.{name}({s.y}), {d.time})")
    d.line(f"b = (w * {s.y}).sum({d.time})")
    d.kind, d.result = "behind: attention pool", head(d, s, "b")


def input_residual(d):
    """The stack's input added to its output."""
    x, _ = front(d)
    width = d.size("E") if d.inputs[0][0] == "tokens" else d.size("D")
    s = stack(d, x, width, hidden=width, directions=1, projection=0)
    d.line(f"b = {s.y} + {x}")
    d.kind, d.result = "behind: input added", head(d, s, "b")


def hand_transposed(d):
    """Batch first by the model's own transposition, not by the module's."""
    d.batch_first = False
    x, features = front(d)
    d.line(f"t = {x}.transpose(0, 1)")
    s = stack(d, "t", features)
    head(d, s, s.y)
    d.batch_first, d.kind, d.result = True, "transposed by hand", "z.transpose(0, 1)"


KINDS = [(something_before, 10), (something_behind, 10), (odd_reading, 9), (after_the_head, 3), (mlp_head, 4),
         (two_heads, 3), (stored_state, 6), (computed_state, 2), (unused_parts, 5), (two_embeddings, 3),
         (encoder_decoder, 4), (sequence_of_two, 5), (actor_critic, 3), (cell_decoder, 3), (shuffled_plain, 3),
         (tied, 2), (attention_pool, 2), (input_residual, 2), (hand_transposed, 2)]


def draft(seed):
    """The model of this seed."""
    d = Draft(seed, random.Random(f"torch {seed}"))
    if d.pick.random() < 0.4:
        d.pick.choices([plain, nested, bare], [8, 2, 1])[0](d)
    else:
        d.pick.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0](d)
    return d
