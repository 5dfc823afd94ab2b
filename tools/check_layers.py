#!/usr/bin/env python3
"""Refuses what tools/layers.txt and CONTRIBUTING.md do not allow. Standard library only.

    tools/check_layers.py               checks the repository; exit 1 and one line per violation
    tools/check_layers.py --self-test   plants one violation of each kind in a scratch tree and expects it to be found

Checked in src/: every include against the table (ours and third-party), detail/ across modules, umbrella headers,
`using namespace` and `#pragma once` in headers, calls that bypass the injected world, a TRY among the arguments of `new` or behind another member in
braces, file length. Function length is a heuristic and only warns. tests/, app/, bench/, fuzz/ and demo/ are held to the rules for headers and sizes.
"""
import pathlib
import re
import sys
import tempfile

MAX_FILE_LINES = 1000
WARN_FUNCTION_LINES = 70
OTHER_FOLDERS = ("app", "bench", "demo", "fuzz", "tests")

# Third-party headers by the name the table uses. fmt is the one library that every .cc may include.
THIRD_PARTY = {
    "fmt": r"fmt/",
    "openssl-crypto": r"openssl/(?!ssl|tls1|dtls1|srtp)",
    "openssl-ssl": r"openssl/",
    "zstd": r"zstd(_errors)?\.h$",
    "rocksdb": r"rocksdb/",
    "toml++": r"toml\+\+/|toml\.hpp$",
    "nlohmann-json": r"nlohmann/",
    "boost-beast": r"boost/",
    "cli11": r"CLI/",
    "libpq": r"libpq-(fe|events)\.h$",
}
EVERY_SOURCE_MAY = ("fmt",)
TEST_HEADERS = r"(gtest|gmock)/"
# .h headers without system calls behind them; every other <x.h> belongs to posix.
PURE_C_HEADERS = {"immintrin.h", "x86intrin.h", "nmmintrin.h", "arm_neon.h"}
# System headers a module may use beside posix: libpq hands out a socket and leaves waiting for it to its user (ADR-0023).
SYSTEM_HEADERS_OF = {"pg": {"poll.h"}}

# What bypasses the injected world: (name, pattern over code without comments and strings, modules that may).
# "test": tests beside a module (_test.cc) may use the real machine's files and processes, but no real time, chance or
# threads. "sim_test": sim's own tests may, since they show that simulated time costs none.
WORLD = [
    ("clock", r"\b(?:system_clock|steady_clock|high_resolution_clock)\s*::\s*now\b", {"posix", "sim_test"}),
    ("clock", r"(?:\bstd::|(?<!\w)::)time\s*\(|\btime\s*\(\s*(?:nullptr|NULL|0)\s*\)|\b(?:gettimeofday|clock_gettime)\s*\(",
     {"posix"}),
    ("chance", r"(?<![\w.>:])(?:std::|::)?(?:rand|srand|getrandom|drand48)\s*\(", {"posix"}),
    ("chance", r"\b(?:std::random_device|RAND_bytes|RAND_priv_bytes)\b", {"posix"}),
    ("environment", r"\b(?:secure_)?getenv\s*\(", {"posix"}),
    ("sleep", r"\bstd::this_thread::sleep|(?<!\w)::sleep\s*\(|\b(?:usleep|nanosleep)\s*\(", {"posix"}),
    ("threads", r"\bstd::(?:thread|jthread|async|condition_variable(?:_any)?)\b(?!::hardware)", {"posix", "sim"}),
    ("lock", r"\bstd::(?:mutex|recursive_mutex|shared_mutex|timed_mutex|lock_guard|unique_lock|scoped_lock)\b",
     {"base", "posix", "sim"}),
    ("files", r"\bstd::(?:filesystem|fstream|ifstream|ofstream)\b", {"posix", "test"}),
    ("files", r"(?<![\w:])::(?:open|openat|read|write|pread|pwrite|close|fsync|rename|unlink|mkdir|stat)\s*\(",
     {"posix", "test"}),
    ("files", r"(?<![\w.>:])(?:std::)?(?:fopen|freopen|tmpfile|mkstemp|popen)\s*\(", {"posix", "test"}),
    ("process", r"(?:\bstd::|(?<!\w)::)(?:fork|system|exit|quick_exit)\s*\(|\b(?:vfork|execvp?e?|_exit|_Exit)\s*\(",
     {"posix", "test"}),
]


class Row:
    def __init__(self, layer, module, allowed, third_party):
        self.layer, self.module, self.allowed, self.third_party = layer, module, allowed, third_party


def read_table(path, report):
    rows = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 4 or not cells[0].isdigit():
            report(path, number, "a row is: layer | module | may include | third party")
            continue
        row = Row(int(cells[0]), cells[1], set(cells[2].split()), set(cells[3].split()))
        for name in sorted(row.allowed):
            if name not in rows:
                report(path, number, f"'{row.module}' may include '{name}', which has no row above it")
            elif rows[name].layer >= row.layer:
                report(path, number, f"'{row.module}' (layer {row.layer}) may not include '{name}' of layer "
                                     f"{rows[name].layer}: layers only look down")
        for name in sorted(row.third_party - THIRD_PARTY.keys()):
            report(path, number, f"third party '{name}' is unknown; give it a pattern in tools/check_layers.py")
        rows[row.module] = row
    return rows


def strip(text):
    """Blanks comments, string and character literals; keeps every newline, so that line numbers hold."""
    def blank(match):
        token = match.group(0)
        if token.startswith(("//", "/*")):
            return "\n" * token.count("\n") or " "
        return '""' + "\n" * token.count("\n")
    pattern = (r'//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/|R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"'
               r"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'")
    return re.sub(pattern, blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def functions(code):
    """Yields (first line, last line, head) of each function body; a heuristic over braces, without a parser."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda m: "\n" * m.group(0).count("\n"), code, flags=re.M | re.S)
    stack, head_start, depth_in_function = [], 0, 0
    for match in re.finditer(r"[{};]", code):
        token, at = match.group(0), match.start()
        if token == "{":
            head = re.sub(r"template\s*<[^{};]*?>\s*(?=[\w\[:~])", " ", code[head_start:at])
            if depth_in_function:
                kind = "inner"
            elif re.search(r"\bnamespace\b|^\s*extern\s*\"\"\s*$", head):
                kind = "namespace"
            elif re.match(r"\s*(?:(?:public|private|protected)\s*:\s*)*(?:typedef\s+|static\s+)?(?:class|struct|union|enum)\b", head):
                kind = "type"
            elif ")" in head and not re.search(r"=\s*(?:\w[\w:<>, ]*)?$", head):
                kind = "function"
                depth_in_function = len(stack) + 1
            else:
                kind = "other"
            stack.append((kind, at, " ".join(head.split())))
            head_start = match.end()
        elif token == "}":
            if stack:
                kind, start, head = stack.pop()
                if kind == "function":
                    depth_in_function = 0
                    yield line_of(code, start), line_of(code, at), head
            head_start = match.end()
        elif not depth_in_function:
            head_start = match.end()


def tries_in_braces(code):
    """Offsets of each TRY that stands behind another member of a braced list, also inside a call there."""
    stack = []  # [bracket, "list" after a comma, "block" after a semicolon]
    for match in re.finditer(r"TRY\(|[{}();,]", code):
        token = match.group(0)
        if token in ";,":
            if stack and stack[-1][1] != "block":
                stack[-1][1] = "block" if token == ";" else "list"
        elif token in ")}":
            if stack:
                stack.pop()
        else:
            brace = next((each for each in reversed(stack) if each[0] == "{"), None) if token == "TRY(" else None
            if brace and brace[1] == "list":
                yield match.start()
            stack.append([token[-1], ""])


def tries_in_new(code):
    """Offsets of each TRY among the arguments of a new-expression."""
    for match in re.finditer(r"\bnew\s+[\w:]+(?:<[^;(){}]*>)?\s*[({]", code):
        depth, at = 1, match.end()
        while depth and at < len(code):
            if code.startswith("TRY(", at):
                yield at
            depth += (code[at] in "({") - (code[at] in ")}")
            at += 1


class Checker:
    def __init__(self, root):
        self.root = root
        self.errors, self.warnings = [], []
        self.rows = read_table(root / "tools" / "layers.txt", self.error)

    def error(self, path, line, message):
        self.errors.append(f"{path.relative_to(self.root)}:{line}: {message}")

    def warn(self, path, line, message):
        self.warnings.append(f"{path.relative_to(self.root)}:{line}: warning: {message}")

    def run(self):
        source = self.root / "src"
        for folder in sorted(p for p in source.iterdir() if p.is_dir()):
            if folder.name not in self.rows:
                files = [p for p in folder.rglob("*") if p.suffix in (".h", ".cc")]
                if files:
                    self.error(files[0], 1, f"src/{folder.name} has no row in tools/layers.txt")
                continue
            for path in sorted(folder.rglob("*")):
                if path.suffix in (".h", ".cc"):
                    self.check_file(path, self.rows[folder.name])
        for name in OTHER_FOLDERS:
            for path in sorted((self.root / name).rglob("*")):
                if path.suffix in (".h", ".cc"):
                    self.check_file(path, None)
        return not self.errors

    def check_file(self, path, row):
        text = path.read_text(encoding="utf-8")
        code = strip(text)
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            self.error(path, MAX_FILE_LINES, f"{lines} lines; the limit is {MAX_FILE_LINES}")
        for first, last, head in functions(code):
            if last - first + 1 > WARN_FUNCTION_LINES:
                self.warn(path, first, f"function of {last - first + 1} lines (limit {WARN_FUNCTION_LINES}): {head[-60:]}")
        if path.suffix == ".h":
            self.check_header(path, text, code)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', text, flags=re.M):
            line = line_of(text, match.start())
            if match.group(1):
                self.check_own_include(path, line, match.group(1), row)
            elif row is not None:
                self.check_foreign_include(path, line, match.group(2), row)
        for offset in tries_in_braces(code):
            self.error(path, line_of(code, offset), "TRY behind another member in braces: GCC 12 does not destroy that "
                                                    "one when TRY returns (base/result.h); give the value a name first")
        for offset in tries_in_new(code):
            self.error(path, line_of(code, offset), "TRY among the arguments of new: what was allocated is lost when TRY "
                                                    "returns (base/result.h); give the value a name first")
        if row is not None:
            self.check_world(path, code, row)

    def check_header(self, path, text, code):
        if not re.search(r"^#pragma once$", text, flags=re.M):
            self.error(path, 1, "a header needs #pragma once")
        match = re.search(r"\busing\s+namespace\b", code)
        if match:
            self.error(path, line_of(code, match.start()), "no `using namespace` in a header")
        rest = re.sub(r"^[ \t]*#[^\n]*", "", code, flags=re.M)
        rest = re.sub(r"\b(?:inline\s+)?namespace\b[\w:\s]*\{|\}|;", "", rest)
        if not rest.strip() and len(re.findall(r"^[ \t]*#[ \t]*include", text, flags=re.M)) > 1:
            self.error(path, 1, "an umbrella header (nothing but includes): include what you use instead")

    def check_own_include(self, path, line, name, row):
        parts = name.split("/")
        if name.startswith(("./", "../")) or len(parts) < 2:
            self.error(path, line, f'"{name}": write the path from src/ ("module/file.h")')
            return
        module = parts[0]
        if row is None:
            if not (self.root / "src" / name).is_file() and not (self.root / name).is_file():
                self.error(path, line, f'"{name}": no such file under src/ or the repository')
            return
        in_test = path.name.endswith("_test.cc")
        if in_test and module == "tests" and (self.root / name).is_file():
            return  # conformance suites and fixtures that several modules' tests share
        if not (self.root / "src" / name).is_file():
            self.error(path, line, f'"{name}": no such file under src/')
        if module == row.module:
            return
        if in_test and module in ("posix", "sim") and ("env" in row.allowed or row.module == "env"):
            return
        if "detail" in parts[1:-1]:
            self.error(path, line, f'"{name}": detail/ is private to {module}')
        if module not in row.allowed:
            self.error(path, line, f'"{name}": {row.module} may not include {module} (tools/layers.txt)')

    def check_foreign_include(self, path, line, name, row):
        in_test = path.name.endswith("_test.cc")
        if re.match(TEST_HEADERS, name):
            if not in_test and "test" not in path.stem:
                self.error(path, line, f"<{name}>: only in tests")
            return
        owners = [library for library, pattern in THIRD_PARTY.items() if re.match(pattern, name)]
        if owners:
            if any(library in row.third_party for library in owners):
                return
            if path.suffix == ".cc" and any(library in EVERY_SOURCE_MAY for library in owners):
                return
            self.error(path, line, f"<{name}>: {row.module} does not own {owners[0]} (tools/layers.txt, third party)")
            return
        plain_standard = "/" not in name and "." not in name
        if plain_standard or name in PURE_C_HEADERS or row.module == "posix" or in_test:
            return
        if name in SYSTEM_HEADERS_OF.get(row.module, ()) and path.suffix == ".cc":
            return
        self.error(path, line, f"<{name}>: system headers belong to posix, unknown libraries to a row of the table")

    def check_world(self, path, code, row):
        in_test = path.name.endswith("_test.cc")
        for what, pattern, modules in WORLD:
            if row.module in modules or (in_test and ({"test", row.module + "_test"} & modules)):
                continue
            for match in re.finditer(pattern, code):
                self.error(path, line_of(code, match.start()),
                           f"'{match.group(0).strip()}': the world is injected ({what}); ask env (CONTRIBUTING.md section 8)")


# --- self-test: each violation, planted alone in an otherwise clean tree, must be reported ---------------------------

CLEAN_TABLE = "0 | base | | fmt\n1 | env | base |\n1 | crypto | base | openssl-crypto\n3 | store | base env |\n"
CLEAN_FILES = {
    "src/base/bytes.h": "// Bytes.\n#pragma once\n#include <vector>\nnamespace exclave {\nusing Bytes = std::vector<char>;\n}\n",
    "src/base/detail/tables.h": "#pragma once\ninline constexpr int kOne = 1;\n",
    "src/env/clock.h": '#pragma once\n#include "base/bytes.h"\nstruct Clock { long now(); };\n',
    "src/store/store.h": '#pragma once\n#include "env/clock.h"\nstruct Store { Clock& clock; };\n',
    "src/store/store.cc": '#include "store/store.h"\n#include <fmt/format.h>\n// time(nullptr), std::mutex: said, not done\n'
                          'static const char* kText = "getenv(";\nlong f(Store& s) { return s.clock.now(); }\n',
    "src/store/tries.cc": "Pair f() { int a, b; TRY(g(a, b)); return {TRY(h({a, b})), call(a, b)}; }\n"
                          "void g() { own(new A(1), TRY(read())); }\n",
    "src/store/store_test.cc": '#include <gtest/gtest.h>\n#include <unistd.h>\n#include "tests/shared/store_suite.h"\n',
    "tests/shared/store_suite.h": '#pragma once\n#include "store/store.h"\nvoid check(Store& store);\n',
}
VIOLATIONS = [
    ("may not include", "src/env/bad.h", '#pragma once\n#include "store/store.h"\nint f();\n'),
    ("detail/ is private", "src/store/bad.cc", '#include "base/detail/tables.h"\n'),
    ("write the path from src/", "src/store/bad.cc", '#include "store.h"\n'),
    ("no such file", "src/store/bad.cc", '#include "base/missing.h"\n'),
    ("does not own openssl-crypto", "src/store/bad.cc", "#include <openssl/evp.h>\n"),
    ("does not own openssl-ssl", "src/crypto/bad.cc", "#include <openssl/ssl.h>\n"),
    ("does not own fmt", "src/store/bad.h", "#pragma once\n#include <fmt/format.h>\nint f();\n"),
    ("does not own rocksdb", "src/store/bad.cc", "#include <rocksdb/db.h>\n"),
    ("system headers belong to posix", "src/store/bad.cc", "#include <sys/stat.h>\n"),
    ("only in tests", "src/store/bad.cc", "#include <gtest/gtest.h>\n"),
    ("needs #pragma once", "src/store/bad.h", "int f();\n"),
    ("no `using namespace`", "src/store/bad.h", "#pragma once\nusing namespace std;\nint f();\n"),
    ("umbrella header", "src/store/bad.h", '#pragma once\n#include "base/bytes.h"\n#include "env/clock.h"\n'),
    ("TRY behind another member", "src/store/bad.cc", "Pair f() { return {name, TRY(read())}; }\n"),
    ("TRY behind another member", "src/store/bad.cc", "void f() { list.push_back(Pair{name(1), f(TRY(read(2)))}); }\n"),
    ("TRY among the arguments of new", "src/store/bad.cc", "void f() { Owner<A> a(new A(b, TRY(read()))); }\n"),
    ("TRY among the arguments of new", "src/store/bad.cc", "void f() { own(new store::A<int>{f(TRY(read()))}); }\n"),
    ("the limit is 1000", "src/store/bad.cc", "int f();\n" * 1001),
    ("no row in tools/layers.txt", "src/stray/bad.cc", "int f();\n"),
    ("(clock)", "src/store/bad.cc", "auto t = std::chrono::steady_clock::now();\n"),
    ("(clock)", "src/store/bad_test.cc", "auto t = time(nullptr);\n"),
    ("(chance)", "src/store/bad.cc", "int r = rand();\n"),
    ("(chance)", "src/crypto/bad.cc", "int r = RAND_bytes(p, 1);\n"),
    ("(environment)", "src/store/bad.cc", 'auto h = std::getenv("HOME");\n'),
    ("(sleep)", "src/store/bad_test.cc", "void f() { std::this_thread::sleep_for(x); }\n"),
    ("(threads)", "src/store/bad.cc", "std::condition_variable wake;\n"),
    ("(lock)", "src/store/bad.cc", "std::mutex m;\n"),
    ("(files)", "src/store/bad.cc", 'int fd = ::open("x", 0);\n'),
    ("(files)", "src/store/bad.cc", "std::filesystem::path p;\n"),
    ("(process)", "src/store/bad.cc", "void f() { std::exit(1); }\n"),
    ("warning: function of", "src/store/bad.cc", "int f(int x) {\n" + "  x += 1;\n" * 70 + "  return x;\n}\n"),
    ("which has no row above", "tools/layers.txt", CLEAN_TABLE + "4 | wire | base http |\n"),
    ("layers only look down", "tools/layers.txt", CLEAN_TABLE + "3 | http | base store |\n"),
    ("a row is:", "tools/layers.txt", CLEAN_TABLE + "3 | http | base\n"),
    ("is unknown", "tools/layers.txt", CLEAN_TABLE + "3 | http | base | qt\n"),
]


def self_test():
    failures = []
    for expected, path, content in [("", "", "")] + VIOLATIONS:
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            files = dict(CLEAN_FILES, **{"tools/layers.txt": CLEAN_TABLE})
            if path:
                files[path] = content
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            checker = Checker(root)
            checker.run()
            found = checker.errors + checker.warnings
            if not expected and found:
                failures.append(f"a clean tree is refused: {found}")
            elif expected and len(found) != 1:
                failures.append(f"{path} ({expected}): expected one finding, got {found}")
            elif expected and expected not in found[0]:
                failures.append(f"{path}: expected '{expected}', got '{found[0]}'")
    for failure in failures:
        print(failure)
    print(f"layer checker: {len(VIOLATIONS)} planted violations, {len(failures)} failures")
    return not failures


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 0 if self_test() else 1
    if sys.argv[1:]:
        print(__doc__)
        return 2
    checker = Checker(pathlib.Path(__file__).resolve().parent.parent)
    checker.run()
    for line in checker.warnings + checker.errors:
        print(line)
    modules = len(checker.rows)
    print(f"layers: {modules} modules, {len(checker.errors)} violations, {len(checker.warnings)} warnings")
    return 1 if checker.errors else 0


if __name__ == "__main__":
    sys.exit(main())
