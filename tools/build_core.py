"""`wirematch build-core DIR`: the matching core as a C library, libwirematch.so, and its headers.

    wirematch build-core DIR [--cpu NAME]

The kernels of hot/abi.py, and with them the matcher's own hot/book.py apply, are compiled to
objects by LLVM, linked with native/core/front.c and the price scan, and written to DIR with
wirematch.h, layout.h and two example programs. Who uses the library needs no Python.

How long each array of a book is follows from hot/state.py: `plan` builds small books of several
sizes and finds, for each array, the powers of the sizes that its extents are made of, or the
multiples of sizes that they are the sum of.
"""

import os
import shutil
import subprocess
import tempfile
from fractions import Fraction
from math import prod
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "native/core"
LIBRARY = "libwirematch.so"
HEADERS = (CORE / "wirematch.h", ROOT / "native/gen/layout.h", CORE / "example.c",
           CORE / "example.cpp", CORE / "cost.c")
FLAGS = ("-O2", "-std=gnu11", "-fPIC", "-shared", "-Wall", "-Wextra",
         "-Wl,-z,defs", "-Wl,-z,now", "-Wl,-z,noexecstack")

# The sizes of front.c by the fields of state.Sizes; a ladder has 2 ** lg_ladder prices.
SIZES = ("symbols", "pages", "lg_ladder", "far_cap", "far_levels")
_SMALL = {"symbols": 1, "pages": 1, "lg_ladder": 12, "far_cap": 64, "far_levels": 64}
_OTHER = {"symbols": 3, "pages": 5, "lg_ladder": 13, "far_cap": 7 * 64, "far_levels": 11 * 64}
TERMS = 3                                    # of an extent at most


class PlanError(Exception):
    """An array of hot/state.py is no product of powers of the sizes."""


class BuildError(Exception):
    """The library cannot be built here; the text says why and what to do."""


def _book(sizes):
    """Extents of the arrays of a book of these sizes: {field: (rows, columns)}."""
    from appliance.hot import state
    built = state.build(state.Sizes(**sizes, accounts=1, chunks=2, feed_bytes=64, feed_messages=2,
                                    journal=2, holds=1, link_depth=2)).book
    return {name: (array.shape[0], array.shape[1] if array.ndim == 2 else 1, array.dtype.itemsize)
            for name, array in built._asdict().items()}


def _units(sizes):
    return [1 << sizes[name] if name == "lg_ladder" else sizes[name] for name in SIZES]


def _product(extents):
    """The one term of an extent that is a factor times powers of the sizes; extents as in plan."""
    small, _, *grown = extents
    powers = [Fraction(extent, small).numerator.bit_length() - 1 for extent in grown]
    factor = Fraction(small)
    for unit, power in zip(_units(_SMALL), powers, strict=True):
        factor /= unit ** power
    return [(factor, powers)]


def _sum(extents):
    """The terms of an extent that is a constant and multiples of the sizes."""
    small, _, *grown = extents
    terms = [(Fraction(extent - small, unit), [int(other == k) for other in range(len(SIZES))])
             for k, (extent, unit) in enumerate(zip(grown, _units(_SMALL), strict=True))]
    constant = small - sum(extent - small for extent in grown)
    return [term for term in terms if term[0]] + [(Fraction(constant), [0] * len(SIZES))]


def _value(terms, sizes):
    return sum(factor * prod(unit ** power for unit, power in zip(_units(sizes), powers,
                                                                  strict=True))
               for factor, powers in terms)


def plan() -> dict:
    """{array: (terms of its rows, the same of its columns, bytes an item)}.

    An extent is the sum of its terms, a term (factor, powers) is factor * the product of the sizes
    to their powers. Raises PlanError.
    """
    books = [_book(_SMALL), _book(_OTHER), *(
        _book(_SMALL | {name: _SMALL[name] + 1 if name == "lg_ladder" else 2 * _SMALL[name]})
        for name in SIZES)]
    found = {}
    for array, first in books[0].items():
        rows = []
        for axis in (0, 1):
            extents = [book[array][axis] for book in books]
            fits = [terms for terms in (_product(extents), _sum(extents))
                    if _value(terms, _OTHER) == extents[1]
                    and all(factor > 0 for factor, _ in terms) and len(terms) <= TERMS]
            if not fits:
                raise PlanError(f"book.{array}: {extents[0]} elements at sizes {_SMALL} and "
                                f"{extents[1]} at {_OTHER}: neither a product of powers of the "
                                f"sizes nor a sum of {TERMS} terms; teach native/core/front.c how "
                                "long it is")
            rows.append(fits[0])
        found[array] = (*rows, first[2])
    return found


def plan_header(kernels: dict, cpu: str) -> str:
    """plan.h of native/core/front.c: kernels' symbols and the plan. kernels: {name: symbol}."""
    from appliance.hot.abi import WORK_WORDS
    from appliance.hot.book import EVENTS_A_COMMAND, EVENTS_SPARE
    arrays = plan()
    ladders, _, _ = arrays["levels"]

    def extent(terms):
        return "{ { " + ", ".join(
            f"{{ {factor.numerator}u, {factor.denominator}u, {{ {', '.join(map(str, powers))} }} }}"
            for factor, powers in terms) + " } }"

    lines = ["/* Printed by tools/build_core.py. */",
             "struct plan_term { uint32_t factor, divisor; uint8_t powers[5]; };",
             f"struct plan_extent {{ struct plan_term terms[{TERMS}]; }};",
             "static const struct { struct plan_extent rows, columns; uint32_t item_sz; } PLAN[] =",
             "{",
             *(f"    {{ {extent(rows)}, {extent(columns)}, {size} }},    /* {name} */"
               for name, (rows, columns, size) in arrays.items()), "};",
             f"enum {{ PLAN_CNT = {len(arrays)}, EVENTS_A_COMMAND = {EVENTS_A_COMMAND}, "
             f"EVENTS_SPARE = {EVENTS_SPARE}, WORK_WORDS = {WORK_WORDS}, "
             f"TERMS = {TERMS}, LADDERS_A_SYMBOL = {ladders[0][0]} }};",
             f'#define CPU "{cpu}"',
             *(f"#define KERNEL_{name.upper()} {symbol}" for name, symbol in kernels.items())]
    return "\n".join(lines) + "\n"


def machine(cpu: str):
    """LLVM's target machine for this system's CPU ("native") or one of that name; its name."""
    import llvmlite.binding as llvm
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    name, features = cpu, ""
    if cpu == "native":
        name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=name, features=features, opt=3, reloc="pic",
                                        codemodel="default"), name


def objects(folder: Path, tm) -> dict:
    """Writes an object file a kernel of hot/abi.py SURFACE to folder; {name: its symbol}."""
    from appliance.hot import abi
    symbols = {}
    for name, kernel in abi.SURFACE.items():
        kernel._compile_for_args()
        compiled = kernel.overloads[kernel.signatures[0]]
        module = compiled.library._get_module_for_linking()
        (folder / f"{name}.o").write_bytes(tm.emit_object(module))
        symbols[name] = compiled.fndesc.llvm_func_name
    return symbols


def build(target: Path, cpu: str = "native") -> Path:
    """Builds library and headers into the folder `target`; the library's path. Raises BuildError,
    PlanError, OSError."""
    from appliance.shm.cache import use_cache
    use_cache()
    compiler = os.environ.get("CC", "cc").split()
    if shutil.which(compiler[0]) is None:
        raise BuildError(f"no C compiler {compiler[0]}: install gcc, or name one in CC")
    tm, name = machine(cpu)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "plan.h").write_text(plan_header(objects(folder, tm), name))
        (folder / "exports").write_text("{ global: wirematch_*; local: *; };\n")
        command = [*compiler, *FLAGS, f"-I{folder}", f"-I{ROOT / 'native'}",
                   f"-I{ROOT / 'native/gen'}", f"-I{CORE}",
                   f"-Wl,--version-script={folder}/exports", f"-Wl,-soname,{LIBRARY}",
                   str(CORE / "front.c"), str(ROOT / "native/scan.c"),
                   *sorted(map(str, folder.glob("*.o"))), "-o", str(folder / LIBRARY)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise BuildError(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
        fresh = target / f".{LIBRARY}.{os.getpid()}"
        shutil.copyfile(folder / LIBRARY, fresh)
        fresh.chmod(0o755)
        os.replace(fresh, target / LIBRARY)
    for header in HEADERS:
        shutil.copyfile(header, target / header.name)
    return target / LIBRARY


@click.command("build-core", short_help="Build the matching core as a C library.")
@click.argument("target", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cpu", default="native", metavar="NAME",
              help="CPU by LLVM's name, as x86-64-v3; default: this machine's.")
def command(target, cpu):
    """Write libwirematch.so, wirematch.h, layout.h and two examples to DIR."""
    try:
        library = build(target, cpu)
    except (BuildError, PlanError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{library}: {library.stat().st_size:,} bytes")
    click.echo(f"try it: cc -O2 {target}/example.c -I{target} -L{target} -lwirematch "
               f"-Wl,-rpath,{target.resolve()} -o example && ./example WORKLOAD")


if __name__ == "__main__":
    command()
