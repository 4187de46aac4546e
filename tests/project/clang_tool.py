"""The one version of a tool of clang's that judges this project: others make something else of the same rules, or have other checks."""
import re
import shutil
import subprocess
import sys

VERSION = 14  # Debian 12's


def version_of(tool):
    return re.search(r"version ([\d.]+)", subprocess.run([tool, "--version"], capture_output=True, text=True).stdout)[1]


def find(name):
    """The tool of that version; ends the test, skipped, where there is none."""
    found = [(tool, version_of(tool)) for tool in map(shutil.which, (f"{name}-{VERSION}", name)) if tool]
    for tool, version in found:
        if version.split(".")[0] == str(VERSION):
            return tool
    print(f"skipped: needs {name} {VERSION}; there is", ", ".join(f"{tool}, version {version}" for tool, version in found) or "none")
    sys.exit(77)
