#!/usr/bin/env python3
"""Inputs that once went wrong, each with its right outcome: modules, connections and evidence.

    $(tools/peers/environment) tools/peers/judge_cases.py [--only TEXT] BIN

Each case makes its files with the library they come from, runs the tools and says what is wrong about the
outcome. Where the contract leaves two honest outcomes open (the right numbers; a refusal with exit status 65
or 69 and what to do), either passes; other numbers without a word never do. Networks are judged as tools/peers/judge
does it: a case is a model in its own words, or what a model of the generator cannot be.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import traceback

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "capture"))

from judge_models.cases import CASES, Tools  # noqa: E402
import judge_models.cases_files  # noqa: E402, F401
import judge_models.cases_keras  # noqa: E402, F401
import judge_models.cases_torch  # noqa: E402, F401


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", help="the folder of the tools")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="show what the tools said")
    options = parser.parse_args()
    import logging
    import warnings
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import onnxruntime
    onnxruntime.set_default_logger_severity(4)
    failed = count = 0
    for name, case in CASES:
        if options.only not in name:
            continue
        folder = tempfile.mkdtemp(prefix="judge-case-")
        tools = Tools(os.path.abspath(options.bin), folder)
        try:
            case(tools)
        except Exception:  # a case that cannot be made is no case that passed
            tools.complain("itself at fault: " + traceback.format_exc(limit=-3))
        count += 1
        failed += bool(tools.complaints)
        print(f"{'FAIL' if tools.complaints else 'ok  '}  {name}", flush=True)
        for complaint in tools.complaints:
            print(f"      {complaint[:700]}")
        if options.verbose:
            print("\n".join(f"      | {line}" for said in tools.log for line in said.splitlines()))
        shutil.rmtree(folder, ignore_errors=True)
    print(f"judge_cases: {count} cases, {failed} failed")
    sys.exit(1 if failed or not count else 0)


main()
