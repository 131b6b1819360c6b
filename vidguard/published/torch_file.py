"""Reads the tensors in a file of torch.save without unpickling it.

Such a file is a zip of a pickle, which says what tensors there are, and of their numbers. The pickle is a program, and
whatever runs it runs its author's code; torch's restricted unpickler has been broken out of (CVE-2025-32434). Here its
instructions are only looked at, one by one, by a machine that knows those a state dict is written with. Nothing that
the pickle names is imported or called, and any other instruction ends the reading.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import torch
from torch import Tensor

from vidguard.errors import WeightsError

_MAX_PICKLE: Final = 1 << 20  # bytes; Xception's, the largest that is imported, has 0.1 MB
_DTYPES: Final = {
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch DoubleStorage": torch.float64,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
_TRUTH: Final = ("NEWFALSE", "NEWTRUE")
_VALUES: Final = frozenset(
    ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", *_TRUTH)
)
_PUT: Final = frozenset(("BINPUT", "LONG_BINPUT", "MEMOIZE"))
_TUPLES: Final = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MAX_AXES: Final = 8
_INNER: Final = ("state_dict", "model_state_dict", "model", "net")
"""Under which of its names a training's checkpoint keeps the network."""


@dataclass(frozen=True)
class _Named:
    """What the pickle would import."""

    name: str


@dataclass(frozen=True)
class _Numbers:
    """A member of the zip that holds the numbers of tensors."""

    dtype: torch.dtype
    member: str


def read_torch(content: bytes, name: str) -> dict[str, Tensor]:
    """The state dict in the content of a file of torch.save (1.6 or later), by the file's own names.

    A training's checkpoint gives the one under `state_dict`, `model_state_dict`, `model` or `net`. name: of the file,
    for errors. Raises WeightsError on a whole pickled model, and on anything else that is no such file.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as file:
            found = _Reader(file, name, len(content)).read()
    except (zipfile.BadZipFile, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{name} is damaged or no file of torch.save ({error}); download it again") from error
    for key in _INNER:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError(f"{name} holds no state dict; save model.state_dict() with torch.save and give that")
    return {str(key): tensor for key, tensor in found.items()}


class _Reader:
    def __init__(self, file: zipfile.ZipFile, name: str, size: int) -> None:
        pickles = [member for member in file.namelist() if member.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise WeightsError(f"{name} is a zip file, but not one of torch.save; give a weight file")
        self.file, self.name, self.folder = file, name, pickles[0].removesuffix("data.pkl")
        self.stack: list[Any] = []
        self.marks: list[int] = []  # where on the stack lists of arguments begin
        self.memo: dict[int, Any] = {}
        self.stored: dict[str, Tensor] = {}
        self.left = size

    def read(self) -> Any:
        if f"{self.folder}byteorder" in self.file.namelist() and self._member("byteorder") != b"little":
            raise WeightsError(f"{self.name} was written on a big-endian machine; save it again on a little-endian one")
        for operation, argument, _ in pickletools.genops(self._member("data.pkl", _MAX_PICKLE)):
            if operation.name == "STOP":
                return self.stack.pop()
            self._step(operation.name, argument)
        raise ValueError("its pickle has no end")

    def _step(self, operation: str, argument: Any) -> None:  # noqa: C901 - one instruction set in one place
        stack = self.stack
        if operation in _VALUES:
            stack.append(operation == "NEWTRUE" if operation in _TRUTH else argument)
        elif operation in _PUT:
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif operation == "MARK":
            self.marks.append(len(stack))
        elif operation in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if operation == "EMPTY_DICT" else [])
        elif operation == "TUPLE":
            stack.append(tuple(self._marked()))
        elif operation in _TUPLES:
            stack.append(tuple(self._last(_TUPLES[operation])))
        elif operation in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(_Named(argument if operation == "GLOBAL" else " ".join(self._last(2))))
        elif operation == "BINPERSID":
            stack.append(self._numbers(stack.pop()))
        elif operation == "REDUCE":
            function, arguments = self._last(2)
            stack.append(self._made(function, arguments))
        elif operation == "BUILD":
            stack.pop()  # attributes of an ordered dictionary: the versions of a state dict's modules
            if not isinstance(stack[-1], dict):
                raise self._refused("the attributes of an object")
        elif operation in ("SETITEM", "SETITEMS"):
            items = self._last(2) if operation == "SETITEM" else self._marked()
            self._fill(stack[-1], items)
        elif operation in ("APPEND", "APPENDS"):
            items = self._last(1) if operation == "APPEND" else self._marked()
            stack[-1].extend(items)
        elif operation not in ("PROTO", "FRAME"):
            raise self._refused(f"the instruction {operation}")

    def _last(self, count: int) -> list[Any]:
        if not 0 <= count <= len(self.stack):
            raise ValueError("its pickle takes what isn't there")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _marked(self) -> list[Any]:
        return self._last(len(self.stack) - self.marks.pop())

    def _fill(self, dictionary: dict[Any, Any], items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):  # tuples in tuples take for ever to hash
                raise self._refused("names that are no text")
            dictionary[key] = value

    def _numbers(self, described: Any) -> _Numbers:
        kind, storage, key, *_ = described
        if kind != "storage" or not isinstance(storage, _Named) or not isinstance(key, str):
            raise ValueError("it describes numbers as torch doesn't")
        if storage.name not in _DTYPES:
            raise self._refused("numbers of a type that no network is saved in")
        return _Numbers(_DTYPES[storage.name], f"data/{key}")

    def _made(self, function: Any, arguments: Any) -> Any:
        called = function.name if isinstance(function, _Named) else "something that isn't a name"
        if called == "collections OrderedDict" and arguments == ():
            return {}
        if called == "torch._utils _rebuild_tensor_v2":
            return self._tensor(*arguments[:4])
        if called == "torch._utils _rebuild_parameter":
            return arguments[0]
        raise self._refused(called[:100])

    def _tensor(self, numbers: _Numbers, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        measures = (offset, *size, *stride)
        if len(measures) > 1 + 2 * _MAX_AXES or not all(type(n) is int and 0 <= n < 1 << 40 for n in measures):
            raise ValueError("a tensor has no possible shape")
        if not math.prod(size):
            return torch.empty(size, dtype=numbers.dtype)
        if numbers.member not in self.stored:
            self.stored[numbers.member] = torch.frombuffer(bytearray(self._member(numbers.member)), dtype=numbers.dtype)
        stored = self.stored[numbers.member]
        reached = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if max(reached + 1, math.prod(size)) > len(stored):
            raise ValueError(f"a tensor doesn't lie in its {len(stored)} numbers")
        return stored.as_strided(size, stride, offset)

    def _member(self, member: str, most: int | None = None) -> bytes:
        info = self.file.getinfo(self.folder + member)
        if info.compress_type != zipfile.ZIP_STORED:  # torch never packs; what is packed could unpack without end
            raise self._refused("compressed data")
        self.left -= info.file_size  # members that lie in each other would be more than the file
        if self.left < 0 or (most is not None and info.file_size > most):
            raise self._refused("more data than it has bytes" if most is None else f"a pickle over {most >> 20} MiB")
        return self.file.read(info)

    def _refused(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.name} holds {what}, which no state dict does, and isn't run; save model.state_dict() with "
            "torch.save and give that"
        )
