"""The hot contract as a check: what files of hot/ may import and what their kernels may not hold.

`breaches(tree, imports)` gives (line, text) for one file. A kernel is a function under a decorator
of KERNEL_DECORATORS; plain functions beside kernels, which construct state, are not looked at.
"""

import ast

KERNEL_DECORATORS = frozenset(("njit", "jit", "kernel", "kernel_of", "inlined", "vectorize"))
# Of the standard library only what does nothing while a kernel runs.
IMPORTS = ("appliance.layout", "appliance.hot", "numba", "numpy", "llvmlite", "errno", "typing",
           "dataclasses", "collections", "platform")
NATIVE_NAMES = ("external", "lib")          # lib, cffi's, for the plain functions only
ALLOCATORS = frozenset(("zeros", "empty", "ones", "full", "array", "arange", "copy", "concatenate",
                        "zeros_like", "empty_like", "frombuffer"))
FORBIDDEN_NAMES = frozenset(("print", "time", "random", "open", "float", "str", "dict", "list",
                             "set", "sorted", "isinstance", "getattr", "format", "lib", "ffi"))
FORBIDDEN_NODES = {
    ast.Try: "try", ast.Raise: "raise", ast.With: "with", ast.Assert: "assert (it raises)",
    ast.JoinedStr: "an f-string", ast.Dict: "a dict", ast.List: "a list", ast.Set: "a set",
    ast.DictComp: "a dict", ast.ListComp: "a list", ast.SetComp: "a set",
    ast.GeneratorExp: "a generator", ast.Yield: "yield", ast.Lambda: "a closure",
    ast.Div: "division that makes a float", ast.Import: "an import", ast.ImportFrom: "an import",
}


def breaches(tree: ast.Module, imports):
    """(line, what is wrong) of one file of hot/; `imports` as in Source.imports."""
    yield from _imports(imports)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_kernel(node):
            yield from _kernel(node)


def _imports(imports):
    for line, name in imports:
        if name == "appliance.native" or any(
                name == allowed or name.startswith(allowed + ".") for allowed in IMPORTS):
            continue
        if name.startswith("appliance.native."):
            if name.split(".")[2] not in NATIVE_NAMES:
                yield line, f"hot takes only {', '.join(NATIVE_NAMES)} of native, not {name}"
        elif name != "appliance":
            yield line, f"hot may not import {name}"


def _is_kernel(function):
    for decorator in function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if name in KERNEL_DECORATORS:
            return True
    return False


def _kernel(function):
    constant = set()        # texts that the compiler folds: names of record fields, letters
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript):
            constant.add(id(node.slice))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ord":
            constant.update(id(argument) for argument in node.args)
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(getattr(body[0].value, "value", None), str):
        body = body[1:]
    for statement in body:
        for node in ast.walk(statement):
            text = _forbidden(node, constant)
            if text:
                line = getattr(node, "lineno", statement.lineno)
                yield line, f"kernel {function.name} holds {text}"


def _forbidden(node, constant):
    for kind, words in FORBIDDEN_NODES.items():
        if isinstance(node, kind):
            return words
    if isinstance(node, ast.FunctionDef):
        return "a closure"
    if isinstance(node, ast.Constant):
        if isinstance(node.value, float):
            return f"the float {node.value}"
        if isinstance(node.value, (str, bytes)) and id(node) not in constant:
            return f"the text {node.value!r}"
    if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
        return f"{node.id}"
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.value.id in ("np", "numpy"):
            if node.attr in ALLOCATORS:
                return f"the allocation np.{node.attr}"
            if node.attr.startswith("float") or node.attr == "random":
                return f"np.{node.attr}"
        if node.value.id in ("math",):
            return "math"
    return None
