"""A database without the program: `tools/restore.py` brings back what `exclave` would, to the byte, from vaults' disks alone."""
import hashlib
import pathlib
import re
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ROWS = "select count(*), sum(id), md5(string_agg(id || what, '' order by id)) from t"


class WithoutTheProgram(DatabaseTest):
    def test_every_acknowledged_commit_comes_back_from_vaults_that_are_behind_and_damaged(self):
        """Two timelines, two journals that overlap, segments closed and open; oslo was away at the end, lux is damaged."""
        self.protect()
        self.base()
        self.workload()
        wanted = self.home.sql(ROWS)
        # What the server wrote last nobody waits for, and one vault alone may have it: both restorers shall find the same.
        self.home.kill()
        self.agent.wait("people", lambda s: s["state"] != "streaming" and
                        all(v["bytes_behind"] == 0 for v in s["vaults"] if v["vault"] != "oslo"), "at lux and rome")
        self.lose_home()
        self.restore("--dataset", "people")  # by the program, to compare with
        self.opening = self.realm.release()
        self.realm.stop()
        first_policy = self.realm.root / "ceremony/acts/policy-1.exclave"
        text = first_policy.read_bytes().split(b"\n\n")[0] + b"\n"
        self.first_policy = hashlib.sha256(text).hexdigest()
        self.refuses_what_is_not_proven()
        self.damage_lux()
        ended = self.ok(self.restorer("mine", "lux", "oslo", "rome"))
        self.assertRegex(ended.err, r"going round: vault \S+/lux: segment \d of stream \w+, frame \d+ at 4096: its checksum differs")
        self.assertIn("its bytes were altered", ended.err)
        self.same_log("back.wal", "mine.wal")
        back = self.recover("mine")
        self.assertEqual(wanted, back.sql(ROWS))
        end = re.search(r"recovers to (\S+) on timeline 2", ended.out)[1]
        self.assertEqual(end, self.end_of_history(back))

    def workload(self):
        self.home.sql("insert into t select i, (select string_agg(md5(random()::text), '') from generate_series(1, 60 + i % 2)) "
                      "from generate_series(1, 9000) i")
        self.promote_home()
        self.home.sql("insert into t values (10001, 'on timeline 2')")
        self.wait_until_durable()
        self.agent.wait("people", lambda s: all(v["bytes_behind"] == 0 for v in s["vaults"]), "whole everywhere")
        self.realm.stop("oslo")
        for i in range(20001, 20006):
            self.home.sql(f"insert into t values ({i}, 'without oslo')")
        self.agent.kill()
        self.agent.start()
        self.agent.wait_streaming("people")
        for i in range(30001, 30006):
            self.home.sql(f"insert into t values ({i}, 'in another journal')")

    def restorer(self, target, *vaults, options=()):
        """`tools/restore.py`, with a PATH where no exclave is."""
        directory = self.scratch / target
        directory.mkdir()
        postgres.give_to_server(directory)
        arguments = [sys.executable, REPOSITORY / "tools/restore.py", "restore", "--no-sync", "--dataset", "people"]
        for vault in vaults:
            arguments += ["--vault", self.realm.vault(vault)]
        arguments += ["--first-policy", self.first_policy, "--site", self.realm.site, *self.opening, "--target", directory, *options]
        ended = harness.run_process(arguments, self.scratch, env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertNotIn("Traceback", ended.err, str(ended))
        return ended

    def refuses_what_is_not_proven(self):
        """Oslo alone is behind, and does not pass for the end; a hole is named with its place."""
        ended = self.ok(self.restorer("alone", "oslo"), harness.UNREACHABLE)
        self.assertIn("1 of 3 vaults show their journals whole, and 2 are needed", ended.err)
        self.assertIn("log of dataset people: its end", ended.err)
        self.ok(self.restorer("accepted", "oslo", options=("--accept-unproven-end",)), harness.PARTIAL)
        # The workload is 9 MB of sealed log, in segments of 1/4, 1, 4 and 16 MiB: before the third one the base begins, behind it the log goes on.
        closed = next(p for p in self.realm.objects("oslo") if p.read_bytes()[8:10] == b"\0\2" and p.stat().st_size == 4 << 20)
        number = self.number_in_stream(closed)
        closed.rename(self.scratch / "away")
        ended = self.ok(self.restorer("hole", "oslo"), harness.UNREACHABLE)
        self.assertRegex(ended.err, rf"segment {number} of stream \w+: is in no vault given")
        self.assertRegex(ended.err, r"log of dataset people: is missing from \S+ to \S+ on timeline 1, and goes on behind")
        (self.scratch / "away").rename(closed)
        self.assertEqual([], list((self.scratch / "hole").iterdir()), "nothing was restored")

    @staticmethod
    def number_in_stream(path):
        return struct.unpack_from(">Q", path.read_bytes(), 112)[0]

    def damage_lux(self):
        """A bit in a frame that is still open, and in a closed segment: rome has both."""
        # Not in one that was opened ahead, where no frame stands yet.
        open_ones = (p for p in (self.realm.vault("lux") / "journal").rglob("*") if p.is_file() and self.number_in_stream(p) > 0)
        open_one = next(p for p in open_ones if any(p.read_bytes()[4096:4112]))
        closed = next(p for p in self.realm.objects("lux") if p.read_bytes()[8:10] == b"\0\2")
        for path in (open_one, closed):
            data = bytearray(path.read_bytes())
            data[4096 + 60] ^= 1
            path.write_bytes(data)

    def same_log(self, theirs, mine):
        """Segment for segment, history and plan: two implementations that know of each other only by docs/formats."""
        names = {p.name for p in (self.scratch / theirs).iterdir()}
        self.assertEqual(names | {"fetch"}, {p.name for p in (self.scratch / mine).iterdir()})
        self.assertGreater(len(names), 5)
        for name in names:
            self.assertEqual((self.scratch / theirs / name).read_bytes(), (self.scratch / mine / name).read_bytes(), name)
        shutil.rmtree(self.scratch / theirs)


if __name__ == "__main__":
    harness.main()
