"""The documentation site: generated pages are current, and it builds without a warning.

Protects: pages that say something else than the code, and links that lead nowhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import fuseguard
import fuseguard.executorch
from fuseguard.cli.main import COMMANDS
from fuseguard.engine import Finding, Registry, Report, Rule
from fuseguard_testkit.paths import ROOT

#: It builds the site twice. ``make test`` runs it in the environment without torch, which has MkDocs.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    """tools/generate_docs.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import generate_docs

        yield generate_docs


@pytest.fixture(scope="module")
def made(tool: ModuleType) -> dict[Path, str]:
    """What the generator makes of the code: every rule is run on all of its examples for it."""
    pages: dict[Path, str] = tool.pages()
    return pages


@pytest.fixture
def generator(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The generator, on a copy of docs/."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.setattr(tool, "DOCS", tmp_path / "docs")
    return tool


def test_the_committed_pages_are_current(generator: ModuleType, made: dict[Path, str]) -> None:
    assert generator.stale(made) == [], "run tools/generate_docs.py"


def test_what_is_stale_missing_or_left_over_is_noticed_and_fixed(generator: ModuleType, made: dict[Path, str]) -> None:
    rules = generator.DOCS / "rules"
    (rules / "FU101.md").write_text("something else")
    (rules / "FU102.md").unlink()
    (rules / "XX999.md").write_text("a rule that was taken away")
    assert generator.stale(made) == [
        "rules/XX999.md should not be there", "rules/FU101.md is stale", "rules/FU102.md is missing",
    ]  # fmt: skip
    generator.write(made)
    assert generator.stale(made) == []


def test_check_writes_nothing_and_exits_with_1(
    generator: ModuleType, made: dict[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a script it runs in test_commands.py: docs/writing-a-rule.md names it."""
    monkeypatch.setattr(generator, "pages", lambda: made)
    monkeypatch.setattr(sys, "argv", ["generate_docs.py", "--check"])
    assert generator.main() == 0
    assert tuple(capsys.readouterr()) == ("", "")
    page = generator.DOCS / "rules" / "FU101.md"
    page.write_text("something else")
    assert generator.main() == 1
    assert tuple(capsys.readouterr()) == ("", "docs/rules/FU101.md is stale; run tools/generate_docs.py\n")
    assert page.read_text() == "something else"


def test_a_page_tells_all_that_the_rule_knows(made: dict[Path, str], registry: Registry) -> None:
    from rule_pages import prose

    for rule in registry.rules:
        page = made[Path(f"rules/{rule.code}.md")]
        for text in (rule.summary, rule.why, rule.remedy, *rule.references):
            assert prose(text) in page, (rule.code, text)
        for example in (*rule.bad, *rule.good):
            assert prose(example.title) in page
        for row in rule.effects.rows:
            assert row.effect.meaning in page
            assert prose(row.reference) in page
        assert f"[{rule.code}] {rule.name}" in page, "what fuseguard check says of an example"
        assert ("## How it is repaired" in page) is rule.repairable, rule.code


def test_every_page_of_a_rule_links_to_the_primer(made: dict[Path, str]) -> None:
    pages = [text for path, text in made.items() if path.parent.name == "rules" and path.stem != "index"]
    assert len(pages) > 50
    assert all("(../primer.md)" in page for page in pages)


def test_a_change_of_a_rule_changes_its_page(generator: ModuleType, registry: Registry) -> None:
    from rule_pages import rule_page

    rule = registry.get("FU101")
    assert rule is not None
    changed: Rule = type("Changed", (type(rule),), {"why": "For another reason.", "bad": rule.bad[7:8]})()
    before, after = rule_page(rule, registry), rule_page(changed, registry)
    assert "For another reason." in after
    assert rule.bad[0].title.split(" ")[0] in before
    assert "depthwise" in before
    assert "depthwise" not in after.split("## Accepted examples")[0]


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a * b_c_d", "a \\* b_c_d"),
        ("_private <tag> `x`", "\\_private \\<tag> \\`x\\`"),
        ("see #21974", "see [#21974](https://github.com/pytorch/executorch/issues/21974)"),
        ("[a](b) in [-128, 127]", "\\[a](b) in [-128, 127]"),
        ("two\n  lines", "two lines"),
    ],
)
def test_prose_is_no_markup(generator: ModuleType, text: str, markdown: str) -> None:
    from rule_pages import prose

    assert prose(text) == markdown


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mkdocstrings")  # the core environment has it: the site is built without torch
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Building it prints no warning."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_needs_no_network(site: Path) -> None:
    assert "FuseQuantizedActivationPass" in (site / "rules" / "FU101.html").read_text()
    pages = "".join(path.read_text() for path in site.rglob("*.html"))
    assert '<script src="http' not in pages, "the site must work offline"
    assert "fonts.googleapis" not in pages


def test_the_python_reference_has_every_public_name_with_units_and_errors(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    for module in (fuseguard, fuseguard.executorch):
        for name in module.__all__:
            assert f'id="{module.__name__}.{name}"' in page or name == "__version__", name
    for words in ("signal-to-error ratio in dB", "in real units", "in steps of the output", "dtype, shape and qparams"):
        assert words in page, words
    proving = page.partition('id="fuseguard.executorch.prove"')[2].partition('id="fuseguard.executorch.Proof"')[0]
    raised = re.sub(r"<[^>]+>", "", proving.partition("Raises:")[2])
    for error in ("UnreadableInput", "TargetError", "EngineUnavailable", "ValueError", "TypeError", "ImportError"):
        assert re.search(rf"\b{error}\b", raised), error
    assert ":func:" not in page, "tools/docstring_roles.py rewrites roles"


def test_the_picture_of_the_home_page_shows_the_figures_of_the_readme() -> None:
    from accuracy_picture import figures, picture

    readme = (ROOT / "README.md").read_text()
    assert [accuracy for _, accuracy, _ in figures(readme)] == [98.7, 84.7, 98.7, 98.7]
    assert figures(readme.replace("| TOSA-1.0+INT | **84.7 %**", "| TOSA-1.0+INT | **80.1 %**"))[1][1] == 80.1
    assert (ROOT / "docs" / "pictures" / "accuracy.svg").read_text() == picture(), "run make pictures"
    with pytest.raises(ValueError, match=r"README\.md has no"):
        figures("")


def test_a_term_has_a_tooltip_where_a_page_first_uses_it(site: Path) -> None:
    from glossary import terms

    assert len(terms()) > 20
    page = (site / "repair.html").read_text()
    meaning = terms()["quantization domain"]
    assert meaning == "A quantization domain is a set of values that share one set of codes, and so one set of qparams."
    assert page.count(f'<abbr title="{meaning}">') == 1
    heading = (site / "rules" / "FU101.html").read_text().partition("<h1")[2].partition("</h1>")[0]
    assert "fused-activation" in heading, "a heading has no tooltip"
    assert "<abbr" not in (site / "primer.html").read_text(), "the primer explains the terms itself"
    assert "<abbr" not in (site / "index.html").read_text().partition("<body")[0]


def test_the_script_of_the_search_is_the_one_that_its_readme_names() -> None:
    folder = ROOT / "docs" / "javascripts"
    digest = hashlib.sha256((folder / "iframe-worker.js").read_bytes()).hexdigest()
    assert digest in (folder / "README.txt").read_text()


def test_the_drawings_of_the_rule_pages_are_current(registry: Registry) -> None:
    from rule_drawings import FOLDER, drawing_files

    files = list(drawing_files(registry))
    assert len(files) > 60
    assert [file.name for file in files if not file.is_current] == [], "run make pictures"
    assert {path.name for path in FOLDER.iterdir()} == {file.name for file in files}
    changed = dataclasses.replace(files[0], told={**files[0].told, "label": "another"})
    assert not changed.is_current


def test_every_option_of_the_command_line_has_an_anchor(made: dict[Path, str]) -> None:
    page = made[Path("reference/cli.md")]
    anchors = re.findall(r'<a id="([\w-]+)"', page)
    assert len(anchors) == len(set(anchors)) > 150
    assert {"fuseguard-check-target", "fuseguard-prove-inputs", "fuseguard-baseline-create-select"} <= set(anchors)
    for command in COMMANDS:
        assert f"\n## fuseguard {command}\n" in page


def test_what_to_do_comes_first(made: dict[Path, str]) -> None:
    for path, page in made.items():
        if path.parent.name == "rules" and path.stem != "index":
            assert re.findall(r"^## (.*)", page, re.MULTILINE)[0] == "What to do", path


def test_roles_of_docstrings_become_code() -> None:
    pytest.importorskip("griffe")
    from docstring_roles import as_markdown

    assert as_markdown("as :func:`~a.b` and :class:`C`, ``d``") == "as `a.b` and `C`, ``d``"


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    for folder in ("verifier", "tools"):  # what mkdocstrings reads
        (tmp_path / folder).symlink_to(ROOT / folder)
    page = tmp_path / "docs" / "guard.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md) and [lost](repair.md#lost)\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert "nowhere.md" in done.stderr
    assert "#lost" in done.stderr


def test_the_limits_on_the_security_page_are_those_of_the_reader() -> None:
    from fuseguard.readers import archive, budget, etrecord, tosa

    page = (ROOT / "docs" / "security.md").read_text()
    for limit in (
        f"| graph JSON | {budget.MAX_JSON_BYTES // 2**20} MiB, ",
        f"| all JSON, delegates included | {budget.MAX_ALL_JSON_BYTES // 2**20} MiB |",
        f"which are followed and not run | {budget.MAX_PICKLE_STEPS:,} |",
        f"| {budget.MAX_TOSA_BYTES // 2**20} MiB of memory, {tosa.MAX_OPS:,} operators in each |",
        f"| programs of an ETRecord | {etrecord.MAX_PROGRAMS} |",
        f"in {budget.MAX_TENSOR_BYTES // 2**20} MiB of tensors |",
        f"| records in the archive | {archive.MAX_RECORDS:,} |",
        f"| its directory | {archive.MAX_DIRECTORY_BYTES // 2**20} MiB |",
        f"| compression ratio, from {archive.RATIO_FREE_BYTES // 2**20} MiB on | {archive.MAX_RATIO} |",
        f"| length of a record's name | {archive.MAX_NAME_LENGTH} bytes |",
    ):
        assert limit in page


@pytest.mark.parametrize(
    ("page", "heading", "kind"),
    [
        ("python.md", "attribute of a report", Report),
        ("python.md", "attribute of a finding", Finding),
        ("writing-a-rule.md", "attribute", Rule),
    ],
)
def test_tables_of_attributes_name_what_there_is(page: str, heading: str, kind: type) -> None:
    rows = (ROOT / "docs" / page).read_text().partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    names = [name.strip("`()") for row in rows for name in row.split("|")[1].strip().split(", ")]
    assert len(names) > 5
    known = {*dir(kind), *getattr(kind, "__annotations__", {})}
    assert [name for name in names if name not in known] == []
    if kind is Rule:  # a rule must fill all of these
        public = {name for name in kind.__annotations__ if not name.startswith("_")}
        assert public - set(names) == set()
