"""Pickle files of plain data, read without unpickling: opcodes are interpreted by us, and nothing is ever imported or called.

Accepted: None, booleans, numbers, text, bytes, tuples, lists, sets, dictionaries; `collections.Counter` and `OrderedDict` over
them (as plain dictionaries); NumPy arrays and numbers of plain types, whose bytes are put into shape by us. Any other global,
every persistent id, extension and out-of-band buffer is refused by name, before anything happens.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LARGEST = 1 << 31  # bytes
DTYPES = frozenset("?bhilqBHILQefd") | {f"{kind}{size}" for kind in "iufb" for size in (1, 2, 4, 8)}


class PickledError(ValueError):
    """A pickle with more in it than plain data, or a damaged one. The message names the file and what was met."""


@dataclass
class _Global:
    """A name that the file asks for; it is compared with the few that are known, never looked up."""

    module: str
    name: str


@dataclass
class _DType:
    code: str
    order: str = "<"

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(">" if self.order == ">" else "<")


@dataclass
class _Array:
    value: Any = None


@dataclass
class _Machine:
    """The stack of a pickle machine that knows no calls."""

    path: str
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def refuse(self, what: str) -> PickledError:
        return PickledError(
            f"{self.path}: refused: {what}; only plain data is read from pickles. Convert the file where you trust it"
        )

    def above_mark(self) -> list[Any]:
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]
        return items


def read_pickled(path: Path) -> Any:
    """The content of a pickle of plain data.

    Raises PickledError for anything else, OSError if the file cannot be read.
    """
    if path.stat().st_size > LARGEST:
        raise PickledError(f"{path}: {path.stat().st_size} bytes, at most {LARGEST} are read")
    machine = _Machine(str(path))
    try:
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            if opcode.name == "STOP":
                break
            step = _STEPS.get(opcode.name)
            if step is None:
                raise machine.refuse(f"opcode {opcode.name}")
            step(machine, argument)
        (content,) = machine.stack
    except PickledError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PickledError(f"{path}: damaged, or no pickle ({error})") from error
    return _plain(content)


def _plain(value: Any) -> Any:
    """Arrays as NumPy's; what is left of a global is an error."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, _Global | _DType):
        raise PickledError(f"refused: {value} where data should be")
    return value


def _call(machine: _Machine, made: Any, arguments: Any) -> Any:
    """What the known constructors would make, made by us."""
    match made, arguments:
        case _Global("collections", "Counter"), ():
            return {}
        case _Global("collections", "Counter"), (dict() as counts,):
            return dict(counts)
        case _Global("collections", "OrderedDict"), ():
            return {}
        case _Global("numpy", "dtype"), (str(code), *_) if code in DTYPES:
            return _DType(code)
        case _Global("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"), (_Global("numpy", "ndarray"), *_):
            return _Array()
        case _Global("numpy.core.multiarray" | "numpy._core.multiarray", "scalar"), (_DType() as kind, bytes(data)):
            return np.frombuffer(data, kind.numpy())[0].item()
        case _Global("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer"), (
            bytes() | bytearray() as data,
            _DType() as kind,
            tuple(shape),
            "C" | "F" as order,
        ):
            return _Array(np.frombuffer(data, kind.numpy()).reshape(shape, order=order))
        case _Global("_codecs", "encode"), (str(text), "latin1"):
            return text.encode("latin1")
    name = f"{made.module}.{made.name}" if isinstance(made, _Global) else type(made).__name__
    raise machine.refuse(f"a call of {name}")


def _build(machine: _Machine) -> None:
    state = machine.stack.pop()
    match machine.stack[-1], state:
        case _DType() as kind, (int(), str(order), *_) if order in "<>|=":
            kind.order = order
        case _Array() as array, (_, tuple(shape), _DType() as kind, bool(fortran), bytes(data)):
            array.value = np.frombuffer(data, kind.numpy()).reshape(shape, order="F" if fortran else "C")
        case other, _:
            raise machine.refuse(f"the state of a {type(other).__name__}")


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _new(kind: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(kind())


def _collect(kind: Callable[[list[Any]], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(kind(machine.above_mark()))


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        items = tuple(machine.stack[-count:])
        del machine.stack[-count:]
        machine.stack.append(items)

    return step


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.above_mark()
    _target(machine, dict).update(_pairs(items))


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _target(machine, dict)[key] = value


def _append(machine: _Machine, _: Any) -> None:
    value = machine.stack.pop()
    _target(machine, list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    items = machine.above_mark()
    _target(machine, list).extend(items)


def _add_items(machine: _Machine, _: Any) -> None:
    items = machine.above_mark()
    _target(machine, set).update(items)


def _target(machine: _Machine, kind: type[Any]) -> Any:
    if not isinstance(machine.stack[-1], kind):
        raise machine.refuse(f"items for a {type(machine.stack[-1]).__name__}")
    return machine.stack[-1]


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(_Global({"__builtin__": "builtins"}.get(module, module), name))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise machine.refuse("a name that is no text")
    machine.stack.append(_Global(module, name))


def _reduce(machine: _Machine, _: Any) -> None:
    arguments, made = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_call(machine, made, arguments))


def _put(machine: _Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


def _memoize(machine: _Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _get(machine: _Machine, place: int) -> None:
    machine.stack.append(machine.memo[place])


def _mark(machine: _Machine, _: Any) -> None:
    machine.marks.append(len(machine.stack))


_PUSHED = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8",
)  # fmt: skip

_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_PUSHED, _push),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_LIST": _new(list),
    "EMPTY_DICT": _new(dict),
    "EMPTY_SET": _new(set),
    "TUPLE": _collect(tuple),
    "LIST": _collect(list),
    "DICT": _collect(_pairs),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "SETITEMS": _set_items,
    "SETITEM": _set_item,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _add_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": lambda machine, _: _build(machine),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
    "MARK": _mark,
    "PROTO": lambda _machine, _argument: None,
    "FRAME": lambda _machine, _argument: None,
}
