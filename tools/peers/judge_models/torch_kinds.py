"""The kinds of PyTorch models that are not plain, one function each, and `draft(seed)`."""
import random

from .torch_operations import BEHINDS, FRONTS
from .torch_source import CELLS, HEADS, Draft, bare, front, last, nested, plain, plain_reading, results, stack


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
