#!/usr/bin/env python3
"""Writes fixtures/golden/engine/random.json: random numbers, initial weights, optimisers, schedules and spectra.

    $(tools/peers/environment) tools/goldens/engine_random.py
"""
import math

import numpy as np
import torch
from torch import nn

import numbers_file

out = numbers_file.Arrays()
f32, f64, ints = out.f32, out.f64, out.ints


def flat(module):
    return np.concatenate([p.detach().numpy().reshape(-1) for p in module.state_dict().values()])

S, D = torch.float32, torch.float64
# One stream through many kinds of calls.
torch.manual_seed(20240607)
f32("uniformSingle", torch.empty(333).uniform_(-0.3, 0.7))
f64("uniformDouble", torch.empty(101, dtype=D).uniform_(-2.5, 0.1))
f32("normalSmallSingle", torch.empty(7).normal_(0.25, 1.5))
f64("normalSmallDouble", torch.randn(15, dtype=D))
f64("normalDouble", torch.empty(3, 7, dtype=D).normal_(-1, 0.2))
f64("normalDoubleBlocks", torch.randn(48, dtype=D))
ints("integersNarrow", torch.randint(-5, 12, (50,)))
ints("integersBelow28", torch.randint(0, 2**28 - 1, (9,)))
ints("integersFrom28", torch.randint(0, 2**28, (9,)))
ints("integersWide", torch.randint(-2**40, 2**61, (9,)))
ints("permutation", torch.randperm(100))
ints("permutationOfOne", torch.randperm(1))
f32("bernoulli", torch.empty(200).bernoulli_(0.3))
for i, p in enumerate((0.1, 0.35, 0.5, 0.8, 1.0, 0.0)):
    f32(f"dropout{i}", torch.nn.functional.dropout(torch.ones(5, 13), p))
f32("exponentialSingle", torch.empty(100).exponential_(1.7))
f64("exponentialDouble", torch.empty(100, dtype=D).exponential_())
weights = torch.tensor([0.1, 3, 0, 0.7, 1.9, 0.4, 2.2])
f32("weights", weights)
ints("multinomialOne", [torch.multinomial(weights, 1).item() for _ in range(30)])
ints("multinomialWithout", torch.cat([torch.multinomial(weights, 5) for _ in range(10)]))
ints("multinomialWith", torch.multinomial(weights, 100, replacement=True))
f64("weightsDouble", weights.double())
ints("multinomialWithDouble", torch.multinomial(weights.double(), 100, replacement=True))
out.bytes("stateAfter", torch.get_rng_state().tolist())
f64("afterState", torch.randn(3, dtype=D))
out.bytes("stateWithSpare", torch.get_rng_state().tolist())
f64("afterSpare", torch.randn(5, dtype=D))
torch.manual_seed(7)
out.bytes("stateFresh", torch.get_rng_state().tolist())
for name, seed in (("negative", -3), ("large", 2**63 + 12345), ("zero", 0)):
    torch.manual_seed(seed)
    f32(name + "Seed", torch.rand(10))
f64("defaultSeed", torch.rand(10, dtype=D, generator=torch.Generator()))
torch.manual_seed(91)
f32("normalSingle", torch.cat([torch.randn(1000), torch.empty(37).normal_(0.5, 0.02)]))

torch.manual_seed(92)
# The sum of the bit patterns of many numbers.
out.unsigned("normalSingleSum", torch.randn(200_000).numpy().view(np.uint32).astype(np.uint64).sum())

# Order of a DataLoader's examples, two epochs each, and a split.
from torch.utils.data import DataLoader, random_split
torch.manual_seed(31)
loader = DataLoader(list(range(23)), shuffle=True, batch_size=4)
ints("loaderOrder", [int(i) for _ in range(2) for batch in loader for i in batch])
g = torch.Generator().manual_seed(32)
loader = DataLoader(list(range(23)), shuffle=True, generator=g)
ints("loaderOrderOwn", [int(i) for _ in range(2) for batch in loader for i in batch])
torch.manual_seed(33)
ints("split", [i for part in random_split(list(range(17)), [9, 5, 3]) for i in part.indices])

# Initial weights.
def weights_of(name, seed, make):
    torch.manual_seed(seed)
    m = make()
    (f64 if next(m.parameters()).dtype == D else f32)(name, flat(m))
    return m
weights_of("initRNN", 11, lambda: nn.RNN(3, 5, num_layers=2, bidirectional=True))
weights_of("initRNNDouble", 11, lambda: nn.RNN(3, 5, num_layers=2, bidirectional=True, dtype=D))
weights_of("initLSTM", 12, lambda: nn.LSTM(3, 6, num_layers=2, bidirectional=True, proj_size=2))
weights_of("initGRU", 13, lambda: nn.GRU(4, 5, bias=False))
weights_of("initLinear", 14, lambda: nn.Linear(7, 3))
weights_of("initModel", 15, lambda: nn.Sequential(nn.RNN(4, 6), nn.Linear(6, 3)))
weights_of("initEmbedding", 16, lambda: nn.Embedding(3, 5, padding_idx=1))
weights_of("initEmbeddingLarge", 17, lambda: nn.Embedding(13, 5, padding_idx=4))
torch.manual_seed(18)
for kind, t, put_ in (("Single", S, f32), ("Double", D, f64)):
    e = lambda *s: torch.empty(*s, dtype=t)
    put_("xavierUniform" + kind, nn.init.xavier_uniform_(e(6, 5), 1.3))
    put_("xavierNormal" + kind, nn.init.xavier_normal_(e(3, 5), 0.7))
    put_("kaimingUniform" + kind, nn.init.kaiming_uniform_(e(6, 5), nonlinearity="relu"))
    put_("kaimingUniformSlope" + kind, nn.init.kaiming_uniform_(e(6, 5), a=math.sqrt(5), mode="fan_out"))
    put_("kaimingNormal" + kind, nn.init.kaiming_normal_(e(5, 3), nonlinearity="tanh"))
    put_("orthogonalSquare" + kind, nn.init.orthogonal_(e(6, 6)))
    put_("orthogonalWide" + kind, nn.init.orthogonal_(e(3, 7), 1.5))
    put_("orthogonalTall" + kind, nn.init.orthogonal_(e(8, 4)))

# NumPy.
for seed in (0, 42, 2**40 + 7):
    rng = np.random.default_rng(seed)
    f64(f"numpyNormal{seed}", rng.normal(1.5, 0.1, 60))
    ints(f"numpyIntegers{seed}", rng.integers(0, 5, 7))
    f64(f"numpyRandom{seed}", rng.random(11))
    ints(f"numpyIntegersWide{seed}", np.concatenate([rng.integers(-3, 2**32 - 3, 3), rng.integers(0, 2**32 - 1, 3), rng.integers(-2**62, 2**62 + 5, 3)]))
    ints(f"numpyPermutation{seed}", rng.permutation(20))
    a = np.arange(9); rng.shuffle(a); ints(f"numpyShuffle{seed}", a)
    f64(f"numpyUniform{seed}", rng.uniform(-2, 3, 5))
rng = np.random.default_rng(3)
many = rng.standard_normal(200_000)
out.unsigned("numpyNormalSum", np.add.reduce(many.view(np.uint64), dtype=np.uint64))
f64("numpyNormalExtremes", [many.min(), many.max()])
f64("numpyEntropy", np.random.default_rng([1, 2, 3, 4, 5, 6]).random(4))
rs = np.random.RandomState(1234)
f64("legacySample", rs.random_sample(11))
f64("legacyRandn", rs.randn(31))
f64("legacyNormal", rs.normal(2, 0.5, 10))
f64("legacyUniform", rs.uniform(-1, 3, 10))
ints("legacyRandint", rs.randint(0, 10, 20))
ints("legacyRandintWide", rs.randint(-2**40, 2**50, 5))
ints("legacyPermutation", rs.permutation(20))
a = np.arange(9); rs.shuffle(a); ints("legacyShuffle", a)

# Optimisers: two parameters, 25 steps of pseudo-random gradients from NumPy.
shapes = [(37, 5), (23,)]
variants = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgdMomentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "sgdDampened": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, dampening=0.3, weight_decay=0.02),
    "sgdNesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p),
    "adamDecay": lambda p: torch.optim.Adam(p, lr=3e-3, betas=(0.85, 0.99), eps=1e-7, weight_decay=0.05),
    "adamMaximum": lambda p: torch.optim.Adam(p, lr=3e-3, amsgrad=True),
    "adamW": lambda p: torch.optim.AdamW(p, lr=2e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, weight_decay=0.01),
    "rmspropCentered": lambda p: torch.optim.RMSprop(p, lr=3e-3, alpha=0.9, centered=True, momentum=0.8),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.03, lr_decay=0.01, weight_decay=0.02, initial_accumulator_value=0.1),
}
# torch takes square roots from MKL, which on some processors (AMD's) is off by one unit in the last
# place in a fifth of all cases. So every trajectory is kept twice: with exact roots, which must be met
# bit for bit, and as this machine has it ("Measured").
exact_roots = {"sqrt": lambda x: torch.from_numpy(np.sqrt(x.detach().numpy())),
               "sqrt_": lambda x: x.copy_(torch.from_numpy(np.sqrt(x.detach().numpy())))}
roots = {name: getattr(torch.Tensor, name) for name in exact_roots}
probe = torch.from_numpy(np.random.default_rng(1).random(10000))
for x in (probe.float(), probe):
    print(x.dtype, "roots that are not exact:", int((x.sqrt() != exact_roots["sqrt"](x)).sum()), "of 10000")

def trajectory(start, gradients, make):
    p = [nn.Parameter(x.clone()) for x in start]
    o = make(p)
    for step in gradients:
        for x, g in zip(p, step):
            x.grad = g.clone()
        o.step()
    return np.concatenate([x.detach().numpy().reshape(-1) for x in p])

for kind, t, put_ in (("Single", S, f32), ("Double", D, f64)):
    rng = np.random.default_rng(77)
    start = [torch.tensor(rng.normal(size=s)).to(t) for s in shapes]
    gradients = [[torch.tensor(rng.normal(0, 0.3, size=s)).to(t) for s in shapes] for _ in range(25)]
    for name, make in variants.items():
        for suffix, functions in (("", exact_roots), ("Measured", roots)):
            if suffix and name.startswith("sgd"):
                continue
            for method, function in functions.items():
                setattr(torch.Tensor, method, function)
            put_(name + kind + suffix, trajectory(start, gradients, make))

# Learning-rate schedules: 25 values each.
L = torch.optim.lr_scheduler
schedules = {
    "stepRates": lambda o: L.StepLR(o, 4, 0.3),
    "exponentialRates": lambda o: L.ExponentialLR(o, 0.93),
    "cosineRates": lambda o: L.CosineAnnealingLR(o, 10, 0.002),
    "linearRates": lambda o: L.LinearLR(o, 0.2, 1.0, 7),
    "plateauRates": lambda o: L.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1, min_lr=1e-3),
}
losses = [5 / (i + 1) if i < 6 else 0.83 + 0.01 * ((i * 7) % 5) for i in range(40)]
f64("plateauLosses", losses)
for name, make in schedules.items():
    o = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    s = make(o)
    rates = [o.param_groups[0]["lr"]]
    for i in range(40):
        o.step()
        s.step(losses[i]) if name == "plateauRates" else s.step()
        rates.append(o.param_groups[0]["lr"])
    f64(name, rates)

# Matrices: eigenvalues and singular values.
rng = np.random.default_rng(5)
for n in (2, 7, 24):
    a = rng.normal(size=(n, n)) / math.sqrt(n)
    f64(f"matrix{n}", a)
    e = np.linalg.eigvals(a)
    f64(f"eigenvalueSizes{n}", np.sort(np.abs(e))[::-1])
    f64(f"singularValues{n}", np.linalg.svd(a, compute_uv=False))
numbers_file.write("random", {"arrays": out.arrays}, __file__, torch, np)
