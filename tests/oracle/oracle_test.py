"""The oracle of databases: whatever fails, and then home is lost, what comes back abroad is what was acknowledged.

    acknowledged  is a subset of  recovered  is a subset of  issued;  and no row is back without the row that it names

A life: real servers, agents and vaults; writers that commit back and forth between two databases; a schedule of faults
drawn from a seed (schedule.py); home destroyed under load, with a vault or without; both databases restored to their
proven ends, and to the newest cut, and judged (judge.py). The controls take the mechanism out and must be caught.

    EXCLAVE_ORACLE_ROUNDS   rounds in all (default 30), in lives of 10 to 25
    EXCLAVE_ORACLE_FIRST    seed of the first life (default 3: few rounds see links and disks of both kinds, and no long silence)
"""
import collections
import os
import pathlib
import re
import shutil
import sys
import threading
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent / "system")]
import harness  # noqa: E402
import judge  # noqa: E402
import schedule  # noqa: E402
import world  # noqa: E402
from writers import SIDES  # noqa: E402

ROUNDS = int(os.environ.get("EXCLAVE_ORACLE_ROUNDS", "30"))
FIRST = int(os.environ.get("EXCLAVE_ORACLE_FIRST", "3"))
ENOUGH = 5  # faults of a kind: at least one of them is met


class OracleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = harness.make_scratch("exclave-oracle-templates-")
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.templates = world.Templates(cls.shared)

    def in_world(self, body):
        """A world for `body`, and nothing left of it; but after a failure its directory stays."""
        scratch = harness.make_scratch("exclave-oracle-")
        place = None
        try:
            place = world.World(scratch, self.templates)
            result = body(place)
        except BaseException:
            print(f"kept: {scratch}", file=sys.stderr)
            if place is not None:
                place.end()
            raise
        place.end(keeps_disks=False)
        shutil.rmtree(scratch, ignore_errors=True)
        return result


class Lives(OracleTest):
    def test_whatever_fails_what_was_acknowledged_comes_back_in_order(self):
        self.counts, rounds, seed, begin = collections.Counter(), 0, FIRST, time.monotonic()
        self.reasons = collections.Counter()
        while rounds < ROUNDS:
            life = schedule.Life(seed, ROUNDS - rounds)
            try:
                self.in_world(lambda place, life=life: self.live(place, life))
            except Exception as error:
                again = f"EXCLAVE_ORACLE_FIRST={seed} EXCLAVE_ORACLE_ROUNDS={len(life.rounds)}"
                print(f"\n{life.tell()}\nbefore: {dict(self.counts)}\nagain: {again}", file=sys.stderr)
                raise AssertionError(f"seed {seed}: {error}") from error
            rounds, seed = rounds + len(life.rounds), seed + 1
            self.counts["lives"] += 1
            print(f"seed {life.seed}: {len(life.rounds)} rounds, {time.monotonic() - begin:.0f} s: {dict(self.counts)}",
                  file=sys.stderr, flush=True)
        for reason, times in self.reasons.most_common():
            print(f"  {times:4} times {reason}", file=sys.stderr)
        self.assertGreater(self.counts["acknowledged"], 10 * rounds)
        for what in schedule.LASTING:
            self.assertTrue(self.counts[what] < ENOUGH or self.counts[f"{what}: met"] > 0, f"{what}: nobody ever met it")
        if ROUNDS >= 30:
            self.assertGreater(self.counts["cuts judged"], 0, "no cut was ever taken: nothing was shown about cuts")

    def live(self, place, life):
        self.longest = (0.0, "")  # round
        self.cut = None  # the newest that was confirmed: (id, what was acknowledged before)
        place.start_writers(life.writers, life.seed)
        place.settle()
        for each in life.rounds:
            self.play(place, each)
        print(f"  longest round {self.longest[0]:.1f} s: {self.longest[1]}; "
              f"longest commit {place.ledger.slowest:.1f} s", file=sys.stderr, flush=True)
        place.lose_home(life.dying, life.dying_pause, life.lost_vault)
        self.counts.update(place.met + place.links.counts)
        self.counts["looks"] += place.ledger.looks
        self.counts["issued"] += sum(len(place.ledger.issued[side]) for side in SIDES)
        self.counts["acknowledged"] += sum(len(place.ledger.acknowledged[side]) for side in SIDES)
        self.judge_life(place)

    # --- one round ---

    def play(self, place, each):
        beside = []
        if each.cut_after is not None:
            beside.append(threading.Thread(target=self.take_cut, args=(place, each.cut_after)))
        if each.base_beside:
            beside.append(threading.Thread(target=self.take_base, args=(place, each.base_beside)))
        self.failed = []
        for thread in beside:
            thread.start()
        begin = time.monotonic()
        try:
            self.counts[place.apply(each)] += 1
        finally:
            for thread in beside:
                thread.join()
        if self.failed:
            raise world.Violation("\n".join(self.failed))
        place.settle()
        self.longest = max(self.longest, (time.monotonic() - begin, str(each)))

    def take_cut(self, place, after):
        time.sleep(after)
        before, ended = place.take_cut()
        self.counts[f"cut => {ended.code}"] += 1
        if ended.code == harness.OK:
            self.cut = ended.json()["cut"], before
        elif ended.code == harness.PARTIAL and "not kept by" in ended.err:
            self.reasons["cut: not kept by every member in time"] += 1
        else:
            self.look_at_refusal(ended)

    def look_at_refusal(self, ended):
        """Beside a fault a command may fail, in words, and not as a bug."""
        if ended.code <= 0 or "exclave: " not in ended.err or "bug" in ended.err:
            self.failed.append(str(ended))
        self.reasons[ended.arguments[1] + ": " + re.sub(r"[0-9A-F]+/[0-9A-F]+", "LSN", ended.err.splitlines()[0])[:160]] += 1

    def take_base(self, place, side):
        ended = place.backup(side)
        self.counts[f"base beside => {ended.code}"] += 1
        if ended.code not in (harness.OK, harness.PARTIAL):
            self.look_at_refusal(ended)

    # --- the judgement ---

    def judge_life(self, place):
        openings = place.open_both()
        ended = place.restore_both(openings, "latest", dict.fromkeys(SIDES, "latest"))
        for side in SIDES:
            place.must(ended[side])
            if not ended[side].json()["proven"]:
                raise world.Violation(f"the end of {side} is not proven:\n{ended[side]}")
        latest = place.rows_of_both("latest", ended)
        found = judge.lost(latest, place.ledger.acknowledged) + judge.invented(latest, place.ledger.issued)
        self.tell(found + judge.dangling(latest), "at the proven ends")
        self.counts["rows back"] += sum(map(len, latest.values()))
        if self.cut is None:
            return
        cut, before = self.cut
        ended = self.restore_cut(place, openings, cut, before)
        rows = place.rows_of_both("cut", ended)
        owed = {side: place.ledger.acknowledged[side][:before[side]] for side in SIDES}
        found = judge.lost(rows, owed) + judge.invented(rows, place.ledger.issued) + judge.dangling(rows)
        found += [f"{side} has rows at the cut that it lacks at its end"
                  for side in SIDES if rows[side].keys() - latest[side].keys()]
        self.tell(found, f"at cut {cut}")
        self.counts["cuts judged"] += 1

    def restore_cut(self, place, openings, cut, before):
        """A base that is younger than the cut cannot serve it; the command says so, and an older one is named."""
        goals = dict.fromkeys(SIDES, f"cut:{cut}")
        ended = place.restore_both(openings, "cut", goals)
        younger = [side for side in SIDES if ended[side].code == harness.FAILED and "older base backup" in ended[side].err]
        if younger:
            self.counts["cuts before the newest base"] += 1
            options = {}
            for side in SIDES:
                for leftover in place.scratch.glob(f"{side}-cut*"):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
                if side in younger:
                    older = [name for mark, name in place.bases[side] if mark[side] <= before[side]]
                    options[side] = ("--snapshot", older[-1])
            ended = place.restore_both(openings, "cut", goals, options)
        for side in SIDES:
            place.must(ended[side])
        return ended

    @staticmethod
    def tell(found, where):
        if found:
            raise world.Violation(f"{where}: " + "; ".join(found))


class Schedules(unittest.TestCase):
    def test_a_seed_means_one_life_and_a_shorter_one_is_its_beginning(self):
        for seed in range(50):
            whole = schedule.Life(seed)
            self.assertEqual(whole.tell(), schedule.Life(seed).tell())
            begun = schedule.Life(seed, 5)
            self.assertEqual([str(each) for each in whole.rounds[:5]], [str(each) for each in begun.rounds])
            self.assertEqual(vars(whole) | {"rounds": None}, vars(begun) | {"rounds": None})

    def test_no_more_vaults_are_away_than_the_quorum_forgives(self):
        for seed in range(200):
            away = None
            for each in schedule.Life(seed).rounds:
                if each.what == "vault returns":
                    self.assertEqual(away, each.vault)
                    away = None
                elif "vault" in each.what:
                    self.assertIsNone(away, schedule.Life(seed).tell())
                    away = each.vault if each.what == "vault leaves" else None


class Found(OracleTest):
    """What the oracle found, without chance."""

    def test_an_agent_that_lives_shortly_starts_again_where_the_slot_keeps_the_log(self):
        """Seed 8. The agent wrote down where it was every five seconds, and began there though its slot was ahead: a server
        that had removed that part of its log meanwhile was asked for it for ever, and every commit hung."""
        def body(place):
            agent, server = place.agents["people"], place.servers["people"]
            agent.kill()
            agent.start()
            for number in range(1, 4):
                server.ask(f"insert into t values (-{number}, 0, '')")  # acknowledged: the slot is here
                server.ask("select pg_switch_wal()")
            agent.kill()
            server.ask("checkpoint")
            server.ask("checkpoint")
            agent.start()
            place.start_writers(1, "found")
            place.settle()
        self.in_world(body)


class Controls(OracleTest):
    """The mechanism taken out: whoever finds nothing here would find nothing there."""

    TRIES = 4

    def test_positions_read_one_after_the_other_leave_references_dangling(self):
        def body(place):
            place.start_writers(5, "naive cut")
            place.settle()
            pairs = []
            for attempt in range(self.TRIES):
                order, goals = SIDES if attempt % 2 else SIDES[::-1], {}
                for side in order:
                    place.settle(12)
                    goals[side] = place.servers[side].ask("select pg_current_wal_flush_lsn()")[0][0]
                pairs.append(goals)
                place.settle(40)
            place.lose_home([f"{what} {side}" for what in ("agent", "server") for side in SIDES], 0, None)
            openings = place.open_both()
            for number, goals in enumerate(pairs):
                ended = place.restore_both(openings, f"naive-{number}", goals)
                for side in SIDES:
                    place.must(ended[side])
                found = judge.dangling(place.rows_of_both(f"naive-{number}", ended))
                if found:
                    return found
            return []
        found = self.in_world(body)
        self.assertNotEqual([], found, f"{self.TRIES} skewed positions, and nothing dangles: the oracle sees nothing")
        print(f"found, as it must be: {found[0]}", file=sys.stderr)

    def test_commits_that_wait_for_no_vault_are_lost(self):
        def body(place):
            for side in SIDES:
                place.servers[side].ask("alter system set synchronous_standby_names = ''")
                place.servers[side].ask("select pg_reload_conf()")
            place.start_writers(4, "naive ack")
            place.settle()
            for vault in harness.VAULTS[:2]:
                place.realm.daemons.pop(vault).kill()
            place.settle(40)
            place.lose_home([f"{what} {side}" for what in ("agent", "server") for side in SIDES], 0.2, None)
            place.start_vaults(*harness.VAULTS[:2])
            ended = place.restore_both(place.open_both(), "naive", dict.fromkeys(SIDES, "latest"))
            for side in SIDES:
                place.must(ended[side])
            return judge.lost(place.rows_of_both("naive", ended), place.ledger.acknowledged)
        found = self.in_world(body)
        self.assertNotEqual([], found, "commits waited for nobody, and none was lost: the oracle sees nothing")
        print(f"found, as it must be: {found[0]}", file=sys.stderr)


if __name__ == "__main__":
    harness.main()
