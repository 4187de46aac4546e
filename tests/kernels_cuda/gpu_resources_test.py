"""What each CUDA kernel takes of the chip, read from the machine code in the library: registers, static shared memory, stack.

For compute capability 9.0 shared memory counts 1,024 bytes that the system keeps.

Matrix products must not touch the stack (spilled registers lie there) but where that was measured to pay, and those that are to run on tensor cores must contain
their instructions. Reads the code for GPUs straight from the objects, so that no tool besides c++filt is needed.

Usage: gpu_resources_test.py [--markdown] LIBRARY.a|OBJECT.o …   (no file: nothing was compiled for GPUs; skipped, visibly)
"""
import argparse
import collections
import pathlib
import re
import struct
import subprocess
import sys

# Instructions by their low bits, and which kernels must contain them: source, architecture, kernels exempt.
HMMA, HGMMA = (0xFFF, 0x23C), (0x1FF, 0x1F0)
MUST_CONTAIN = {("tf32", 80): HMMA, ("tf32", 90): HMMA, ("bf16", 80): HMMA, ("bf16", 90): HMMA, ("hopper_bf16", 90): HGMMA}
ONLY_MULTIPLIERS = re.compile(r"add_pieces|sum|finish|cast")  # helpers beside the products in those sources
PRODUCTS = {"naive", "shared_tile", "register_tile", "warp_tile", "split_k", "tf32", "bf16", "hopper_bf16"}
# Bytes of stack that a kernel may have because it was measured to be worth them (its file says how much).
MEASURED_STACK = {"register_tile": 40}
FRAME_SIZE, REGISTER_COUNT = 0x11, 0x2F  # attributes of .nv.info: a symbol and a number each
CUBIN, MACHINE_CUDA = 2, 190

Kernel = collections.namedtuple("Kernel", "source architecture name registers shared stack code")


def members(path):
    """Objects of an archive as (name, bytes); an object alone is its own."""
    data = path.read_bytes()
    if data[:8] != b"!<arch>\n":
        yield path.name, data
        return
    at, names = 8, b""
    while at + 60 <= len(data):
        name, size = data[at:at + 16].decode().strip(), int(data[at + 48:at + 58])
        content = data[at + 60:at + 60 + size]
        if name == "//":
            names = content
        elif name.startswith("/") and name[1:].isdigit():
            yield names[int(name[1:]):].split(b"/\n")[0].decode(), content
        elif name != "/":
            yield name.rstrip("/"), content
        at += 60 + size + size % 2


def cubins(data):
    """Machine code for GPUs inside an object: (architecture, ELF)."""
    at = data.find(struct.pack("<I", 0xBA55ED50))
    while at >= 0:
        header, size = struct.unpack_from("<HQ", data, at + 6)
        entry, end = at + header, at + header + size
        while entry < end:
            kind, _, head, length = struct.unpack_from("<HHIQ", data, entry)
            if kind == CUBIN:
                content = data[entry + head:entry + head + length]
                assert content[:4] == b"\x7fELF", "machine code for GPUs is compressed: compile without that"
                yield struct.unpack_from("<I", data, entry + 28)[0], content
            entry += head + length
        at = data.find(struct.pack("<I", 0xBA55ED50), end)


def kernels_of(source, architecture, elf):
    """The kernels of one ELF by their .text sections."""
    assert struct.unpack_from("<H", elf, 18)[0] == MACHINE_CUDA
    table, = struct.unpack_from("<Q", elf, 40)
    size, count, strings = struct.unpack_from("<HHH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, table + i * size) for i in range(count)]

    def text(section, at):
        begin = sections[section][4] + at
        return elf[begin:elf.index(b"\0", begin)].decode()

    named = {text(strings, s[0]): s for s in sections}
    symbols = named[".symtab"]
    attributes = collections.defaultdict(dict)
    info = named[".nv.info"]
    at, end = info[4], info[4] + info[5]
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", elf, at)
        if form == 4 and length == 8:
            symbol, value = struct.unpack_from("<II", elf, at + 4)
            name = text(symbols[6], struct.unpack_from("<I", elf, symbols[4] + symbol * symbols[9])[0])
            attributes[name][attribute] = value
        at += 4 + (length if form == 4 else 0)
    for name, section in named.items():
        if not name.startswith(".text."):
            continue
        name = name[len(".text."):]
        shared = named.get(f".nv.shared.{name}")
        yield Kernel(source, architecture, name, attributes[name][REGISTER_COUNT], shared[5] if shared else 0,
                     attributes[name][FRAME_SIZE], elf[section[4]:section[4] + section[5]])


def contains(kernel, instruction):
    mask, bits = instruction
    words = struct.unpack_from(f"<{len(kernel.code) // 16 * 2}Q", kernel.code)
    return any(word & mask == bits for word in words[::2])


def demangled(names):
    """Names as people write them: without namespaces, parameters and casts of template arguments."""
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.splitlines()
    unwanted = re.compile(r"\(anonymous namespace\)::|partita::kernels::cuda::(gemm::)?|\([\w:]+\)(?=\d)|^void ")
    return {name: re.sub(r"\(.*\)$", "", unwanted.sub("", line)) for name, line in zip(names, lines)}


def problems(kernels, title):
    for kernel in kernels:
        where = f"{title[kernel.name]} (sm_{kernel.architecture})"
        if kernel.source in PRODUCTS and kernel.stack > MEASURED_STACK.get(kernel.source, 0):
            yield f"{where}: {kernel.stack} bytes of stack: registers are spilled, or arrays indexed by what is not constant"
        instruction = MUST_CONTAIN.get((kernel.source, kernel.architecture))
        if instruction and not ONLY_MULTIPLIERS.search(title[kernel.name]) and not contains(kernel, instruction):
            yield f"{where}: contains no {'HGMMA' if instruction is HGMMA else 'HMMA'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", action="store_true", help="only the matrix products, as a table for the README")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    kernels = [kernel for path in options.files for name, data in members(path) for architecture, elf in cubins(data)
               for kernel in kernels_of(name.split(".")[0], architecture, elf)]
    if not kernels:
        print("SKIP: nothing was compiled for GPUs here")
        return 77
    title = demangled(sorted({kernel.name for kernel in kernels}))
    rows = sorted({(k.source, title[k.name], k.architecture, k.registers, k.shared, k.stack) for k in kernels})
    if options.markdown:
        print("| kernel | architecture | registers a thread | static shared memory, bytes | stack, bytes |\n|---|---|---|---|---|")
        for source, name, *figures in rows:
            if source in PRODUCTS and (source, figures[0]) != ("hopper_bf16", 80):  # empty there
                print(f"| `{name}` | sm_{figures[0]} | " + " | ".join(map(str, figures[1:])) + " |")
    else:
        print(f"{'registers':>9} {'shared':>7} {'stack':>6}  sm  kernel")
        for source, name, architecture, registers, shared, stack in rows:
            print(f"{registers:9} {shared:7} {stack:6}  {architecture}  {source}: {name}")
    wrong = list(problems(kernels, title))
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
