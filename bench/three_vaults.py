"""three-vaults: a file tree as full copies over mutual TLS to three daemons on this machine, against restic writing to one
local directory. Agent, daemons and their disks share the machine's cores here; in life each vault has its own."""

import pathlib

from measuring import Deadline, Series, common_options, finish, megabytes, ratio, remove, say, show_stages, size_of, touch_memory, workspace
from peers import in_turn, peers
from tree import kernel_tree, warm


def measure_peer(peer, number, source, area, is_memory, series, source_bytes):
    peer.prepare(number)
    daemons_before = peer.vaults_cpu() if peer.name == "exclave" else 0.0
    first = peer.backup(source)
    daemons = peer.vaults_cpu() - daemons_before if peer.name == "exclave" else 0.0
    again = peer.backup(source)
    target = area / f"restored-{peer.name}-{number}"
    if is_memory:
        touch_memory(area, source_bytes)
    restored = peer.restore(target)
    if is_memory:
        remove(target)
    series.add(first=first.wall, first_cpu=first.cpu, daemons_cpu=daemons, again=again.wall, restore=restored.wall, restore_cpu=restored.cpu, stored=peer.stored(),
               memory=max(first.memory_kib, again.memory_kib, restored.memory_kib))
    peer.close()
    say(f"round {number + 1} {peer.name}: first {first.wall:.2f} s ({first.cpu:.2f} CPU s, daemons {daemons:.2f}), again {again.wall:.2f} s, restore {restored.wall:.2f} s")
    return first, restored


def run(arguments):
    with workspace(1 << 60) as (directory, _):
        source = pathlib.Path(arguments.path).resolve() if arguments.path else kernel_tree(directory)
        warm(source)
        source_bytes = size_of(source)
        with workspace(2 * source_bytes) as (area, place):
            is_memory = place.startswith("memory")
            everyone = peers(directory, vaults="daemons")
            series = {peer.name: Series() for peer in everyone}
            last = {}
            try:
                for number in Deadline(arguments.minutes).rounds(arguments.rounds):
                    for peer in in_turn(everyone, number):
                        last[peer.name] = measure_peer(peer, number, source, area, is_memory, series[peer.name], source_bytes)
            finally:
                for peer in everyone:
                    peer.close()
            show(arguments, series, last)


def show(arguments, series, last):
    first, restored = last["exclave"]
    gigabytes = first.report["bytes"] / 1e9
    if any(not vault["complete"] for vault in first.report["vaults"]):
        say("note: not every vault had everything when the capture ended")
    print(f"{first.report['files']} files, {gigabytes:.3f} GB, three full copies over TLS against one local copy, medians of {series['exclave'].count()} rounds\n")
    print(f"{'':10}{'first s':>9}{'CPU s':>8}{'daemons':>9}{'again s':>9}{'restore s':>11}{'CPU s':>8}{'MB per copy':>13}{'peak MB':>9}")
    for name, s in series.items():
        print(f"{name:10}{s['first']:9.2f}{s['first_cpu']:8.2f}{s['daemons_cpu']:9.2f}{s['again']:9.2f}{s['restore']:11.2f}{s['restore_cpu']:8.2f}{s['stored'] / 1e6:13.1f}{megabytes(s.largest('memory')):9}")
    show_stages(first.report, restored.report, gigabytes)
    ours, theirs = series["exclave"], series.get("restic")
    result = {"benchmark": "three-vaults", "first_seconds": round(ours["first"], 3), "agent_cpu": round(ours["first_cpu"], 3), "daemons_cpu": round(ours["daemons_cpu"], 3),
              "again_seconds": round(ours["again"], 3), "restore_seconds": round(ours["restore"], 3), "rss_mb": megabytes(ours.largest("memory"))}
    if theirs is not None:
        result.update(peer="restic", first_ratio=ratio(ours, theirs, "first"), again_ratio=ratio(ours, theirs, "again"), restore_ratio=ratio(ours, theirs, "restore"))
        print("\nratios to restic, which writes one copy: " + ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("ratio")))
    finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("three-vaults", help="three full copies over TLS to daemons on this machine, against restic to one local directory")
    parser.add_argument("path", nargs="?", help="the tree (default: Debian's kernel source)")
    common_options(parser, rounds=3, minutes=20)
    parser.set_defaults(run=run)
