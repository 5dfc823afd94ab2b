"""random: data that neither compresses nor repeats, where every byte is hashed twice, sealed and written."""

import os

from measuring import Deadline, Series, common_options, finish, in_own_process, megabytes, ratio, remove, say, show_stages, touch_memory, workspace
from peers import in_turn, peers

FILE_BYTES = 256 << 20
BLOCK_BYTES = 4 << 20


def make_files(directory, total):
    directory.mkdir()
    number = 0
    while total > 0:
        size = min(total, FILE_BYTES)
        with open(directory / f"random-{number:03}", "wb") as out:
            for at in range(0, size, BLOCK_BYTES):
                out.write(os.urandom(min(BLOCK_BYTES, size - at)))
        total -= size
        number += 1


def run(arguments):
    total = int(arguments.gigabytes * 1e9)
    # The data, one repository, and the restored copy at one time.
    with workspace(3 * total + total // 10) as (directory, place):
        say(f"{total / 1e9:.1f} GB of random data, its repositories and restored copies in {place}")
        source = directory / "source"
        in_own_process(make_files, source, total)
        everyone = peers(directory)
        series = {peer.name: Series() for peer in everyone}
        last = {}
        for number in Deadline(arguments.minutes).rounds(arguments.rounds):
            for peer in in_turn(everyone, number):
                peer.prepare(number)
                if place.startswith("memory"):
                    touch_memory(directory, total)
                first = peer.backup(source)
                stored = peer.stored()
                target = directory / f"restored-{peer.name}"
                if place.startswith("memory"):
                    touch_memory(directory, total)
                restored = peer.restore(target)
                remove(target)
                peer.discard()
                series[peer.name].add(backup=first.wall, backup_cpu=first.cpu, restore=restored.wall, restore_cpu=restored.cpu, stored=stored,
                                      memory=max(first.memory_kib, restored.memory_kib))
                last[peer.name] = (first, restored)
                say(f"round {number + 1} {peer.name}: backup {first.wall:.2f} s ({first.cpu:.2f} CPU s), restore {restored.wall:.2f} s ({restored.cpu:.2f} CPU s)")
        show(arguments, total / 1e9, series, last)


def show(arguments, gigabytes, series, last):
    print(f"{gigabytes:.1f} GB of random data, medians of {series['exclave'].count()} rounds\n")
    print(f"{'':10}{'backup s':>10}{'MB/s':>7}{'core-s/GB':>11}{'restore s':>11}{'MB/s':>7}{'core-s/GB':>11}{'stored/data':>13}{'peak MB':>9}")
    for name, s in series.items():
        print(f"{name:10}{s['backup']:10.2f}{gigabytes * 1e3 / s['backup']:7.0f}{s['backup_cpu'] / gigabytes:11.2f}{s['restore']:11.2f}{gigabytes * 1e3 / s['restore']:7.0f}"
              f"{s['restore_cpu'] / gigabytes:11.2f}{s['stored'] / 1e9 / gigabytes:13.3f}{megabytes(s.largest('memory')):9}")
    first, restored = last["exclave"]
    show_stages(first.report, restored.report, gigabytes)
    ours, theirs = series["exclave"], series.get("restic")
    result = {"benchmark": "random", "gigabytes": gigabytes, "backup_mb_per_s": round(gigabytes * 1e3 / ours["backup"]), "backup_core_s_per_gb": round(ours["backup_cpu"] / gigabytes, 3),
              "restore_mb_per_s": round(gigabytes * 1e3 / ours["restore"]), "restore_core_s_per_gb": round(ours["restore_cpu"] / gigabytes, 3), "rss_mb": megabytes(ours.largest("memory"))}
    if theirs is not None:
        result.update(peer="restic", backup_ratio=ratio(ours, theirs, "backup"), restore_ratio=ratio(ours, theirs, "restore"), cpu_ratio=ratio(ours, theirs, "backup_cpu"),
                      size_ratio=ratio(ours, theirs, "stored"))
        print("\nratios to restic: " + ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("ratio")))
    finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("random", help="incompressible data into one local vault, against restic")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="how much of it (default 4; three times that is needed)")
    common_options(parser, rounds=3, minutes=20)
    parser.set_defaults(run=run)
