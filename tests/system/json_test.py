"""docs/operations/json.md says exactly the fields that each command prints: none missing on either side."""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import KEY_REFUSED, OK, PARTIAL, UNREACHABLE  # noqa: E402

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/operations/json.md"


def section(title):
    """The text of a page's section, of `### title`."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.M | re.S)
    return found.group(1)


def fields_of_table(title):
    """(always there, sometimes there) of a section with a table of fields."""
    always, sometimes = set(), set()
    for line in section(title).splitlines():
        cell = line.split("|")[1] if line.startswith("|") else ""
        sometimes |= set(re.findall(r"\[`(\w+)`\]", cell))
        always |= set(re.findall(r"(?<!\[)`(\w+)`", cell))
    return always, sometimes


def row_fields(command):
    row = next(line for line in section("The others").splitlines() if line.startswith(f"| `{command}` |"))
    return set(re.findall(r"`(\w+)`", row.split("|")[2]))


class Json(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def run_json(self, *arguments, code=OK, lines=1, **options):
        ended = self.ok(self.realm.exclave("--json", *arguments, **options), code)
        printed = [json.loads(line) for line in ended.out.splitlines()]
        if lines is not None:
            self.assertEqual(len(printed), lines, str(ended))
        return printed if lines is None else printed[0]

    def same_fields(self, printed, title, with_also=()):
        always, sometimes = fields_of_table(title)
        self.assertEqual(set(printed) - sometimes, always, title)
        for field in with_also:
            self.assertIn(field, printed)

    def test_every_commands_fields_are_those_of_the_page(self):
        home, site = ("--home", self.realm.home), ("--site", self.realm.site)
        backup = self.run_json("backup", *home, "source", "--stages", "--wait-all")
        self.same_fields(backup, "backup, ingest, and backup --dry-run", ["stages"])
        self.assertEqual({"vault", "head", "complete"}, set(backup["vaults"][0]))
        self.same_fields(self.run_json("backup", *home, "source", "--dry-run"), "backup, ingest, and backup --dry-run")
        self.same_fields(self.run_json("ingest", *home, "dump", stdin=b"dump"), "backup, ingest, and backup --dry-run")
        at_home, at_site = self.run_json("status", *home), self.run_json("status", *site)
        self.same_fields(at_home, "status", ["last_snapshot", "last_snapshot_age_seconds", "era", "snapshots", "datasets", "endangered", "endangered_segments"])
        self.assertEqual({"dataset", "snapshot", "age_seconds", "unreadable"}, set(at_home["datasets"][0]))
        self.same_fields(at_site, "status", ["last_snapshot", "complete_at"])
        self.assertEqual({"vault", "reachable", "remark"}, set(at_home["vaults"][0]))
        home_line, site_line = re.findall(r"^- At .*", section("snapshots"), flags=re.M)
        for place, line in ((home, home_line), (site, site_line)):
            listed = self.run_json("snapshots", *place)
            self.assertEqual({"ok", "snapshots"}, set(listed))
            self.assertEqual(set(re.findall(r"`(\w+)`", line)), set(listed["snapshots"][0]))
        self.check_ls(home)
        verify = self.run_json("verify", *site)
        self.same_fields(verify, "verify")
        self.assertEqual({"vault", "reachable", "entries", "objects", "findings", "behind"}, set(verify["vaults"][0]))
        self.check_release(site, home)
        named = self.run_json("name", "source/empty")
        self.assertEqual(row_fields("name"), set(named))

    def test_exit_code_3_has_its_reason_in_the_object(self):
        home = ("--home", self.realm.home)
        self.assertEqual([], self.run_json("backup", *home, "source")["not_kept"])
        (catalogue,) = self.realm.home.rglob("files.catalogue")
        catalogue.unlink()
        catalogue.mkdir()
        backup = self.run_json("backup", *home, "source", code=PARTIAL)
        self.assertEqual((0, 1), (backup["unreadable"], len(backup["not_kept"])), backup)

    def check_ls(self, home):
        documented = set(re.findall(r"`(\w+)`", section("ls"))) - {"ls"}
        for entry in self.run_json("ls", *home, lines=None):
            self.assertEqual(documented - (set() if entry["type"] == "l" else {"target"}), set(entry))

    def check_release(self, site, home):
        tree = self.run_json("snapshots", *home)["snapshots"][0]["snapshot"]
        asked = self.run_json("release", "request", *site, "--reason", "r", "--snapshot", tree, "--out", "r")
        self.assertEqual(row_fields("release request"), set(asked))
        opening = ["--release", "r"]
        for name in harness.OFFICIALS[:3]:
            given = self.run_json("release", "approve", "--official", self.realm.official(name), "r", "--out", name, "--yes")
            self.assertEqual(row_fields("release approve"), set(given))
            opening += ["--approval", name]
        shown = self.run_json("release", "show", "--official", self.realm.official("eve"), "r")
        self.assertEqual(row_fields("release show"), set(shown))
        opening += ["--snapshot", tree]
        restored = self.run_json("restore", *site, *opening, "--target", "out", "--stages")
        self.same_fields(restored, "restore", ["stages"])
        self.assertEqual({"vault", "bytes", "reads", "failures"}, set(restored["vaults"][0]))
        self.same_tree("out")
        self.same_fields(self.run_json("verify", *site, *opening), "verify", ["chunks", "content_findings"])

    def test_realm_ceremony_and_recovery(self):
        created = self.run_json("realm", "create", "another", "--name", "A", "--official", "a", "--official", "b", "--official",
                                "c", "--vault", "one=127.0.0.1:1", "--registry", "docs")
        self.assertEqual(row_fields("realm create") - {"name", "address"}, set(created))
        self.assertEqual(row_fields("ceremony era"), set(self.run_json("ceremony", "era", "realm", "--registry", "docs")))
        recovered = self.run_json("agent", "recover", "--home", self.realm.home, "--keys",
                                  self.realm.root / "operator/docs/era-2.keys")
        self.assertEqual(row_fields("agent recover"), set(recovered))
        self.realm.stop("rome")
        self.assertEqual(row_fields("repair"), set(self.run_json("repair", self.realm.vault("rome"))))

    def test_errors_are_one_object_too(self):
        fields = set(re.findall(r'"(\w+)"', section("Errors, of every command").split("}")[0]))
        refused = self.run_json("verify", "--home", self.realm.home, code=KEY_REFUSED)
        self.assertEqual(fields, set(refused))
        self.assertEqual((refused["ok"], refused["exit_code"]), (False, KEY_REFUSED))
        self.realm.stop("lux", "oslo")
        self.assertFalse(self.run_json("status", "--home", self.realm.home, code=UNREACHABLE)["ok"])


if __name__ == "__main__":
    harness.main()
