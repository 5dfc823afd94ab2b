"""csv: a registry exported as CSV every day for a month: some rows change, some come, few go. Time of each capture, bytes
stored for all days together, and the time to restore each single day; against restic."""

import multiprocessing
import random
import statistics
import sys

from measuring import finish, megabytes, remove, say, size_of, workspace
from peers import in_turn, peers

SURNAMES = ["Ahlberg", "Bianchi", "Castro", "Duarte", "Eriksen", "Ferreira", "Grigorescu", "Horvath", "Ivanova", "Jansen", "Kask", "Lindqvist", "Moreau", "Novak", "Oliveira", "Petrov"]
GIVEN = ["Ada", "Bruno", "Clara", "David", "Elin", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katre", "Lars", "Mira", "Nils", "Olga", "Pavel"]
STREETS = ["Harbour Road", "Mill Lane", "Castle Street", "North Quay", "Station Square", "Orchard Way", "Old Market", "River Bank"]


def new_row(number, chance):
    born = f"{chance.randrange(1930, 2024)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    return (f"{number},{chance.choice(SURNAMES)},{chance.choice(GIVEN)},{born},{chance.randrange(1, 400)} {chance.choice(STREETS)},{chance.randrange(10000, 99999)},"
            f"{chance.getrandbits(44):011x},{chance.choice(('active', 'active', 'active', 'moved', 'deceased'))},{chance.randrange(10**9)}\n")


def keep_registry(orders, rows, directory):
    """In a process of its own: writes one day's export whenever it is told to."""
    chance = random.Random(1)
    table = [new_row(number, chance) for number in range(rows)]
    next_number = rows
    while orders.recv():
        for _ in range(rows // 200):  # 0.5 % change, mostly the recent ones
            at = int(len(table) * chance.betavariate(5, 1))
            table[min(at, len(table) - 1)] = new_row(int(table[min(at, len(table) - 1)].partition(",")[0]), chance)
        for _ in range(rows // 1000):  # 0.1 % come
            table.append(new_row(next_number, chance))
            next_number += 1
        for _ in range(rows // 5000):  # 0.02 % go
            del table[chance.randrange(len(table))]
        with open(directory / "persons.csv", "w", encoding="ascii") as out:
            out.write("id,surname,given,born,address,postcode,national_id,status,checksum\n")
            out.writelines(table)
        orders.send(True)


class Registry:
    def __init__(self, rows, directory):
        self.orders, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=keep_registry, args=(theirs, rows, directory), daemon=True)
        self.process.start()
        theirs.close()

    def export_next_day(self):
        self.orders.send(True)
        try:
            self.orders.recv()
        except EOFError:
            sys.exit("bench: the registry's process ended")

    def close(self):
        self.orders.send(False)
        self.process.join()


def run(arguments):
    bytes_of_export = arguments.rows * 100
    with workspace(bytes_of_export * (arguments.days + 4)) as (directory, place):
        say(f"{arguments.rows} rows, {arguments.days} days, in {place}")
        source = directory / "export"
        source.mkdir()
        registry = Registry(arguments.rows, source)
        everyone = peers(directory)
        figures = {peer.name: {"capture": [], "cpu": [], "restore": [], "restore_cpu": [], "memory": 0, "snapshots": []} for peer in everyone}
        for peer in everyone:
            peer.prepare(0)
        for day in range(arguments.days):
            registry.export_next_day()
            for peer in in_turn(everyone, day):
                captured = peer.backup(source)
                mine = figures[peer.name]
                mine["capture"].append(captured.wall)
                mine["cpu"].append(captured.cpu)
                mine["memory"] = max(mine["memory"], captured.memory_kib)
                mine["snapshots"].append(peer.snapshot_of(captured))
            say(f"day {day + 1}: " + ", ".join(f"{name} {f['capture'][-1]:.2f} s" for name, f in figures.items()))
        registry.close()
        size = size_of(source)
        for peer in everyone:
            figures[peer.name]["stored"] = peer.stored()
        for day in range(arguments.days):
            for peer in in_turn(everyone, day):
                target = directory / f"restored-{peer.name}"
                restored = peer.restore(target, figures[peer.name]["snapshots"][day])
                figures[peer.name]["restore"].append(restored.wall)
                figures[peer.name]["restore_cpu"].append(restored.cpu)
                remove(target)
        show(arguments, size, figures)


def show(arguments, size, figures):
    print(f"{arguments.rows} rows, {size / 1e6:.0f} MB exported on each of {arguments.days} days, {size * arguments.days / 1e6:.0f} MB in all\n")
    print(f"{'':10}{'first s':>9}{'later days':>12}{'all s':>8}{'CPU s':>8}{'MB stored':>11}{'MB per day':>12}{'restore s':>11}{'longest':>9}{'peak MB':>9}")
    result = {"benchmark": "csv", "rows": arguments.rows, "days": arguments.days}
    for name, f in figures.items():
        later = f["capture"][1:] or f["capture"]
        print(f"{name:10}{f['capture'][0]:9.2f}{statistics.median(later):12.3f}{sum(f['capture']):8.2f}{sum(f['cpu']):8.2f}{f['stored'] / 1e6:11.1f}{f['stored'] / 1e6 / arguments.days:12.2f}"
              f"{statistics.median(f['restore']):11.2f}{max(f['restore']):9.2f}{megabytes(f['memory']):9}")
    ours, theirs = figures["exclave"], figures.get("restic")
    result.update(capture_seconds=round(sum(ours["capture"]), 3), capture_cpu=round(sum(ours["cpu"]), 3), stored_mb=round(ours["stored"] / 1e6, 1), restore_seconds=round(statistics.median(ours["restore"]), 3),
                  longest_restore_seconds=round(max(ours["restore"]), 3), rss_mb=megabytes(ours["memory"]))
    if theirs is not None:
        result.update(peer="restic", capture_ratio=round(sum(ours["capture"]) / sum(theirs["capture"]), 3), cpu_ratio=round(sum(ours["cpu"]) / sum(theirs["cpu"]), 3),
                      size_ratio=round(ours["stored"] / theirs["stored"], 3), restore_ratio=round(statistics.median(ours["restore"]) / statistics.median(theirs["restore"]), 3))
        print("\nratios to restic: " + ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("ratio")))
    finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("csv", help="a registry's daily export over a month, against restic")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the export (default 1,000,000: about 80 MB)")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.set_defaults(run=run)
