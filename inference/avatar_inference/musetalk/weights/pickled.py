"""What a pickle describes, without doing anything it says.

Checkpoints saved by torch are pickles, and a pickle is a program. Here its instructions only ever build
dicts, lists, tuples, strings and numbers; whatever it would call or construct becomes a `Call`, which is a
name and arguments and nothing else. Nothing is imported and nothing is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

MAX_STEPS = 1_000_000
"""The largest checkpoint, with the state of its optimizer, takes a tenth."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function, as "module.name"."""

    path: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What a pickle would have called, and with what."""

    function: str
    arguments: object


@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """A reference to something stored beside the pickle."""

    key: object


@dataclass(frozen=True, slots=True)
class Description:
    """One pickle.

    Attributes:
        value: None, bool, int, float, str, bytes, tuples, lists (sets too), dicts (OrderedDicts too; entries
            whose key is neither a string nor a number are left out), `Name`, `Call` and `Persistent`.
        references: every `Persistent` in it.
    """

    value: object
    references: tuple[Persistent, ...]


class _Mark:
    """Where a group of operands begins."""


def describe(stream: BytesIO) -> Description:
    """Reads one pickle; the stream stands behind it afterwards.

    Raises:
        ValueError: it is no pickle, is cut off, or uses an instruction that no checkpoint needs.
    """
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if step == MAX_STEPS:
                raise ValueError(f"it takes more than {MAX_STEPS} steps")
            machine.step(opcode.name, argument)
        return Description(machine.pop(), tuple(machine.references))
    except (LookupError, TypeError, AttributeError, OverflowError, StopIteration) as error:
        raise ValueError(f"a pickle that contradicts itself ({type(error).__name__})") from None


class _Machine:
    """A stack and a memory of what was pushed before."""

    def __init__(self) -> None:
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self.references: list[Persistent] = []

    def pop(self) -> object:
        """Takes the top; a mark is nobody's operand."""
        top = self._stack.pop()
        if isinstance(top, _Mark):
            raise LookupError
        return top

    def step(self, opcode: str, argument: object) -> None:
        """Follows one instruction."""
        if opcode in _PUSH:
            self._stack.append(argument)
        elif opcode in _NEW:
            self._stack.append(_NEW[opcode]())
        elif opcode in _TUPLES:
            items = [self.pop() for _ in range(_TUPLES[opcode])]
            self._stack.append(tuple(reversed(items)))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"the instruction {opcode} has no place in a checkpoint")

    def _group(self) -> list[object]:
        """Takes everything above the last mark, and the mark."""
        start = next(i for i in range(len(self._stack) - 1, -1, -1) if isinstance(self._stack[i], _Mark))
        group = self._stack[start + 1 :]
        del self._stack[start:]
        return group

    def _remember(self, index: object) -> None:
        self._memo[len(self._memo) if index is None else int(str(index))] = self._stack[-1]

    def _recall(self, index: object) -> None:
        self._stack.append(self._memo[int(str(index))])

    def _name(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._stack.append(Name(f"{module}.{name}"))

    def _stacked_name(self, _: object) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(Name(f"{module}.{name}"))

    def _call(self, _: object) -> None:
        arguments, function = self.pop(), self.pop()
        path = function.path if isinstance(function, Name) else "?"
        self._stack.append(
            _ordered(arguments) if path == "collections.OrderedDict" else Call(path, arguments)
        )

    def _call_with_keywords(self, _: object) -> None:
        self.pop()
        self._call(_)

    def _persistent(self, _: object) -> None:
        self.references.append(Persistent(self.pop()))
        self._stack.append(self.references[-1])

    def _append(self, items: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)

    def _set(self, items: list[object]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update({key: value for key, value in pairs if isinstance(key, (str, int, float))})

    def _set_one(self, _: object) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def _build_dict(self, _: object) -> None:
        items = self._group()
        self._stack.append({})
        self._set(items)


def _ordered(arguments: object) -> dict[object, object]:
    """An OrderedDict's constructor: nothing, or one list of pairs (Python 2 wrote those)."""
    if not isinstance(arguments, tuple) or len(arguments) > 1:
        raise TypeError
    pairs = arguments[0] if arguments else []
    if not isinstance(pairs, list):
        raise TypeError
    return {key: value for key, value in pairs if isinstance(key, (str, int, float))}


_PUSH = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ]
)
_NEW: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ACTIONS: dict[str, Callable[[_Machine, object], object]] = {
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine._group())),
    "LIST": lambda machine, _: machine._stack.append(machine._group()),
    "FROZENSET": lambda machine, _: machine._stack.append(machine._group()),
    "DICT": _Machine._build_dict,
    "APPEND": lambda machine, _: machine._append([machine.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._group()),
    "ADDITEMS": lambda machine, _: machine._append(machine._group()),
    "SETITEM": _Machine._set_one,
    "SETITEMS": lambda machine, _: machine._set(machine._group()),
    "POP": lambda machine, _: machine._stack.pop(),
    "GLOBAL": _Machine._name,
    "STACK_GLOBAL": _Machine._stacked_name,
    "REDUCE": _Machine._call,
    "NEWOBJ": _Machine._call,
    "NEWOBJ_EX": _Machine._call_with_keywords,
    "BUILD": lambda machine, _: machine.pop(),
    "BINPERSID": _Machine._persistent,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine._remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine._recall),
}
