"""Every language of the table: compiled once, run many times, its errors told; what the image lacks is said."""

import pytest
from rlvr.sandbox import LANGUAGES, DockerSandbox, MissingLanguage, Program

SUMS = {
    "python": "print(sum(map(int, input().split())))",
    "cpp": "#include <bits/stdc++.h>\nint main() { long long a, b; std::cin >> a >> b; std::cout << a + b << '\\n'; }",
    "javascript": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); console.log(a + b);",
    "java": (
        "import java.util.*;\npublic class Main { public static void main(String[] none) {\n"
        "Scanner in = new Scanner(System.in); System.out.println(in.nextLong() + in.nextLong()); } }"
    ),
    "go": 'package main\nimport "fmt"\nfunc main() { var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b) }',
    "rust": (
        "use std::io::*;\nfn main() { let mut s = String::new(); stdin().read_to_string(&mut s).unwrap();\n"
        'println!("{}", s.split_whitespace().map(|w| w.parse::<i64>().unwrap()).sum::<i64>()); }'
    ),
}
DEEP_CPP = (
    "#include <cstdio>\nlong f(long n) { volatile char room[64] = {0}; return n ? 1 + f(n - 1) + room[0] : 0; }\n"
    'int main() { std::printf("%ld\\n", f(500000)); }'
)


def test_the_table_is_covered() -> None:
    assert SUMS.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language(sandbox: DockerSandbox, language: str) -> None:
    try:
        with sandbox.open(Program(SUMS[language], language)) as session:
            assert session.compiled.outcome == "ok", session.compiled
            results = list(session.run([b"2 3\n", b"40 2\n"]))
    except MissingLanguage as missing:
        pytest.skip(str(missing))
    assert [(result.outcome, result.stdout) for result in results] == [("ok", b"5\n"), ("ok", b"42\n")]
    with sandbox.open(Program("this is (no program", language)) as session:
        assert session.compiled.outcome == "compile_error" and session.compiled.stderr


def test_a_missing_language_is_named(sandbox: DockerSandbox) -> None:
    """Which one the image lacks depends on the image; where it has them all there is nothing to say."""
    for language in LANGUAGES:
        try:
            with sandbox.open(Program(SUMS[language], language)):
                pass
        except MissingLanguage as missing:
            assert "rlvr sandbox build --base" in str(missing)


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        (DEEP_CPP, "ok"),
        ("int main() { return 3; }", "exit"),
        ("#include <cstdlib>\nint main() { std::abort(); }", "signal"),
        ("int main() { for (volatile long i = 0;; i = i + 1) {} }", "cpu_limit"),
        ("#include <vector>\nint main() { std::vector<char> room(1L << 33, 1); return room[5]; }", "memory_limit"),
    ],
)
def test_how_a_compiled_program_ends(sandbox: DockerSandbox, source: str, outcome: str) -> None:
    try:
        with sandbox.open(Program(source, "cpp")) as session:
            assert session.compiled.outcome == "ok", session.compiled
            (result,) = session.run([b""])
    except MissingLanguage as missing:
        pytest.skip(str(missing))
    assert result.outcome == outcome, result
