"""What a PyTorch pickle says, without doing anything that it asks for.

A stack machine for the opcodes that `torch.save` writes (protocol 2, the ones that torch's own weights-only unpickler
knows). Nothing is imported and nothing is called: names of classes and functions stay names, a tensor becomes its type
and shape, every other object an `Inert`. Work and memory are bounded by the length of the pickle; names outside a short
list are refused, so that what has passed here holds nothing for an unpickler to trip over. The format: Python's
`pickletools`, and `torch.serialization`.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_STEPS = 1_000_000
REBUILDERS = frozenset(
    f"torch.{name}"
    for name in (
        "_utils._rebuild_tensor", "_utils._rebuild_tensor_v2", "_utils._rebuild_tensor_v3",
        "_utils._rebuild_parameter", "_utils._rebuild_parameter_with_state", "_tensor._rebuild_from_type_v2",
    )
)
MAPPINGS = frozenset({"collections.OrderedDict", "torch.nn.modules.container.ParameterDict"})
STORAGES = {
    "torch.FloatStorage": "F32", "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16", "torch.DoubleStorage": "F64",
    "torch.LongStorage": "I64", "torch.IntStorage": "I32", "torch.ShortStorage": "I16", "torch.CharStorage": "I8",
    "torch.ByteStorage": "U8", "torch.BoolStorage": "BOOL", "torch.storage.UntypedStorage": "U8",
}
TYPES = {
    "torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64", "torch.int64": "I64", "torch.int32": "I32",
    "torch.int16": "I16", "torch.int8": "I8", "torch.uint8": "U8", "torch.bool": "BOOL", "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2",
}
PLAIN = frozenset({"torch.Size", "torch.device", "torch.Tensor", "torch.nn.parameter.Parameter", "_codecs.encode", "__builtin__.set", "builtins.set"})
FOREIGN = frozenset(
    {
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
        "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "numpy.dtypes.Float64DType",
    }
)
"""What training frameworks left in checkpoints beside the weights; harmless, and of no use here."""
KNOWN = REBUILDERS | MAPPINGS | STORAGES.keys() | TYPES.keys() | PLAIN | FOREIGN
MARK = object()


class NotWeights(ValueError):
    """The pickle is no list of weights; says why, as the end of a sentence."""


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names, by its full name."""

    full: str


@dataclass(frozen=True)
class Storage:
    """Where a tensor's numbers would be: their type and count."""

    dtype: str
    count: int


@dataclass(frozen=True)
class Shape:
    """A tensor's type ("F16") and shape."""

    dtype: str
    shape: tuple[int, ...]


class Inert:
    """Stands for any other object."""


class Mapping(dict[Any, Any]):
    """Stands for an ordered dictionary or a dictionary of parameters."""


class Machine:
    """Reads one pickle.

    Args:
        data: bytes that hold it.
        place: where it begins; behind it after `run`.
    """

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data, self.place = data, place
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self) -> Any:
        """What it describes. Raises NotWeights."""
        try:
            for _ in range(MAX_STEPS):
                sign = self.data[self.place]
                self.place += 1
                if sign == 0x2E:  # STOP
                    return self.stack.pop()
                STEPS[sign](self)
        except NotWeights:
            raise
        except KeyError:
            raise NotWeights("it is not written as PyTorch writes weights") from None
        except (IndexError, struct.error, TypeError, ValueError, AttributeError, OverflowError):
            raise NotWeights("it is damaged") from None
        raise NotWeights("it is too long")

    # ---- bytes

    def take(self, count: int) -> bytes:
        if self.place + count > len(self.data):
            raise NotWeights("it is cut off")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        end = self.data.index(b"\n", self.place, self.place + 300)
        return self.take(end + 1 - self.place)[:-1].decode("ascii")

    # ---- stack

    def since_mark(self) -> list[Any]:
        """Everything above the last mark, which goes too."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise NotWeights("it is damaged")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise NotWeights("it is damaged")
        found = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(found)

    def put(self, pairs: list[Any]) -> None:
        """Keys and values in turn into the dictionary on top; only texts and numbers are keys."""
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(self.stack[-1], dict) and isinstance(key, str | int):
                self.stack[-1][key] = value

    def extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def name(self) -> None:
        full = f"{self.line()}.{self.line()}"
        if full not in KNOWN:
            raise NotWeights(f"it asks for '{full[:80]}', which no weights need")
        self.stack.append(Name(full))

    def called(self) -> None:
        given, what = self.stack.pop(), self.stack.pop()
        name = what.full if isinstance(what, Name) else ""
        if name == "torch._tensor._rebuild_from_type_v2":
            name, given = given[0].full, given[2]
        self.stack.append(self.mapping(given) if name in MAPPINGS else _stand_in(name, given))

    def mapping(self, given: Any) -> Mapping:
        pairs = self.bounded(given[0]) if given and isinstance(given[0], list) else ()
        return Mapping((pair[0], pair[1]) for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str))

    def built(self) -> None:
        """The state of the object below it. That of a dictionary of parameters holds what is in it."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Mapping) and isinstance(state, dict) and isinstance(held := state.get("_parameters"), dict):
            self.stack[-1].update(self.bounded(held))

    def bounded(self, held: Any) -> Any:
        """What is about to be copied; a short pickle could ask for that over and over."""
        self.copied += len(held)
        if self.copied > MAX_STEPS:
            raise NotWeights("it is too long")
        return held

    def persistent(self) -> None:
        """("storage", its class, key, device, count of numbers, ...): a tensor's storage."""
        given = self.stack.pop()
        kind, name, _, _, count, *_ = given
        if kind != "storage" or not isinstance(name, Name) or name.full not in STORAGES or type(count) is not int:
            raise NotWeights("it is damaged")
        self.stack.append(Storage(STORAGES[name.full], count))


def _stand_in(name: str, given: Any) -> Any:
    """What a call of a known name would give."""
    if name in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return given[0]
    if name in REBUILDERS:
        return _tensor(given, given[6] if name.endswith("_v3") else None)
    return Inert()


def _tensor(given: Any, dtype: Any) -> Shape:
    """(storage, offset, shape, stride, ...): offset and shape in numbers of the storage, which must hold them all."""
    storage, _, shape = given[:3]
    if not isinstance(storage, Storage) or len(shape) > 8 or not all(type(side) is int and 0 <= side < 2**40 for side in shape):
        raise NotWeights("it is damaged")
    if math.prod(shape) > storage.count:
        raise NotWeights("it claims tensors that are larger than what is stored")
    return Shape(storage.dtype if dtype is None else TYPES[dtype.full], tuple(shape))


def _memorise(machine: Machine, at: int) -> None:
    machine.memo[at] = machine.stack[-1]


def _text(machine: Machine, size: int) -> None:
    machine.stack.append(machine.take(machine.number(size)).decode("utf-8", "replace"))


Step = Callable[[Machine], Any]
STEPS: dict[int, Step] = {
    0x80: lambda m: m.take(1),  # PROTO
    ord("c"): Machine.name,  # GLOBAL
    ord("R"): Machine.called,  # REDUCE
    0x81: Machine.called,  # NEWOBJ
    ord("b"): Machine.built,  # BUILD
    ord("Q"): Machine.persistent,  # BINPERSID
    ord("("): lambda m: m.stack.append(MARK),
    ord("}"): lambda m: m.stack.append({}),
    ord("]"): lambda m: m.stack.append([]),
    ord(")"): lambda m: m.stack.append(()),
    0x8F: lambda m: m.stack.append([]),  # EMPTY_SET
    ord("t"): lambda m: m.stack.append(tuple(m.since_mark())),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    ord("s"): lambda m: m.put([m.stack.pop(), m.stack.pop()][::-1]),  # SETITEM
    ord("u"): lambda m: m.put(m.since_mark()),  # SETITEMS
    ord("a"): lambda m: m.extend([m.stack.pop()]),  # APPEND
    ord("e"): lambda m: m.extend(m.since_mark()),  # APPENDS
    0x90: lambda m: m.extend(m.since_mark()),  # ADDITEMS
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("K"): lambda m: m.stack.append(m.number(1)),  # BININT1
    ord("M"): lambda m: m.stack.append(m.number(2)),  # BININT2
    ord("J"): lambda m: m.stack.append(struct.unpack("<i", m.take(4))[0]),  # BININT
    0x8A: lambda m: m.stack.append(int.from_bytes(m.take(m.number(1)), "little", signed=True)),  # LONG1
    ord("G"): lambda m: m.stack.append(struct.unpack(">d", m.take(8))[0]),  # BINFLOAT
    ord("X"): lambda m: _text(m, 4),  # BINUNICODE
    ord("U"): lambda m: _text(m, 1),  # SHORT_BINSTRING
    ord("q"): lambda m: _memorise(m, m.number(1)),  # BINPUT
    ord("r"): lambda m: _memorise(m, m.number(4)),  # LONG_BINPUT
    ord("h"): lambda m: m.stack.append(m.memo[m.number(1)]),  # BINGET
    ord("j"): lambda m: m.stack.append(m.memo[m.number(4)]),  # LONG_BINGET
}
