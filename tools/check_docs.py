#!/usr/bin/env python3
"""Holds the documents to what the repository really has. Standard library only; exit 1 and one line per fault.

    tools/check_docs.py [--root FOLDER]

- Every relative link in a .md file names a file, and its #anchor a heading there.
- `ADR-0007` and the like name a file in docs/adr, whose index lists every one; paths in backticks (`src/...`, `tools/...`, ...) exist.
- Shell blocks (```sh, ```console) use verbs that ./dev has, and subcommands of `exclave` that src/cli knows.
- The layer table in docs/architecture.md says the same as tools/layers.txt (modules that exist, and what they include).
- docs/threat-model.md: each row that names tests has some in tests/threats whose names begin with the row's id.
"""
import pathlib
import re
import sys
import unicodedata

CHECKED_PATHS = r"`((?:src|tools|tests|docs|cmake|packaging|fuzz|bench|demo|app|testdata)/[\w./+-]+)`"


def anchor_of(heading):
    """GitHub's rule: lower case, punctuation dropped, spaces to hyphens."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda m: m.group(1) or "", heading).strip().lower()
    kept = [c for c in text if c in " -_" or unicodedata.category(c)[0] in "LN"]
    return "".join(kept).replace(" ", "-")


def anchors_of(text):
    seen, anchors = {}, set()
    for line in without_blocks(text).splitlines():
        match = re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if match:
            base = anchor_of(match.group(1))
            count = seen.get(base, 0)
            seen[base] = count + 1
            anchors.add(base if count == 0 else f"{base}-{count}")
    return anchors


def without_blocks(text):
    """Fenced blocks become empty lines: what stands in them is no link and no heading."""
    return re.sub(r"^(```|~~~).*?^\1[ \t]*$", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M | re.S)


def shell_lines(text):
    """Yields (line number, command) of shell blocks; in console blocks only what follows a prompt is a command."""
    for block in re.finditer(r"^```(sh|bash|console)\n(.*?)^```", text, flags=re.M | re.S):
        first = text.count("\n", 0, block.start(2)) + 1
        continued = False
        for offset, line in enumerate(block.group(2).splitlines()):
            command = line.strip()
            is_continuation, continued = continued, command.endswith("\\")
            if is_continuation:
                continue
            if block.group(1) == "console":
                if not command.startswith(("$ ", "# ")):
                    continue
                command = command[2:]
            yield first + offset, command


class Checker:
    def __init__(self, root):
        self.root = root
        self.faults = []
        self.count = 0
        self.verbs = self.read_verbs()
        cli = root / "src" / "cli"
        self.cli_text = "\n".join(p.read_text() for p in sorted(cli.glob("*.cc"))) if cli.is_dir() else ""

    def read_verbs(self):
        dev = self.root / "dev"
        return set(re.findall(r"^  ([a-z]+) .*", dev.read_text().split("usage: ./dev", 1)[1].split("\nTEXT")[0],
                              flags=re.M)) | {"help"}

    def fault(self, path, line, message):
        self.faults.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def run(self):
        for path in sorted(self.root.rglob("*.md")):
            parts = path.relative_to(self.root).parts
            if parts[0].startswith((".", "build")) or "seeds" in parts:
                continue
            self.count += 1
            text = path.read_text(encoding="utf-8")
            self.check_links(path, text)
            self.check_names(path, text)
            self.check_commands(path, text)
        self.check_decisions()
        self.check_layer_table()
        self.check_threat_table()

    def check_links(self, path, text):
        for number, line in enumerate(without_blocks(text).splitlines(), 1):
            for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                name, _, anchor = target.partition("#")
                file = (path.parent / name).resolve() if name else path
                if not file.exists():
                    self.fault(path, number, f"link to {target}: no such file")
                elif anchor and file.suffix == ".md" and anchor not in anchors_of(file.read_text(encoding="utf-8")):
                    self.fault(path, number, f"link to {target}: no such heading")

    def check_names(self, path, text):
        for number, line in enumerate(without_blocks(text).splitlines(), 1):
            for adr in re.findall(r"ADR-(\d{4})", line):
                if not list((self.root / "docs" / "adr").glob(f"{adr}-*.md")):
                    self.fault(path, number, f"ADR-{adr} has no page in docs/adr")
            if "planned" in line:
                continue
            for name in re.findall(CHECKED_PATHS, line):
                if name.endswith(("...", "_")):
                    continue
                if not (self.root / name.rstrip("/.")).exists():
                    self.fault(path, number, f"`{name}` does not exist (write 'planned' beside what is still to come)")

    def check_commands(self, path, text):
        for number, command in shell_lines(text):
            words = re.findall(r"(?:^|[;&|]\s*|\bsudo\s+)\./dev\s+([\w-]+)", command)
            for verb in words:
                if verb not in self.verbs:
                    self.fault(path, number, f"./dev has no verb '{verb}'")
            for noun in re.findall(r"(?:^|[;&|]\s*|\bsudo\s+)(?:\S*/)?exclave\s+([a-z][\w-]*)", command):
                if self.cli_text and f'"{noun}"' not in self.cli_text:
                    self.fault(path, number, f"exclave has no command '{noun}' (src/cli)")

    def check_decisions(self):
        index = self.root / "docs" / "adr" / "README.md"
        listed = index.read_text()
        for page in sorted(index.parent.glob("[0-9]*.md")):
            if f"({page.name})" not in listed:
                self.fault(index, 1, f"{page.name} is not in the index")

    def check_layer_table(self):
        page = self.root / "docs" / "architecture.md"
        table = self.root / "tools" / "layers.txt"
        wanted = {}
        for line in table.read_text().splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 4 and cells[0].isdigit():
                wanted[cells[1]] = (cells[0], set(cells[2].split()))
        told = {}
        for number, line in enumerate(page.read_text().splitlines(), 1):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 5 and cells[0].isdigit():
                name = cells[1].strip("`")
                told[name] = (number, cells[0], set() if cells[4] in ("-", "—") else set(cells[4].split()))
        for name, (layer, allowed) in wanted.items():
            if name not in told:
                self.fault(page, 1, f"the layer table lacks '{name}'")
            elif told[name][1:] != (layer, allowed):
                self.fault(page, told[name][0], f"'{name}' differs from tools/layers.txt: layer {layer}, includes "
                                                f"{' '.join(sorted(allowed)) or '-'}")
        for name in told.keys() - wanted.keys():
            self.fault(page, told[name][0], f"'{name}' is not in tools/layers.txt")

    def check_threat_table(self):
        page = self.root / "docs" / "threat-model.md"
        folder = self.root / "tests" / "threats"
        sources = sorted(folder.rglob("*.cc")) if folder.is_dir() else []
        if not sources:
            return
        names = set()
        for path in sources:
            names |= {name.lower() for name in re.findall(r"\bTEST(?:_F|_P)?\s*\(\s*\w+\s*,\s*(\w+)\s*\)", path.read_text())}
        for path in sorted(folder.rglob("*.py")):
            names |= {name.lower() for name in re.findall(r"^    def ([HCOL]\d+_\w+)\(self", path.read_text(), flags=re.M)}
        for number, line in enumerate(page.read_text().splitlines(), 1):
            match = re.match(r"\|\s*([HCOL]\d+)\s*\|.*`tests/threats/\1_", line)
            if match and not any(name.startswith(match.group(1).lower() + "_") for name in names):
                self.fault(page, number, f"no test in tests/threats begins with {match.group(1)}_")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    if len(sys.argv) == 3 and sys.argv[1] == "--root":
        root = pathlib.Path(sys.argv[2]).resolve()
    elif len(sys.argv) != 1:
        print(__doc__)
        return 2
    checker = Checker(root)
    checker.run()
    for fault in checker.faults:
        print(fault)
    print(f"documents: {checker.count} checked, {len(checker.faults)} faults")
    return 1 if checker.faults else 0


if __name__ == "__main__":
    sys.exit(main())
