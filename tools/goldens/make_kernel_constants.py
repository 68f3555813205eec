#!/usr/bin/env python3
"""Prints the polynomial coefficients of Sources/C/CKernels/Constants.h; needs mpmath.

exp: e^r = 1 + r + r² q(r) for |r| <= ln(2)/2. tanh: tanh(x) = x + x z p(z), z = x², for |x| <= 0.625.
Each polynomial interpolates at Chebyshev nodes, computed in 60 digits; the relative error of the
function that it makes is printed beside it.
"""
import mpmath as mp

mp.mp.dps = 60


def interpolate(f, low, high, degree):
    """Monomial coefficients of the interpolant of `f` at Chebyshev nodes, constant first."""
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    matrix = mp.matrix(n, n)
    values = mp.matrix(n, 1)
    for i, x in enumerate(nodes):
        values[i] = f(x)
        for j in range(n):
            matrix[i, j] = x**j
    return [c for c in mp.lu_solve(matrix, values)]


def q(r):
    if abs(r) < mp.mpf("1e-12"):
        return mp.mpf(1) / 2 + r / 6 + r * r / 24
    return (mp.exp(r) - 1 - r) / (r * r)


def p(z):
    if abs(z) < mp.mpf("1e-16"):
        return -mp.mpf(1) / 3 + 2 * z / 15
    x = mp.sqrt(z)
    return (mp.tanh(x) / x - 1) / z


def worst(f, g, low, high):
    points = [low + (high - low) * i / 997 for i in range(998)]
    return max(abs(f(x) / g(x) - 1) for x in points if x != 0)


def show(name, kind, coefficients, error):
    digits = 9 if kind == "f32" else 17
    suffix = "f" if kind == "f32" else ""
    body = ", ".join(mp.nstr(c, digits, min_fixed=0, max_fixed=0) + suffix for c in coefficients)
    print(f"// {kind}: relative error {mp.nstr(error, 2)}")
    print(f"#define CK_{name}_{kind.upper()} {{{body}}}")
    print(f"#define CK_{name}_{kind.upper()}_COUNT {len(coefficients)}")


half = mp.log(2) / 2 * mp.mpf("1.0001")
for kind, degree in (("f32", 5), ("f64", 11)):
    c = interpolate(q, -half, half, degree)
    e = worst(lambda r: 1 + r + r * r * mp.polyval(c[::-1], r), mp.exp, -half, half)
    show("EXP", kind, c, e)
for kind, degree in (("f32", 5), ("f64", 11)):
    limit = mp.mpf("0.625")
    c = interpolate(p, mp.mpf(0), limit**2, degree)
    e = worst(lambda x: x + x**3 * mp.polyval(c[::-1], x * x), mp.tanh, mp.mpf("0.001"), limit)
    show("TANH", kind, c, e)
for kind, bits in (("f32", 15), ("f64", 32)):
    # ln 2 in two parts, the first short enough that n times it is exact.
    high = mp.floor(mp.log(2) * mp.mpf(2) ** bits) / mp.mpf(2) ** bits
    low = mp.log(2) - high
    suffix = "f" if kind == "f32" else ""
    digits = 9 if kind == "f32" else 17
    print(f"#define CK_LN2_HIGH_{kind.upper()} {mp.nstr(high, 20)}{suffix}")
    print(f"#define CK_LN2_LOW_{kind.upper()} {mp.nstr(low, digits)}{suffix}")
