#!/usr/bin/env python3
"""Compiles every file alone, without writing anything: the presets compile eight as one, where one lives from another's includes unseen.
Files of the program go through clang's analyser on the way, which passes over what a batch includes; tests only compile.

    tools/check_alone.py BUILD [FILE...]     BUILD: a folder with compile_commands.json, configured with CMAKE_UNITY_BUILD=OFF

One at a time for each core. Exit 1 if a file fails, with the compiler's or the analyser's words.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys


# Of what --analyze turns on by itself. NewDeleteLeaks does not follow smart pointers out of TRY's statement expressions.
CHECKERS_OFF = "deadcode,nullability,security,optin,cplusplus.NewDeleteLeaks"
# Nodes of the graph of one function's paths, a fifth of the default: 12 to 14 seconds for files that took 32 to 44.
MOST_NODES = 50_000


def to_frontend(*arguments):
    return [word for argument in arguments for word in ("-Xclang", argument)]


ANALYSIS = ["--analyze", "-o", os.devnull, *to_frontend("-analyzer-output=text", "-analyzer-werror", f"-analyzer-disable-checker={CHECKERS_OFF}",
                                                        "-analyzer-config", f"max-nodes={MOST_NODES}")]


ROOT = pathlib.Path(__file__).resolve().parent.parent


def is_of_program(file):
    return file.relative_to(ROOT).parts[0] in ("src", "app") and not file.name.endswith("_test.cc")


def check(entry):
    command = shlex.split(entry["command"])
    output = command.index("-o")
    del command[output : output + 2]
    code, said = 0, ""
    # The analysis hears no warnings of the compiler.
    for how in [["-fsyntax-only"], ANALYSIS] if is_of_program(pathlib.Path(entry["file"]).resolve()) else [["-fsyntax-only"]]:
        done = subprocess.run([*command, *how], cwd=entry["directory"], stderr=subprocess.PIPE, text=True, check=False)
        code, said = code or done.returncode, said + done.stderr
    return entry["file"], code, said


def main():
    build, *wanted = map(pathlib.Path, sys.argv[1:])
    # A file that stands in two targets is compiled once.
    entries = {pathlib.Path(entry["file"]): entry for entry in json.loads((build / "compile_commands.json").read_text())}
    if any("Unity" in file.parts for file in entries):
        sys.exit(f"{build} compiles batches; configure it with CMAKE_UNITY_BUILD=OFF")
    if missing := [str(file) for file in wanted if file.resolve() not in entries]:
        sys.exit(f"not compiled in {build}: {' '.join(missing)}")
    chosen = [entries[file.resolve()] for file in wanted] or list(entries.values())
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, code, said in pool.map(check, chosen):
            if code:
                failed += 1
                print(f"{file} does not pass alone:\n{said}", file=sys.stderr)
    print(f"{len(chosen) - failed} of {len(chosen)} files pass alone")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
