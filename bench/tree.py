"""tree: a file tree into one embedded vault directory, against restic."""

import os
import pathlib
import subprocess

from measuring import Deadline, Series, common_options, finish, megabytes, ratio, remove, say, show_stages, size_of, touch_memory, workspace
from peers import in_turn, peers

KERNEL_ARCHIVE = pathlib.Path("/usr/src/linux-source-6.1.tar.xz")


def kernel_tree(directory):
    if not KERNEL_ARCHIVE.exists():
        say("installing linux-source-6.1 (the tree to measure with)")
        subprocess.run(["apt-get", "install", "-y", "-qq", "linux-source-6.1"], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    say("unpacking the kernel source")
    subprocess.run(["tar", "-xf", str(KERNEL_ARCHIVE), "-C", str(directory)], check=True)
    return directory / "linux-source-6.1"


def warm(source):
    subprocess.run(f"find {source} -type f -print0 | xargs -0 cat > /dev/null", shell=True, check=True)


def measure_peer(peer, number, source, area, is_memory, series, source_bytes):
    """One round of one peer; its three commands."""
    peer.prepare(number)
    first, again = peer.backup(source), peer.backup(source)
    stored = peer.stored()
    target = area / f"restored-{peer.name}-{number}"
    if is_memory:
        touch_memory(area, source_bytes)
    restored = peer.restore(target)
    if is_memory:
        remove(target)
    peer.close()
    series.add(first=first.wall, first_cpu=first.cpu, again=again.wall, again_cpu=again.cpu, restore=restored.wall,
               restore_cpu=restored.cpu, stored=stored, memory=max(first.memory_kib, again.memory_kib, restored.memory_kib))
    say(f"round {number + 1} {peer.name}: first {first.wall:.2f} s ({first.cpu:.2f} CPU s), again {again.wall:.2f} s ({again.cpu:.2f}), restore {restored.wall:.2f} s ({restored.cpu:.2f})")
    return first, restored


def show(series, first, restored):
    rounds = series["exclave"].count()
    gigabytes = first.report["bytes"] / 1e9
    print(f"{first.report['files']} files, {gigabytes:.3f} GB, medians of {rounds} rounds\n")
    print(f"{'':10}{'first s':>9}{'CPU s':>8}{'again s':>9}{'CPU s':>8}{'restore s':>11}{'CPU s':>8}{'MB stored':>11}{'peak MB':>9}")
    for name, s in series.items():
        print(f"{name:10}{s['first']:9.2f}{s['first_cpu']:8.2f}{s['again']:9.2f}{s['again_cpu']:8.2f}{s['restore']:11.2f}{s['restore_cpu']:8.2f}{s['stored'] / 1e6:11.1f}{megabytes(s.largest('memory')):9}")
    show_stages(first.report, restored.report, gigabytes)


def run(arguments):
    # Source and repositories on disk, as in life (and warm); what is restored in memory, if it fits.
    with workspace(1 << 60) as (directory, _):
        source = pathlib.Path(arguments.path).resolve() if arguments.path else kernel_tree(directory)
        warm(source)
        source_bytes = size_of(source)
        with workspace(2 * source_bytes) as (area, place):
            is_memory = place.startswith("memory")
            say(f"restoring into {place}, no final sync for either")
            everyone = peers(directory)
            series = {peer.name: Series() for peer in everyone}
            last = {}
            for number in Deadline(arguments.minutes).rounds(arguments.rounds):
                for peer in in_turn(everyone, number):
                    last[peer.name] = measure_peer(peer, number, source, area, is_memory, series[peer.name], source_bytes)
            show(series, *last["exclave"])
            ours, theirs = series["exclave"], series.get("restic")
            result = {"benchmark": "tree", "first_seconds": round(ours["first"], 3), "again_seconds": round(ours["again"], 3), "restore_seconds": round(ours["restore"], 3),
                      "first_cpu": round(ours["first_cpu"], 3), "again_cpu": round(ours["again_cpu"], 3), "restore_cpu": round(ours["restore_cpu"], 3), "rss_mb": megabytes(ours.largest("memory"))}
            if theirs is not None:
                result.update(peer="restic", first_ratio=ratio(ours, theirs, "first"), again_ratio=ratio(ours, theirs, "again"), restore_ratio=ratio(ours, theirs, "restore"),
                              cpu_ratio=ratio(ours, theirs, "first_cpu"), size_ratio=ratio(ours, theirs, "stored"))
                print("\nratios to restic: " + ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("ratio")))
            finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("tree", help="a file tree into one local vault, against restic")
    parser.add_argument("path", nargs="?", help="the tree (default: Debian's kernel source)")
    common_options(parser, rounds=3, minutes=20)
    parser.set_defaults(run=run)
