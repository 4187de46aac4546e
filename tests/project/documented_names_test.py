"""What pages of Markdown name is there: the targets of links and their headings, files and folders of the checkout, tests. Every folder has
its row in the README's table, every page of docs/ a link in the README, and the README stays short.

Usage: documented_names_test.py SOURCE_FOLDER
"""
import pathlib
import re
import subprocess
import sys

LONGEST_README = 200  # lines

source = pathlib.Path(sys.argv[1])
listed = subprocess.run(["git", "-C", source, "ls-files", "-z"], capture_output=True, text=True)
if listed.returncode == 0:
    files = [name for name in listed.stdout.split("\0") if name and (source / name).exists()]
else:  # in an archive everything but what was built is the project's
    files = [str(path.relative_to(source)) for path in source.rglob("*") if path.is_file() and path.relative_to(source).parts[0] != "build"]
tops = sorted({name.split("/")[0] for name in files if "/" in name})
sources_of_tests = "\n".join((source / name).read_text() for name in files if name.startswith("tests/") and name.endswith((".txt", ".cpp", ".cmake")))
wrong = []


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def anchors(page):
    """Of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def alternatives(name):
    """`a{b,c}` is ab and ac."""
    braces = re.search(r"\{([^{}]*,[^{}]*)\}", name)
    if not braces:
        return [name]
    return [other for part in braces[1].split(",") for other in alternatives(name[:braces.start()] + part + name[braces.end():])]


def check_links(page, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        if not other.exists():
            wrong.append(f"{page}: links to {target}, which is not there")
        elif anchor and anchor not in anchors(other):
            wrong.append(f"{page}: links to {target}, a heading that is not there")


def check_names(page, text):
    """Paths that begin with a top folder, and names of source files."""
    text = re.sub(r"\]\([^)]*\)", "]", text)
    for name in re.findall(rf"(?<![\w./$*-])(?:{'|'.join(map(re.escape, tops))})/[\w./*{{}},+-]*", text):
        for path in alternatives(name.rstrip(".,").rstrip("/")):
            if "{" not in path and not any(source.glob(path)):
                wrong.append(f"{page}: names {name}, which is not there")
    for name in re.findall(r"`([\w./*-]+\.(?:cpp|hpp|cu|cuh|cmake|sh|bash|py))`", text):
        if not any(pathlib.PurePath(file).match(name) for file in files):
            wrong.append(f"{page}: names {name}, which is not there")


def check_tests(page, text):
    for names in re.findall(r"\btests? ((?:`[\w/.]+`(?:, | and )?)+)", text.replace("\n", " ")):
        for name in re.findall(r"`([\w/.]+)`", names):
            if not re.search(rf"\b{re.escape(re.split('[/.]', name)[-1])}\b", sources_of_tests):
                wrong.append(f"{page}: names the test {name}, which is not there")


pages = [source / name for name in files if name.endswith(".md")]
assert len(pages) > 10, pages
for page in pages:
    text = page.read_text()
    check_links(page, text)
    check_names(page, text)
    check_tests(page, text)
readme = (source / "README.md").read_text()
wrong += [f"README.md: its table of folders lacks {name}" for name in tops if name[0] != "." and not re.search(rf"^\| `{name}(/\w+)?` \|", readme, re.M)]
wrong += [f"README.md: does not link docs/{page.name}" for page in (source / "docs").glob("*.md") if f"](docs/{page.name})" not in readme]
if readme.count("\n") > LONGEST_README:
    wrong.append(f"README.md: has {readme.count(chr(10))} lines, more than {LONGEST_README}: what is longer belongs into docs/")
assert not wrong, "\n".join(wrong)
print(f"{len(pages)} pages")
