"""The documentation: pages made from the code are current, and the site asks the network for nothing."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from datasets_manifest.adapters.registry import _MODULES, adapter_class

ROOT = Path(__file__).resolve().parents[1]


def test_references_are_what_the_code_says(monkeypatch, capsys):
    program = ROOT / "docs/generate.py"
    monkeypatch.setattr(sys, "argv", [str(program), "--check"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(program), run_name="__main__")
    assert not end.value.code, capsys.readouterr().out


def test_the_table_of_adapters_is_what_they_take():
    page = (ROOT / "docs/annotate.md").read_text(encoding="utf-8")
    table = page.partition("| `adapter` | reads |")[2].partition("\n\n")[0]
    rows = [[set(re.findall(r"`(\w+)`", cell)) for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert {name for row in rows for name in row[0]} == set(_MODULES)
    for (name,), _, boxes, keypoints in rows:
        assert (boxes, keypoints) == (adapter_class(name).BOXES, adapter_class(name).KEYPOINTS), name


@pytest.mark.long
def test_the_site_builds_strictly_and_works_without_a_network(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 20
    loads = re.compile(r'<(?:script|img|iframe|link)\b[^>]*(?:src|href)="([^"]+)"')
    for page in pages:
        loaded = loads.findall(page.read_text(encoding="utf-8"))
        assert not [url for url in loaded if url.startswith(("http:", "https:", "//"))], page
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
