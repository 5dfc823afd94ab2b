"""The commands in the documents work: every ```sh block that begins with the line `# tested` runs.

The blocks of one page run in order, as one shell script in one scratch directory, with `exclave` and `restore.py` on the
PATH; each must end with exit code 0, unless its first line is `# tested: exit N`. After `# tested: in the background` each line
is a command that is left running as soon as it has said something, with or without an & at its end. `$LUX`, `$OSLO`, `$ROME` hold
addresses that are free, and the same goes for each address of the form 127.0.0.1:PORT. What is left running ends with the page.
"""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGE_SECONDS = 600
BLOCK = re.compile(r"^```sh\n# tested(?:: (?:exit (\d+)|in the (background)))?\n(.*?)^```", flags=re.M | re.S)
LEFT_RUNNING = """
{command} >{log} 2>&1 &
for _ in $(seq 600); do [ -s {log} ] && break; sleep 0.1; done
kill -0 $! || {{ cat {log} >&2; exit 98; }}
"""


def pages():
    yield REPOSITORY / "README.md"
    yield from sorted((REPOSITORY / "docs").rglob("*.md"))


def tested_blocks(page):
    """(line number, expected exit code, commands) of each marked block."""
    text = page.read_text(encoding="utf-8")
    ports = {}
    blocks = []
    for block in BLOCK.finditer(text):
        commands = re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{ports.setdefault(m[1], harness.free_port())}",
                          block.group(3))
        if block.group(2):
            commands = "".join(LEFT_RUNNING.format(command=line.removesuffix(" &"), log=f"background-{block.start()}-{i}")
                               for i, line in enumerate(commands.splitlines()))
        blocks.append((text.count("\n", 0, block.start(3)) + 1, int(block.group(1) or 0), commands))
    return blocks


def script_of(page, blocks):
    """One script: a block that ends otherwise than it says ends the page, and names its line."""
    lines = ["set -u"]
    for number, code, commands in blocks:
        # The group keeps the shell's variables and background jobs for the blocks that follow.
        lines += [f"echo '--- {page.name}:{number}' >&2", "block_status=0", "set -e" if code == 0 else "set +e", "{", commands,
                  "}" if code == 0 else "}; block_status=$?", "set +e"]
        if code != 0:
            lines.append(f"[ $block_status -eq {code} ] || {{ echo \"block ended with $block_status, not {code}\" >&2; exit 99; }}")
    return "\n".join(lines) + "\nexit 0\n"


class Documents(harness.SystemTest):
    def test_the_commands_of_every_page_run(self):
        tested = 0
        for page in pages():
            blocks = tested_blocks(page) if page.exists() else []
            tested += len(blocks)
            if blocks:
                with self.subTest(page=str(page.relative_to(REPOSITORY))):
                    self.run_page(page, blocks)
        self.assertGreater(tested, 0, "no page has a tested block: has the mark changed?")

    def run_page(self, page, blocks):
        scratch = self.make_scratch()
        (scratch / "bin").mkdir()
        (scratch / "bin/exclave").symlink_to(harness.program())
        (scratch / "bin/restore.py").symlink_to(REPOSITORY / "tools/restore.py")
        work = scratch / "work"
        work.mkdir()
        environment = dict(os.environ, PATH=f"{scratch / 'bin'}:{os.environ['PATH']}", HOME=str(work))
        environment.update({v.upper(): f"127.0.0.1:{harness.free_port()}" for v in harness.VAULTS})
        said = scratch / "said"
        with open(said, "wb") as sink:
            shell = subprocess.Popen(["bash", "-c", script_of(page, blocks)], cwd=work, env=environment, stdout=sink,
                                     stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True,
                                     preexec_fn=harness.end_with_parent)
            try:
                code = shell.wait(PAGE_SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)  # its own session: the shell and what it left running
        self.assertEqual(code, 0, said.read_text(errors="replace"))

    def test_the_runner_notices_a_command_that_fails(self):
        page = self.scratch / "page.md"
        page.write_text("```sh\n# tested\nX=1\n```\n\n```sh\n# tested\n[ $X = 1 ]\nfalse\ntrue\n```\n")
        with self.assertRaises(AssertionError):
            self.run_page(page, tested_blocks(page))
        page.write_text("```sh\n# tested: exit 3\n(exit 4)\n```\n")
        with self.assertRaises(AssertionError):
            self.run_page(page, tested_blocks(page))
        page.write_text("```sh\n# tested: in the background\nfalse\n```\n")
        with self.assertRaises(AssertionError):
            self.run_page(page, [(n, c, t.replace("600", "2")) for n, c, t in tested_blocks(page)])
        page.write_text("```sh\n# tested: exit 3\n(exit 3)\n```\n```sh\nfalse\n```\n")
        self.run_page(page, tested_blocks(page))
        self.assertEqual(1, len(tested_blocks(page)))


if __name__ == "__main__":
    harness.main()
