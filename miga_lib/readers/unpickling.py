"""Untrusted pickles, read without running their code: numbers, strings, plain containers, numpy arrays, and
tensors of PyTorch as arrays, and nothing else.

A pickle is a program that may call any function by name. Here a name is only looked up in ``CALLS``; the
functions there check every claim, and no other code can be reached. Files of Python 2 and of any version of
numpy are read.
"""

import io
import math
import os
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np

from .contract import DataError, reason, shown

PLAIN = (str, bytes, int, float, bool, type(None), np.generic)
"""Allowed members of a set and keys of a dict; a tuple of tuples could take extremely long to hash."""
TYPES = re.compile(r"[<>|=]?(\?|[biuf](1|2|4|8)|[SU]\d{1,5})")
"""Allowed types of arrays by their short names: booleans, numbers, strings; no objects."""

MAX_NUMBER = 2**63
"""Larger whole numbers are none of a person, clip or class."""
MAX_RATIO = 8
"""A pickle may hold arrays of so many times its size in all."""


def load(path: Path) -> Any:
    """The content of a pickle. Raises DataError if it is broken, or asks for more than plain content."""
    try:
        # warnings are about escape sequences of Python 2
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            return _Unpickler(_Bounded(file), encoding="latin1").load()
    except _Refused as error:
        way_out = "write it again from numpy arrays of numbers or strings in plain lists, tuples and dicts"
        problem = f"the pickle asks for {error}: refused, and nothing was run"
        raise DataError(f"{path}: {problem}; {way_out}") from None
    except Exception as error:  # a broken program of opcodes can raise anything
        problem = f"not a complete pickle of arrays and plain containers ({reason(error)})"
        raise DataError(f"{path}: {problem}; save it again") from None


def first_text(path: Path) -> str:
    """The first string in a pickle, such as the first key of a dict, if it is near the beginning."""
    try:
        with warnings.catch_warnings(action="ignore"), path.open("rb") as file:
            return next((arg for _, arg, _ in pickletools.genops(file.read(512)) if isinstance(arg, str)), "")
    except (OSError, ValueError):
        return ""


def is_numeric(value: Any) -> TypeGuard[np.ndarray]:
    """Whether a value of a pickle is an array of numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def whole_number(value: Any) -> int | None:
    """A whole number of any type; None for anything else, also for True and False."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if is_number and abs(int(value)) < MAX_NUMBER else None


def refuse_shared(path: Path, values: Iterable[Any], owner: str) -> None:
    """Raise DataError where the arrays among some values of a pickle unfold to far more than its size."""
    claimed = sum(value.nbytes for value in values if isinstance(value, np.ndarray))
    if claimed > MAX_RATIO * path.stat().st_size:
        problem = f"its {owner}s share a few arrays, which would unfold to {claimed:,} bytes"
        raise DataError(f"{path}: {problem}; write each {owner} with an array of its own")


class _Refused(pickle.UnpicklingError):
    """The pickle asks for something that could run code."""


class _Bounded:
    """A file that refuses a request for more bytes than it has left, before memory is allocated."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        left = self.size - self.file.tell()
        if count > left:
            raise pickle.UnpicklingError(f"it claims {count:,} bytes where {left:,} are left")
        return self.file.read(count)


# What a pickle may call.


class _Name(str):
    """A name of the pickle that is in ``CALLS``."""


@dataclass
class _Type:
    """The type of an array, as far as the pickle has given it."""

    name: str
    order: Any = "="
    """The byte order, as the pickle gives it; numpy refuses an invalid one."""

    def numpy(self) -> np.dtype:
        if self.name.lstrip("<>|=").startswith("O"):
            raise _Refused("a numpy array of objects")
        if not TYPES.fullmatch(self.name):
            raise _Refused(f"a numpy array of type {shown(self.name)}")
        kind = np.dtype(self.name)
        return kind if self.order in "=|" else kind.newbyteorder(self.order)


def _bytes(data: Any) -> Any:
    """Python 2 wrote bytes as strings."""
    return data.encode("latin1") if isinstance(data, str) else data


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> np.ndarray:
    """An empty array; shape and content follow in a BUILD opcode, whatever shape is claimed here."""
    if kind != "numpy.ndarray":
        raise _Refused(f"an array of class {shown(kind)}")
    return np.zeros(0, np.uint8)


def _array(data: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Bytes as an array, if their number is exactly what the shape needs."""
    data = _bytes(data)
    numpy_type = (kind if isinstance(kind, _Type) else _Type(kind)).numpy()
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    claimed = math.prod(int(side) for side in shape) * numpy_type.itemsize
    if len(data) != claimed or min(shape, default=0) < 0:
        problem = f"claims {claimed:,} bytes and holds {len(data):,}"
        raise pickle.UnpicklingError(f"an array of shape {shown(shape)} {problem}")
    return np.frombuffer(data, numpy_type).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    return text.encode("ascii" if encoding == "ascii" else "latin1")


def _byte_array(data: Any = b"", encoding: str = "") -> bytearray:
    return bytearray(memoryview(_bytes(data)))  # a number would allocate that many bytes


def _plain(key: Any) -> Any:
    members = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(member, PLAIN) for member in members):
        raise pickle.UnpicklingError(f"a {type(key).__name__} as a key")
    return key


def _pairs(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    return {_plain(key): value for key, value in pairs}


STORAGES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2",
    "Char": "<i1", "Byte": "<u1", "Bool": "?",
}  # fmt: skip
"""The type of the numbers in a storage of PyTorch, by the beginning of its name."""


def _storage(data: Any) -> np.ndarray:
    """The numbers of a tensor, as ``torch.save`` wrote a storage before it used zip files: five pickles, of
    which the fourth names the type; then their count in eight bytes, and their bytes."""
    file, names = io.BytesIO(_bytes(data)), []
    for _ in range(5):
        names += [arg for opcode, arg, _ in pickletools.genops(file) if opcode.name == "GLOBAL"]
    kinds = [STORAGES.get(str(name).removeprefix("torch ").removesuffix("Storage")) for name in names]
    if len(kinds) != 1 or kinds[0] is None:
        raise _Refused(f"a tensor of {shown(names)}")
    count, content = int.from_bytes(file.read(8), "little"), file.read()
    return _array(content, kinds[0], (count,))


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """A tensor as an array, if all its numbers are in its storage."""
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    if not isinstance(storage, np.ndarray) or len(size) != len(stride) or min((offset, *size, *stride)) < 0:
        raise pickle.UnpicklingError(f"a tensor of size {shown(size)} and stride {shown(stride)}")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if math.prod(size) > len(storage) or (math.prod(size) and last >= len(storage)):
        raise pickle.UnpicklingError(f"a tensor of size {shown(size)} of {len(storage)} numbers")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()


CALLS: dict[str, Callable[..., Any]] = {
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": lambda kind, data: _array(data, kind, (1,))[0],
    "numpy.core.numeric._frombuffer": _array,
    "numpy.dtype": lambda name, align=False, copy=False: _Type(name),
    "numpy.ndarray": lambda shape, kind, data: _array(data, kind, shape),
    "_codecs.encode": _encode,
    "builtins.bytes": lambda: b"",
    "builtins.bytearray": _byte_array,
    "builtins.set": lambda members=(): set(map(_plain, members)),
    "builtins.frozenset": lambda members=(): frozenset(map(_plain, members)),
    "builtins.list": lambda: [],
    "builtins.dict": lambda: {},
    "builtins.int": lambda: 0,
    "collections.OrderedDict": _pairs,
    "collections.defaultdict": lambda factory=None: {},
}


class _Unpickler(pickle._Unpickler):  # the version in Python: its opcodes can be replaced
    # Members of the base class that its type stubs lack.
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, file: _Bounded, **options: Any) -> None:
        super().__init__(file, **options)
        self.room = 16 * file.size + 2**22

    def spend(self, count: int) -> None:
        """Count the memory that is asked for: a few bytes can ask for the same megabyte many times."""
        self.room -= count
        if self.room < 0:
            raise pickle.UnpicklingError("it unfolds to far more than its size")

    def find_class(self, module: str, name: str) -> _Name:
        full = f"{module}.{name}".replace("__builtin__.", "builtins.").replace("numpy._core.", "numpy.core.")
        if full not in CALLS:
            raise _Refused(shown(f"{module}.{name}").strip("'"))
        return _Name(full)

    def call(self) -> None:
        arguments, name = self.stack.pop(), self.stack[-1]
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError(f"a call of {shown(name)}")
        self.spend(sum(len(a) for a in arguments if isinstance(a, str | bytes | bytearray)))
        self.spend(64 * sum(len(a) for a in arguments if isinstance(a, list | tuple | set | dict)))
        result = CALLS[name](*arguments)
        self.spend(getattr(result, "nbytes", 0))  # one storage can be asked for as many tensors
        self.stack[-1] = result

    def build(self) -> None:
        """Set the content of an array, or the byte order of its type."""
        state, thing = self.stack.pop(), self.stack[-1]
        if isinstance(thing, _Type):
            thing.order = state[1]
        elif type(thing) is np.ndarray:
            shape, kind, fortran, data = state[-4:]
            if not isinstance(data, str | bytes | bytearray):
                raise _Refused("a numpy array of objects")
            self.spend(len(data))
            array = _array(data, kind, shape)
            content = (1, array.shape, array.dtype, bool(fortran), bytes(_bytes(data)))
            # The stubs want numpy's bool, which it refuses.
            thing.__setstate__(content)  # type: ignore[arg-type]
        else:
            raise _Refused(f"the state of {shown(thing)}")

    def instance(self) -> None:
        name = self.find_class(*(self.readline()[:-1].decode("ascii", "replace") for _ in range(2)))
        raise _Refused(f"an instance of {name}")

    def container(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise pickle.UnpicklingError(f"items of {shown(self.stack[-1])}")
        return self.stack[-1]

    def item_pairs(self) -> dict[Any, Any]:
        items = self.pop_mark()
        return _pairs(zip(items[::2], items[1::2], strict=True))

    def set_items(self) -> None:
        pairs = self.item_pairs()
        self.container(dict).update(pairs)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.container(dict)[_plain(key)] = value

    def new_dict(self) -> None:
        pairs = self.item_pairs()  # which changes `append`
        self.append(pairs)

    def add_items(self) -> None:
        items = set(map(_plain, self.pop_mark()))
        self.container(set).update(items)

    def frozen_set(self) -> None:
        items = self.pop_mark()
        self.append(frozenset(map(_plain, items)))

    def byte_array(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))


OPCODES = """
    PROTO FRAME STOP POP POP_MARK DUP GET BINGET LONG_BINGET NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2
    LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE
    BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 APPEND APPENDS EMPTY_TUPLE GLOBAL STACK_GLOBAL
""".split()
"""The opcodes of the base class that are used unchanged."""

COSTS = dict.fromkeys("MARK PUT BINPUT LONG_BINPUT MEMOIZE".split(), 128) | {"EMPTY_SET": 224}
COSTS |= dict.fromkeys("EMPTY_LIST EMPTY_DICT LIST TUPLE TUPLE1 TUPLE2 TUPLE3".split(), 64)
"""Opcodes of the base class that allocate so many bytes of memory for one or two bytes of the file; the bytes
are counted."""

Step = Callable[[Any], None]
STEPS: dict[str, Step] = {
    "REDUCE": _Unpickler.call,
    "BUILD": _Unpickler.build,
    "INST": _Unpickler.instance,
    "SETITEM": _Unpickler.set_item,
    "SETITEMS": _Unpickler.set_items,
    "DICT": _Unpickler.new_dict,
    "ADDITEMS": _Unpickler.add_items,
    "FROZENSET": _Unpickler.frozen_set,
    "BYTEARRAY8": _Unpickler.byte_array,
}
"""Opcodes that are replaced; any other opcode is refused."""


def _at_cost(step: Step, cost: int) -> Step:
    def counted(self: _Unpickler) -> None:
        self.spend(cost)
        step(self)

    return counted


def _raising(error: pickle.UnpicklingError) -> Step:
    def refuse(self: _Unpickler) -> None:
        raise error

    return refuse


_CODES = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
_BASE = pickle._Unpickler.dispatch
_Unpickler.dispatch = (
    {code: _raising(pickle.UnpicklingError(f"byte {code} is no opcode")) for code in range(256)}
    | {code: _raising(_Refused(f"the opcode {name}")) for name, code in _CODES.items()}
    | {_CODES[name]: _BASE[_CODES[name]] for name in OPCODES}
    | {_CODES[name]: _at_cost(_BASE[_CODES[name]], cost) for name, cost in COSTS.items()}
    | {_CODES[name]: step for name, step in STEPS.items()}
)
