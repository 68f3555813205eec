# Writes Sources/Engine/Randomness/ZigguratTables.swift from the constants of the installed NumPy
# (they cannot be recomputed bit for bit from their formula). Needs binutils.
import pathlib, struct, subprocess, sys, tempfile
import numpy

library = pathlib.Path(numpy.__file__).parent / "random/lib/libnpyrandom.a"
notice = (pathlib.Path(numpy.__file__).parent / "random/LICENSE.md").read_text()
notice = notice[notice.index("# 3-Clause BSD License"):notice.index("# Components")].replace("**", "")
names = {"ki_double": "thresholds", "wi_double": "widths", "fi_double": "heights"}
with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["ar", "x", library], cwd=folder, check=True)
    for member in pathlib.Path(folder).glob("*.o"):
        symbols = subprocess.run(["nm", member], capture_output=True, text=True).stdout
        if " ki_double" in symbols:
            break
    else:
        sys.exit("no ziggurat tables found")
    at = {w[2]: int(w[0], 16) for w in (l.split() for l in symbols.splitlines()) if len(w) == 3}
    section = pathlib.Path(folder) / "rodata"
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.rodata", member, section], check=True)
    data = section.read_bytes()
out = ["// Made by tools/goldens/extract_ziggurat.py: data of NumPy's ziggurat normal distribution, under this",
       "// notice:", "//"]
for line in notice.strip().splitlines():
    out.append(("// " + line).rstrip())
out += ["", "/// The 256 layers under the normal curve that NumPy's `standard_normal` uses.", "enum ZigguratTables {"]
docs = {"thresholds": "A draw below this is inside its layer's rectangle.",
        "widths": "The width of a layer, divided by 2⁵².",
        "heights": "The curve's height at a layer's edge."}
for symbol, name in names.items():
    words = struct.unpack("<256Q", data[at[symbol]:at[symbol] + 2048])
    out.append(f"  /// {docs[name]}")
    if name == "thresholds":
        out.append(f"  static let {name}: [UInt64] = [")
    else:
        out.append(f"  static let {name}: [Double] = [UInt64]([")
    for i in range(0, 256, 4):
        out.append("    " + " ".join(f"0x{w:016x}," for w in words[i:i + 4]))
    out.append("  ]" if name == "thresholds" else "  ]).map { Double(bitPattern: $0) }")
    out.append("")
out[-1] = "}"
pathlib.Path("Sources/Engine/Randomness/ZigguratTables.swift").write_text("\n".join(out) + "\n")
