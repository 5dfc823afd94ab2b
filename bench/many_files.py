"""million: one million small files in 100,000 directories. Is memory flat, and what does an unchanged file cost?"""

import os
import random

from measuring import Deadline, Series, common_options, finish, in_own_process, megabytes, ratio, remove, say, show_stages, workspace
from peers import Exclave, in_turn, peers

FILES_PER_DIRECTORY = 10
DIRECTORIES_PER_PARENT = 100
PAGE = 4096  # what a small file takes in memory or on disk


def make_tree(root, files):
    chance = random.Random(1)
    text = chance.randbytes(1 << 20).hex().encode()
    root.mkdir()
    made = 0
    directory = 0
    while made < files:
        parent = root / f"{directory // DIRECTORIES_PER_PARENT:05}"
        if directory % DIRECTORIES_PER_PARENT == 0:
            parent.mkdir()
        path = f"{parent}/{directory:07}"
        os.mkdir(path)
        for _ in range(min(FILES_PER_DIRECTORY, files - made)):
            at = chance.randrange(len(text) - 1000)
            descriptor = os.open(f"{path}/record-{made:08}.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(descriptor, text[at:at + chance.randrange(50, 1000)])
            os.close(descriptor)
            made += 1
        directory += 1


def run(arguments):
    with workspace(arguments.files * PAGE * 3) as (directory, place):
        say(f"making {arguments.files} files in {place}")
        source = directory / "source"
        in_own_process(make_tree, source, arguments.files)
        everyone = peers(directory) if arguments.with_restic else [Exclave(directory)]
        series = {peer.name: Series() for peer in everyone}
        last = {}
        for number in Deadline(arguments.minutes).rounds(arguments.rounds):
            for peer in in_turn(everyone, number):
                peer.prepare(number)
                first, again = peer.backup(source), peer.backup(source)
                target = directory / f"restored-{peer.name}"
                restored = peer.restore(target)
                in_own_process(remove, target)
                peer.discard()
                series[peer.name].add(first=first.wall, first_cpu=first.cpu, first_memory=first.memory_kib, again=again.wall, again_cpu=again.cpu, again_memory=again.memory_kib,
                                      restore=restored.wall, restore_cpu=restored.cpu, restore_memory=restored.memory_kib)
                last[peer.name] = (first, restored)
                say(f"round {number + 1} {peer.name}: " + ", ".join(f"{what} {m.wall:.2f} s ({m.cpu:.2f} CPU s, {megabytes(m.memory_kib)} MB)" for what, m in (("first", first), ("again", again), ("restore", restored))))
        show(arguments, series, last)
        in_own_process(remove, source)


def show(arguments, series, last):
    first, restored = last["exclave"]
    entries = first.report["files"] + first.report["directories"]
    print(f"{first.report['files']} files in {first.report['directories']} directories, {first.report['bytes'] / 1e6:.0f} MB, medians of {series['exclave'].count()} rounds\n")
    print(f"{'':10}{'first s':>9}{'CPU s':>8}{'peak MB':>9}{'again s':>9}{'CPU s':>8}{'peak MB':>9}{'restore s':>11}{'CPU s':>8}{'peak MB':>9}")
    for name, s in series.items():
        print(f"{name:10}{s['first']:9.2f}{s['first_cpu']:8.2f}{megabytes(s.largest('first_memory')):9}{s['again']:9.2f}{s['again_cpu']:8.2f}{megabytes(s.largest('again_memory')):9}"
              f"{s['restore']:11.2f}{s['restore_cpu']:8.2f}{megabytes(s.largest('restore_memory')):9}")
    ours, theirs = series["exclave"], series.get("restic")
    per_core = first.report["files"] / ours["again_cpu"]
    print(f"\nunchanged: {per_core:,.0f} files a second and core, {entries / ours['again_cpu']:,.0f} with directories")
    show_stages(first.report, restored.report, first.report["bytes"] / 1e9)
    result = {"benchmark": "million", "files": first.report["files"], "directories": first.report["directories"], "first_seconds": round(ours["first"], 3), "again_seconds": round(ours["again"], 3),
              "restore_seconds": round(ours["restore"], 3), "unchanged_files_per_core_second": round(per_core), "first_rss_mb": megabytes(ours.largest("first_memory")),
              "again_rss_mb": megabytes(ours.largest("again_memory")), "restore_rss_mb": megabytes(ours.largest("restore_memory"))}
    if theirs is not None:
        result.update(peer="restic", first_ratio=ratio(ours, theirs, "first"), again_ratio=ratio(ours, theirs, "again"), restore_ratio=ratio(ours, theirs, "restore"))
        print("\nratios to restic: " + ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("ratio")))
    finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("million", help="one million small files: memory, and the cost of an unchanged file")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--with-restic", action="store_true", help="measure restic too (it takes several minutes a round)")
    common_options(parser, rounds=1, minutes=20)
    parser.set_defaults(run=run)
