"""What a compiler can be made to do."""

from .attack import Attack
from .problem import ONE

HONEST = f"""#include <iostream>
int main() {{ long long a, b; std::cin >> a >> b; std::cout << ({ONE.right.replace("7140000000", "7140000000LL")}) << "\\n"; }}
"""
MAIN = '#include <cstdio>\nint main() { std::puts("0"); }\n'


def compiled(name: str, tries: str, source: str) -> Attack:
    return Attack(
        name,
        "bomb",
        tries,
        {"stdin": source},
        {},
        question=ONE,
        limits={"compile_s": 3.0},
        unshown="the throw-away containers have no compiler",
    )


CPP = [
    compiled("includes_shadow", "a compiler's message that quotes /etc/shadow", '#include "/etc/shadow"\n' + MAIN),
    compiled(
        "includes_environment",
        "the runner's environment in a message",
        '#include "/proc/1/environ"\n#include "/proc/self/environ"\n' + MAIN,
    ),
    compiled("includes_zero", "a header without an end", '#include "/dev/zero"\n' + MAIN),
    compiled(
        "includes_standard_input",
        "a header that never comes",
        '#include "/dev/stdin"\n#include "/proc/self/fd/0"\n' + MAIN,
    ),
    compiled("includes_itself", "a file that includes itself twice", "#include __FILE__\n#include __FILE__\n" + MAIN),
    compiled(
        "template_bomb",
        "templates that instantiate without an end",
        "template<int N, int M> struct T { static const long v = T<N - 1, M>::v + T<N - 1, M + (1 << N)>::v; };\ntemplate<int M> struct T<0, M> { static const long v = 1; };\nlong x = T<24, 0>::v;\n"
        + MAIN,
    ),
    compiled("huge_object", "1 GB of initialised data in the program", "char held[1 << 30] = {1};\n" + MAIN),
    compiled(
        "huge_constexpr",
        "a computation at compile time without an end",
        "constexpr unsigned long spin(unsigned long n) { unsigned long s = 0; for (unsigned long i = 0; i < n; i++) s += i * s + 1; return s; }\nconstexpr auto x = spin(33000000);\nconstexpr auto y = spin(33000001);\n"
        + MAIN,
    ),
    compiled(
        "macro_bomb",
        "macros that double 30 times",
        "#define A0 0,\n"
        + "".join(f"#define A{n} A{n - 1} A{n - 1}\n" for n in range(1, 31))
        + "int held[] = { A30 };\n"
        + MAIN,
    ),
    compiled(
        "included_binary", ".incbin of what the compiler can read", '__asm__(".incbin \\"/proc/1/environ\\"");\n' + MAIN
    ),
    compiled("endless_assembly", "an assembler loop", '__asm__(".rept 2000000000\\n.quad 1\\n.endr");\n' + MAIN),
]
