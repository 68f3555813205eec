"""Operations that stand before or behind a stack.

Each takes (draft, variable, features), adds its lines, and gives the variable and features that follow.
"""


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
