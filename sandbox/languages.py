"""The languages: a file name, how it is compiled, how it is run, and what Markdown fences call it.

`{box}` is the folder of the program, `{memory_mb}` the memory limit. A compiler works in a folder of its own and leaves
`made` there. Python has neither command: the runner itself compiles and runs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Language:
    """One entry of the table."""

    name: str
    file: str
    made: str
    """What the compiler leaves."""
    compile: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Programs that the image must have."""
    fences: tuple[str, ...] = ()
    bounded: bool = True
    """Whether the memory limit may bound its data segment too: not where a runtime reserves more than it uses."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


LANGUAGES: Mapping[str, Language] = {
    language.name: language
    for language in (
        Language(
            name="python",
            file="solution.py",
            made="solution.code",
            fences=("python", "py", "python3"),
        ),
        Language(
            name="cpp",
            file="solution.cpp",
            made="solution",
            compile=("g++", "-std=c++17", "-O2", "-o", "solution", "{box}/solution.cpp"),
            run=("{box}/solution",),
            needs=("g++",),
            fences=("cpp", "c++", "cc", "cxx"),
        ),
        Language(
            name="javascript",
            file="solution.js",
            made="solution.js",
            compile=("sh", "-c", "node --check {box}/solution.js && cp {box}/solution.js ."),
            run=("node", "--stack-size=50000", "{box}/solution.js"),
            needs=("node",),
            fences=("javascript", "js", "node"),
            bounded=False,
        ),
        Language(
            name="java",
            file="Main.java",
            made="solution.jar",
            compile=(
                *("sh", "-c"),
                "javac -encoding UTF-8 -d classes {box}/Main.java && jar cfe solution.jar Main -C classes .",
            ),
            run=("java", "-Xmx{memory_mb}m", "-Xss64m", "-XX:+UseSerialGC", "-cp", "{box}/solution.jar", "Main"),
            needs=("javac", "java", "jar"),
            fences=("java",),
            bounded=False,
        ),
        Language(
            name="go",
            file="solution.go",
            made="solution",
            compile=("go", "build", "-o", "solution", "{box}/solution.go"),
            run=("{box}/solution",),
            needs=("go",),
            fences=("go", "golang"),
            bounded=False,
            environment={"GO111MODULE": "off", "GOFLAGS": "-p=2", "CGO_ENABLED": "0"},
        ),
        Language(
            name="rust",
            file="solution.rs",
            made="solution",
            compile=("rustc", "-O", "--edition", "2021", "-o", "solution", "{box}/solution.rs"),
            run=("{box}/solution",),
            needs=("rustc",),
            fences=("rust", "rs"),
        ),
    )
}
