#!/usr/bin/env python3
"""Compiles every file alone, without writing anything: the presets compile eight as one, where one lives from another's includes unseen.

    tools/check_alone.py BUILD [FILE...]     BUILD: a folder with compile_commands.json, configured with CMAKE_UNITY_BUILD=OFF

One at a time for each core. Exit 1 if a file fails, with the compiler's words.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys


def check(entry):
    command = shlex.split(entry["command"])
    output = command.index("-o")
    del command[output : output + 2]
    done = subprocess.run([*command, "-fsyntax-only"], cwd=entry["directory"], stderr=subprocess.PIPE, text=True, check=False)
    return entry["file"], done.returncode, done.stderr


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
                print(f"{file} does not compile alone:\n{said}", file=sys.stderr)
    print(f"{len(chosen) - failed} of {len(chosen)} files compile alone")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
