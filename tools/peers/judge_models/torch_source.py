"""A random PyTorch model as Python text, and the plain ones.

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
