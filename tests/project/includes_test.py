"""What of the standard library a file uses, it includes, itself or through headers of this project: which headers others bring
along differs from one compiler's version to the next.

Usage: includes_test.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

# The headers that one library's headers brought along and the next one's did not; of each, the names that are in use.
used_from = {
    "algorithm": r"(?:adjacent_find|all_of|any_of|binary_search|clamp|copy|copy_if|copy_n|count|count_if|equal|equal_range|fill|fill_n|find"
                 r"|find_if|find_if_not|for_each|generate|includes|is_sorted|lower_bound|max|max_element|merge|min|min_element|minmax"
                 r"|minmax_element|mismatch|next_permutation|none_of|nth_element|partial_sort|partition|partition_point|remove|remove_if"
                 r"|replace|reverse|rotate|search|shuffle|sort|stable_sort|transform|unique|upper_bound)\s*[(<]",
    "chrono": r"chrono\b",
    "cstdint": r"u?int(?:8|16|32|64)_t\b",
    "cstring": r"(?:memcmp|memcpy|memmove|memset|strcmp|strerror|strlen)\s*\(",
    "iterator": r"(?:back_inserter|distance|inserter|istreambuf_iterator|make_move_iterator|next|ostream_iterator|prev)\s*[(<]",
    "limits": r"numeric_limits\b",
    "numeric": r"(?:accumulate|exclusive_scan|gcd|inclusive_scan|inner_product|iota|lcm|midpoint|partial_sum|reduce)\s*[(<]",
    "utility": r"(?:as_const|cmp_equal|cmp_less|exchange|in_range)\s*[(<]",
}
source = pathlib.Path(sys.argv[1])
files = [path for folder in ("lib", "kernels", "apps", "tests") for path in sorted((source / folder).rglob("*"))
         if path.suffix in (".cpp", ".hpp", ".cu")]
text = {path: re.sub(r"//[^\n]*", "", path.read_text()) for path in files}
includes = {path: set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', code, re.M)) for path, code in text.items()}
headers = {}
for path in files:
    headers.setdefault(path.name, []).append(path)


def reached(path, seen):
    """All names that a file includes, through this project's headers too."""
    names = set(includes[path])
    for name in includes[path]:
        for header in headers.get(pathlib.PurePath(name).name, []):
            if header.as_posix().endswith("/" + name.lstrip("./")) and header not in seen:
                seen.add(header)
                names |= reached(header, seen)
    return names


wrong = []
for path in files:
    names = None
    for header, pattern in used_from.items():
        found = re.search(r"\bstd::(?:ranges::)?" + pattern, text[path])
        if found and header not in includes[path]:
            names = names or reached(path, {path})
            if header not in names:
                wrong.append(f"{path.relative_to(source)}: uses {found.group(0)} without <{header}>")
assert len(files) > 300, len(files)
print("\n".join(wrong) or f"{len(files)} files")
sys.exit(1 if wrong else 0)
