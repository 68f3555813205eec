"""A random Keras model, Sequential or functional: `draft(seed)`. About two in five are plain."""
import random
from dataclasses import dataclass

CELLS = ["LSTM", "GRU", "SimpleRNN"]


@dataclass
class KerasDraft:
    """A model, its kind and the shapes of its inputs."""
    seed: int
    pick: random.Random
    kind: str = ""
    plain: bool = False
    expressible: bool = True
    model: object = None
    inputs: list = None

    def __post_init__(self):
        names = ["D", "E", "H", "C", "K", "V"]
        if self.pick.random() < 0.25:
            same = self.pick.randint(4, 8)
            self.sizes = {n: same for n in names}
        else:
            self.sizes = dict(zip(names, self.pick.sample(range(3, 15), len(names))))
        self.steps, self.rows = self.pick.choice([(5, 3), (6, 2), (4, 7), (7, 4)])

    def size(self, name):
        return self.sizes[name]


def layers():
    import keras
    return keras.layers


def rnn(d, cell=None, units=None, sequences=True, bidirectional=False, **options):
    """One recurrent layer."""
    L, pick = layers(), d.pick
    cell = cell or pick.choices(CELLS, [5, 4, 2])[0]
    if cell == "SimpleRNN" and "activation" not in options and pick.random() < 0.3:
        options["activation"] = "relu"
    if "use_bias" not in options and pick.random() < 0.1:
        options["use_bias"] = False
    name = options.pop("name", None) or (None if pick.random() < 0.6 else pick.choice(["encoder", "core", "tagger"]) + f"_{pick.randint(1, 99)}")
    merge = options.pop("merge_mode", "concat")
    layer = getattr(L, cell)(units or d.size("H"), return_sequences=sequences, name=None if bidirectional else name, **options)
    return L.Bidirectional(layer, merge_mode=merge, name=name) if bidirectional else layer


def front(d):
    """(input, the stack's input)"""
    L = layers()
    if d.pick.random() < 0.45:
        x = L.Input((None,), dtype="int32")
        d.inputs = [("tokens", d.size("V"))]
        name = d.pick.choice([None, "word_emb", "embed"])
        return x, L.Embedding(d.size("V"), d.size("E"), name=name)(x)
    x = L.Input((None, d.size("D")))
    d.inputs = [("steps", d.size("D"))]
    return x, x


def stack(d, y, sequences, count=None, **options):
    """Equal recurrent layers after one another, as a stack of PyTorch's."""
    pick = d.pick
    cell = options.pop("cell", None) or pick.choices(CELLS, [5, 4, 2])[0]
    both = options.pop("bidirectional", pick.random() < 0.35)
    count = count or pick.choices([1, 2, 3], [6, 4, 1])[0]
    if cell == "SimpleRNN" and "activation" not in options:
        options["activation"] = pick.choice(["tanh", "tanh", "relu"])
    options.setdefault("use_bias", pick.random() < 0.88)
    for index in range(count):
        y = rnn(d, cell, bidirectional=both, sequences=sequences or index < count - 1, **options)(y)
        if index < count - 1 and pick.random() < 0.15:
            y = layers().Dropout(0.2)(y)
    return y


def head(d, y, activation=None):
    L, pick = layers(), d.pick
    name = pick.choice([None, None, "logits", "classifier"])
    return L.Dense(d.size("C"), activation=activation, use_bias=pick.random() < 0.85, name=name)(y)


def finish(d, x, y, kind):
    import keras
    d.kind = kind
    d.model = keras.Model(x, y)


def plain(d):
    import keras
    L, pick = layers(), d.pick
    x, y = front(d)
    with_head = pick.random() < 0.75
    y = stack(d, y, sequences=pick.random() < 0.5 or not with_head)
    if with_head:
        if pick.random() < 0.2:
            y = L.Dropout(0.1)(y)
        y = head(d, y, pick.choice([None, None, "softmax", "sigmoid"]))
    finish(d, x, y, "plain")
    d.plain = True
    if pick.random() < 0.5:  # the same layers as a Sequential
        rest = [layer for layer in d.model.layers if not isinstance(layer, L.InputLayer)]
        first = L.Input((None,), dtype="int32") if d.inputs[0][0] == "tokens" else L.Input((None, d.size("D")))
        d.model = keras.Sequential([first, *rest])


def before(d):
    L, pick = layers(), d.pick
    x, y = front(d)
    how, layer = pick.choice([
        ("dense", lambda: L.Dense(d.size("K"), activation=pick.choice([None, "relu", "tanh"]))),
        ("normalisation", L.LayerNormalization), ("batch normalisation", L.BatchNormalization),
        ("convolution", lambda: L.Conv1D(d.size("K"), 3, padding="same")), ("scaling", lambda: L.Rescaling(0.3, 0.1)),
        ("activation", lambda: L.Activation("tanh"))])
    y = stack(d, layer()(y), sequences=True)
    finish(d, x, head(d, y) if pick.random() < 0.6 else y, f"before: {how}")


def behind(d):
    L, pick = layers(), d.pick
    x, y = front(d)
    s = stack(d, y, sequences=True)
    how = pick.choice(["normalisation", "add", "concatenate", "attention", "activation", "pooling", "distributed", "max", "batch normalisation"])
    if how == "add":
        y = L.Add()([s, L.Dense(s.shape[-1])(y)])
    elif how == "concatenate":
        y = L.Concatenate()([s, y])
    elif how == "attention":
        y = L.Attention()([s, s])
    elif how == "distributed":
        y = L.TimeDistributed(L.Dense(d.size("K"), activation="relu"))(s)
    else:
        y = {"normalisation": L.LayerNormalization, "batch normalisation": L.BatchNormalization,
             "activation": lambda: L.Activation("relu"), "pooling": L.GlobalAveragePooling1D,
             "max": L.GlobalMaxPooling1D}[how]()(s)
    finish(d, x, head(d, y) if pick.random() < 0.75 else y, f"behind: {how}")


def merged(d):
    mode = d.pick.choice(["sum", "mul", "ave"])
    x, y = front(d)
    sequences = d.pick.random() < 0.5
    y = rnn(d, bidirectional=True, merge_mode=mode, sequences=sequences)(y)
    d.expressible = False
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, f"merge mode {mode}")


def backwards(d):
    x, y = front(d)
    sequences = d.pick.random() < 0.5
    y = rnn(d, go_backwards=True, sequences=sequences)(y)
    d.expressible = False
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, f"backwards, {'sequence' if sequences else 'last'}")


def activations(d):
    x, y = front(d)
    options = d.pick.choice([{"recurrent_activation": "hard_sigmoid"}, {"activation": "relu"}, {"activation": "softsign"}])
    y = rnn(d, d.pick.choice(["LSTM", "GRU"]), **options)(y)
    d.expressible = False
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, "activations")


def reset_before(d):
    x, y = front(d)
    y = rnn(d, "GRU", reset_after=False, sequences=True)(y)
    d.expressible = False
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, "reset before")


def carried(d):
    """A second layer that starts from the first one's states."""
    x, y = front(d)
    cell = d.pick.choice(["LSTM", "GRU"])
    y, *states = rnn(d, cell, return_state=True, name="first", use_bias=True)(y)
    y = rnn(d, cell, name="second", use_bias=True)(y, initial_state=states if cell == "LSTM" else states[0])
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, "state: carried")


def computed_state(d):
    L = layers()
    x, y = front(d)
    start = L.Dense(d.size("H"), activation="tanh", name="start")(L.GlobalAveragePooling1D()(y))
    y = rnn(d, "GRU")(y, initial_state=start)
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, "state: computed")


def two_heads(d):
    x, y = front(d)
    s = stack(d, y, sequences=True)
    finish(d, x, [layers().Dense(d.size("C"), name="policy")(s), layers().Dense(1, name="value")(s)], "head: two")


def mlp(d):
    L = layers()
    x, y = front(d)
    s = stack(d, y, sequences=d.pick.random() < 0.5)
    finish(d, x, head(d, L.Dense(d.size("K"), activation="relu")(s)), "head: mlp")


def after_head(d):
    L = layers()
    x, y = front(d)
    z = head(d, stack(d, y, sequences=True))
    how, layer = d.pick.choice([("softmax layer", L.Softmax), ("scaling", lambda: L.Rescaling(10.0, 3.0)), ("relu", L.ReLU)])
    finish(d, x, layer()(z), f"after the head: {how}")


def different(d):
    """Two layers that are no stack: other units, another cell, or only one of both directions."""
    x, y = front(d)
    how = d.pick.choice(["units", "cell", "directions"])
    first = {"cell": "LSTM", "units": d.size("H")}
    second = {"units": {"units": d.size("H") + 2}, "cell": {"cell": "GRU"}, "directions": {"bidirectional": True}}[how]
    y = rnn(d, **first)(y)
    y = rnn(d, **(first | second))(y)
    finish(d, x, head(d, y) if d.pick.random() < 0.6 else y, f"two stacks: {how} differ")


def between(d):
    L = layers()
    x, y = front(d)
    y = rnn(d, "LSTM")(y)
    how, layer = d.pick.choice([("dense", lambda: L.Dense(d.size("H"))), ("normalisation", L.LayerNormalization)])
    y = rnn(d, "LSTM")(layer()(y))
    finish(d, x, head(d, y), f"two stacks: {how} between")


def autoencoder(d):
    L = layers()
    x = L.Input((d.steps, d.size("D")))
    d.inputs = [("steps", d.size("D"))]
    y = rnn(d, "LSTM", sequences=False)(x)
    y = rnn(d, "LSTM")(L.RepeatVector(d.steps)(y))
    finish(d, x, L.TimeDistributed(L.Dense(d.size("D")))(y), "two stacks: autoencoder")


def frozen(d):
    """The older HDF5 layout lists trainable weights first."""
    plain(d)
    d.plain = False
    found = [layer for layer in d.model.layers if layer.weights]
    d.pick.choice(found).trainable = False
    for layer in found:
        if hasattr(layer, "forward_layer") and d.pick.random() < 0.7:
            layer.trainable = True
            layer.forward_layer.trainable = False
    d.kind, d.plain = "frozen", True


def nested(d):
    import keras
    L, pick = layers(), d.pick
    first = rnn(d, "LSTM", name="first", use_bias=True)
    second = rnn(d, "LSTM", name="second", use_bias=True)
    parts = [first, second]
    if pick.random() < 0.5:
        d.inputs = [("tokens", d.size("V"))]
        entry = lambda: L.Input((None,), dtype="int32")
        parts = [L.Embedding(d.size("V"), d.size("E")), *parts]
    else:
        d.inputs = [("steps", d.size("D"))]
        entry = lambda: L.Input((None, d.size("D")))
    inner = keras.Sequential([entry(), *parts], name="inner")
    d.model, d.kind = keras.Sequential([entry(), inner, L.Dense(d.size("C"))]), "nested"
    if pick.random() < 0.5:
        pick.choice(parts).trainable = False
        d.kind = "nested, frozen"


KINDS = [(before, 10), (behind, 12), (merged, 4), (backwards, 4), (activations, 4), (reset_before, 2), (carried, 5),
         (computed_state, 3), (two_heads, 3), (mlp, 4), (after_head, 4), (different, 5), (between, 4), (autoencoder, 3),
         (frozen, 6), (nested, 6)]


def draft(seed):
    """The model of this seed."""
    import keras
    keras.backend.clear_session()
    d = KerasDraft(seed, random.Random(f"keras {seed}"))
    if d.pick.random() < 0.4:
        plain(d)
    else:
        d.pick.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0](d)
    return d
