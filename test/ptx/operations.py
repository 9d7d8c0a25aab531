"""PTX instruction by instruction: OPERATIONS[head](name, operands) makes a function of (launch, lanes). Registers are unsigned integers of
their width, predicates booleans; an instruction's type says how they are seen."""
import re

import numpy as np

import fragments
from memory import Fault, gather, scatter

WIDTH = {t: int(t[1:]) // 8 for t in 'b8 u8 s8 b16 u16 s16 f16 b32 u32 s32 f32 b64 u64 s64 f64'.split()}
COLLECTIVE = ('mma.', 'ldmatrix.', 'shfl.', 'vote.', 'bar.warp')
OPERATIONS = {}


def operation(*names):
    def add(function):
        for name in names:
            OPERATIONS[name] = function
        return function

    return add


def kind(name):
    """numpy's type of a PTX type."""
    return np.dtype({'b': 'u', 's': 'i'}.get(name[0], name[0]) + str(WIDTH[name]))


def types_of(name):
    return [part for part in name.split('.') if part in WIDTH]


# ---- operands ----------------------------------------------------------------------------------------------------------


def reads(operand, dtype):
    """A function of (launch, lanes) that gives the operand as dtype."""
    if operand.startswith('%p'):
        return lambda m, lanes: m.registers[operand][lanes]
    if operand.startswith('%') and '.' not in operand and operand != '%laneid':
        def register(m, lanes):
            value = m.registers.get(operand)
            if value is None:
                raise Fault(f'{operand} is read before it is written')
            value = value[lanes]
            return value.view(dtype) if value.dtype.itemsize == dtype.itemsize else value.astype(f'u{dtype.itemsize}').view(dtype)
        return register
    if operand.startswith('%'):
        return lambda m, lanes: m.special[operand][lanes].view(dtype)
    if operand.startswith('0f') or operand.startswith('0F'):
        value = np.array([int(operand[2:], 16)], np.uint32).view(np.float32)[0]
        return lambda m, lanes: value
    if re.match(r'-?\d|0x', operand):
        bits = int(operand.rstrip('U'), 0) & ((1 << 8 * dtype.itemsize) - 1)
        value = np.array([bits], f'u{dtype.itemsize}').view(dtype)[0]
        return lambda m, lanes: value
    return lambda m, lanes: dtype.type(m.symbols[operand])


CLASSES = (('%p', np.dtype(bool)), ('%rs', np.dtype('u2')), ('%rd', np.dtype('u8')), ('%r', np.dtype('u4')), ('%f', np.dtype('u4')))


def writes(register):
    dtype = next((d for prefix, d in CLASSES if register.startswith(prefix)), None)
    if register == '_':
        return lambda m, lanes, value: None
    if dtype is None:
        raise Fault(f'{register} is of no known class')

    def write(m, lanes, value):
        value = np.asarray(value)
        if value.dtype != dtype:
            if value.dtype.kind in 'iu' and value.dtype.itemsize != dtype.itemsize:
                value = value.astype(f'{value.dtype.kind}{dtype.itemsize}')
            value = value.view(dtype)
        if isinstance(lanes, slice):
            m.registers[register] = np.array(np.broadcast_to(value, m.lanes))
            return
        old = m.registers.get(register)
        new = np.full(m.lanes, -1 if dtype.kind == 'u' else False).astype(dtype) if old is None else old.copy()
        new[lanes] = value
        m.registers[register] = new

    return write


def group(operand):
    return [o.strip() for o in operand.strip('{}').split(',')]


def address(operand):
    base, _, offset = operand.strip('[]').partition('+')
    find, offset = reads(base, np.dtype('u8')), int(offset or 0)

    def at(m, lanes):
        found = np.asarray(find(m, lanes)).astype(np.int64) + offset
        return np.broadcast_to(found, len(m.cta[lanes])) if found.ndim == 0 else found

    return at


# ---- arithmetic --------------------------------------------------------------------------------------------------------


def computes(function, n):
    """An operation of n operands of the instruction's type."""

    def make(name, operands):
        dtype, write = (np.dtype(bool) if name.endswith('.pred') else kind(types_of(name)[-1])), writes(operands[0])
        if len(operands) != n + 1:
            raise Fault(f'{name} with {len(operands)} operands')
        inputs = [reads(o, dtype) for o in operands[1:]]
        return lambda m, lanes: write(m, lanes, function(name, dtype, *[f(m, lanes) for f in inputs]))

    return make


def wide(name, dtype, a, b):
    big = np.dtype(f'{dtype.kind}{2 * dtype.itemsize}')
    return np.multiply(np.asarray(a).astype(big), np.asarray(b).astype(big))


def multiply(name, dtype, a, b):
    if '.wide' in name:
        return wide(name, dtype, a, b)
    if '.hi' in name:
        return (wide(name, dtype, a, b) >> (8 * dtype.itemsize)).astype(dtype)
    return np.multiply(a, b, dtype=dtype)


def rounded(name, dtype, exact):
    """f64 to f32 as the instruction says: .rn, or .rm, towards -inf."""
    near = np.asarray(exact, np.float64).astype(dtype)
    if '.rm.' in name:
        near = np.where(near > exact, np.nextafter(near, np.array(-np.inf, dtype)), near)
    return near


def multiply_add(name, dtype, a, b, c):
    if dtype.kind == 'f':
        return rounded(name, dtype, np.multiply(a, b, dtype=np.float64) + c)
    if '.wide' in name:
        return wide(name, dtype, a, b) + c
    return np.multiply(a, b, dtype=dtype) + c


def quotient(a, b):
    a, b = np.asarray(a), np.asarray(b)
    if (b == 0).any():
        raise Fault('a division by 0')
    if a.dtype.kind == 'u':
        return a // b
    return (np.sign(a) * np.sign(b) * (np.abs(a.astype(np.int64)) // np.abs(b.astype(np.int64)))).astype(a.dtype)


def divide(name, dtype, a, b):
    return np.divide(a, b, dtype=dtype) if dtype.kind == 'f' else quotient(a, b)


def shift(left):
    def function(name, dtype, a, n):
        bits, n = 8 * dtype.itemsize, np.asarray(n).astype(np.int64) & 0xFFFFFFFF
        if not left and dtype.kind == 'i':
            return np.right_shift(a, np.minimum(n, bits - 1).astype(dtype))
        moved = (np.left_shift if left else np.right_shift)(a, np.minimum(n, bits - 1).astype(dtype))
        return np.where(n < bits, moved, dtype.type(0))

    return function


for head, n, function in (
        ('add', 2, lambda name, d, a, b: np.add(a, b, dtype=d)), ('sub', 2, lambda name, d, a, b: np.subtract(a, b, dtype=d)),
        ('mul', 2, multiply), ('mad', 3, None), ('fma', 3, multiply_add), ('div', 2, divide),
        ('rem', 2, lambda name, d, a, b: np.asarray(a) - quotient(a, b) * np.asarray(b)),
        ('and', 2, lambda name, d, a, b: np.bitwise_and(a, b)), ('or', 2, lambda name, d, a, b: np.bitwise_or(a, b)),
        ('xor', 2, lambda name, d, a, b: np.bitwise_xor(a, b)),
        ('not', 1, lambda name, d, a: np.bitwise_not(a)), ('shl', 2, shift(True)), ('shr', 2, shift(False)),
        ('min', 2, lambda name, d, a, b: np.fmin(a, b)), ('max', 2, lambda name, d, a, b: (np.maximum if '.NaN' in name else np.fmax)(a, b)),
        ('neg', 1, lambda name, d, a: np.negative(a)), ('abs', 1, lambda name, d, a: np.abs(a)),
        ('copysign', 2, lambda name, d, a, b: np.copysign(b, a)), ('rcp', 1, lambda name, d, a: np.divide(1, a, dtype=d)),
        ('sqrt', 1, lambda name, d, a: np.sqrt(a)), ('rsqrt', 1, lambda name, d, a: (1 / np.sqrt(np.float64(a))).astype(d)),
        ('ex2', 1, lambda name, d, a: np.exp2(np.float64(a)).astype(d))):
    if function:
        OPERATIONS[head] = computes(function, n)


@operation('mad')
def mad(name, operands):
    dtype, write = kind(types_of(name)[-1]), writes(operands[0])
    last = np.dtype(f'{dtype.kind}{2 * dtype.itemsize}') if '.wide' in name else dtype
    inputs = [reads(o, d) for o, d in zip(operands[1:], (dtype, dtype, last))]
    return lambda m, lanes: write(m, lanes, multiply_add(name, dtype, *[f(m, lanes) for f in inputs]))


COMPARE = {'eq': np.equal, 'ne': np.not_equal, 'lt': np.less, 'le': np.less_equal, 'gt': np.greater, 'ge': np.greater_equal}


@operation('setp')
def setp(name, operands):
    _, how, *rest = name.split('.')
    dtype, write = kind(rest[-1]), writes(operands[0])
    a, b = reads(operands[1], dtype), reads(operands[2], dtype)
    unordered = how[-1] == 'u' and how[:-1] in COMPARE
    compare = COMPARE[how[:-1] if unordered else how]

    def run(m, lanes):
        x, y = a(m, lanes), b(m, lanes)
        result = compare(x, y)
        if dtype.kind == 'f':
            nan = np.isnan(x) | np.isnan(y)
            result = result | nan if unordered else result & ~nan
        write(m, lanes, result)

    return run


@operation('selp')
def selp(name, operands):
    dtype, write = kind(types_of(name)[-1]), writes(operands[0])
    a, b, p = reads(operands[1], dtype), reads(operands[2], dtype), reads(operands[3], dtype)
    return lambda m, lanes: write(m, lanes, np.where(p(m, lanes), a(m, lanes), b(m, lanes)))


@operation('mov')
def mov(name, operands):
    to, source = operands
    dtype = np.dtype(bool) if name.endswith('.pred') else kind(types_of(name)[-1])
    if to.startswith('{'):
        parts, whole = [writes(o) for o in group(to)], reads(source, dtype)
        each = 8 * dtype.itemsize // len(parts)

        def split(m, lanes):
            value = whole(m, lanes)
            for i, write in enumerate(parts):
                write(m, lanes, (value >> dtype.type(i * each)).astype(f'u{each // 8}'))

        return split
    write = writes(to)
    if source.startswith('{'):
        parts = group(source)
        each = np.dtype(f'u{dtype.itemsize // len(parts)}')
        inputs = [reads(o, each) for o in parts]
        return lambda m, lanes: write(m, lanes, sum(np.asarray(f(m, lanes)).astype(dtype) << dtype.type(8 * each.itemsize * i)
                                                    for i, f in enumerate(inputs)))
    value = reads(source, dtype)
    return lambda m, lanes: write(m, lanes, value(m, lanes))


@operation('cvta')
def cvta(name, operands):
    write, value = writes(operands[0]), reads(operands[1], np.dtype('u8'))
    return lambda m, lanes: write(m, lanes, value(m, lanes))


# ---- conversions -------------------------------------------------------------------------------------------------------


def to_bf16(x):
    """f32 to the bits of bf16, to the nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    near = ((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), near)


def of_bits(x, name):
    """16-bit patterns of f16 or bf16 as f32."""
    x = np.ascontiguousarray(x, np.uint16)
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32) if name == 'bf16' else x.view(np.float16).astype(np.float32)


def to_bits(x, name):
    return to_bf16(x) if name == 'bf16' else np.ascontiguousarray(x, np.float32).astype(np.float16).view(np.uint16)


@operation('cvt')
def cvt(name, operands):
    *how, to, source = name.split('.')[1:]
    write = writes(operands[0])
    if to in ('f16x2', 'bf16x2'):  # the first operand goes to the upper half
        high, low = (reads(o, np.dtype('f4')) for o in operands[1:])
        return lambda m, lanes: write(m, lanes, to_bits(low(m, lanes), to[:-2]).astype(np.uint32) |
                                      to_bits(high(m, lanes), to[:-2]).astype(np.uint32) << np.uint32(16))
    if source in ('f16', 'bf16'):
        value = reads(operands[1], np.dtype('u2'))
        return lambda m, lanes: write(m, lanes, of_bits(value(m, lanes), source))
    value = reads(operands[1], kind(source))
    if to in ('f16', 'bf16'):
        return lambda m, lanes: write(m, lanes, to_bits(value(m, lanes), to))
    steps = {'rmi': np.floor, 'rzi': np.trunc, 'sat': lambda x: np.fmin(np.fmax(x, np.float32(0)), np.float32(1))}
    change = next((steps[h] for h in how if h in steps), lambda x: x)
    return lambda m, lanes: write(m, lanes, np.asarray(change(value(m, lanes))).astype(kind(to)))


# ---- memory ------------------------------------------------------------------------------------------------------------


def access(name):
    """(space, values, width of one)"""
    parts = name.split('.')
    n = next((int(p[1]) for p in parts if p in ('v2', 'v4')), 1)
    return parts[1], n, WIDTH[parts[-1]]


@operation('ld')
def load(name, operands):
    space, n, width = access(name)
    outputs, at = [writes(o) for o in group(operands[0])], address(operands[1])
    signed = name.split('.')[-1][0] == 's'

    def run(m, lanes):
        where, size = at(m, lanes), n * width
        if space == 'global':
            m.reach(lanes)
            raw = m.memory.load(where, size)
        elif space == 'shared':
            raw = gather(m.shared.bytes, m.shared.at(lanes, where, size), size)
        elif space == 'param':
            raw = m.parameters[where[:, None] + np.arange(size)].copy().view(f'u{width}')
        else:
            raise Fault(f'the space {space}')
        raw = np.ascontiguousarray(raw).view(f'{"i" if signed else "u"}{width}').reshape(len(where), n)
        for i, write in enumerate(outputs):
            write(m, lanes, np.ascontiguousarray(raw[:, i]))

    return run


@operation('st')
def store(name, operands):
    space, n, width = access(name)
    at, inputs = address(operands[0]), [reads(o, np.dtype(f'u{width}')) for o in group(operands[1])]

    def run(m, lanes):
        where, size = at(m, lanes), n * width
        values = np.stack([np.broadcast_to(f(m, lanes), len(where)) for f in inputs], 1)
        values = np.ascontiguousarray(values).view(np.uint64 if size == 16 else f'u{size}')
        values = values if size == 16 else values.ravel()
        if space == 'global':
            m.reach(lanes)
            m.memory.store(where, size, values)
        else:
            scatter(m.shared.bytes, m.shared.at(lanes, where, size), size, values)

    return run


@operation('cp')
def cp_async(name, operands):
    if 'commit_group' in name:
        def commit(m, lanes):
            m.committed[lanes] += 1
        return commit
    if 'wait_group' in name:
        most = int(operands[0])

        def wait(m, lanes):
            waiting = np.zeros(m.lanes, bool)
            waiting[lanes] = True
            left = []
            for owner, to, source, size, number in m.copies:
                now = waiting[owner] & (number < m.committed[owner] - most)
                copy(m, to[now], source[now], size[now])
                if not now.all():
                    left.append(tuple(part[~now] for part in (owner, to, source, size, number)))
            m.copies = left
        return wait
    to_at, from_at, size_of = address(operands[0]), address(operands[1]), reads(operands[3], np.dtype('u4'))

    def start(m, lanes):
        m.reach(lanes)
        owner = np.arange(m.lanes)[lanes]
        to = m.shared.at(lanes, to_at(m, lanes), 16)
        size = np.broadcast_to(size_of(m, lanes), len(owner)).astype(int)
        if not np.isin(size, (0, 16)).all():
            raise Fault('a copy of some of 16 bytes')
        if m.early:
            copy(m, to, from_at(m, lanes), size)
        else:
            m.copies.append((owner, to, from_at(m, lanes), size, m.committed[owner].copy()))

    return start


@operation('trap')
def trap(name, operands):
    def run(m, lanes):
        raise Fault('reached')

    return run


@operation('griddepcontrol')
def griddepcontrol(name, operands):
    def run(m, lanes):
        if name.endswith('.wait'):
            m.waited[lanes] = True

    return run


def copy(m, to, source, size):
    whole = size == 16
    values = np.zeros((len(to), 2), np.uint64)
    if whole.any():
        values[whole] = m.memory.load(source[whole], 16)
    scatter(m.shared.bytes, to, 16, values)


# ---- whole warps -------------------------------------------------------------------------------------------------------


@operation('shfl')
def shuffle(name, operands):
    to = operands[0].split('|')
    write, value, other = writes(to[0]), reads(operands[1], np.dtype('u4')), reads(operands[2], np.dtype('u4'))
    clamp, mask = (reads(o, np.dtype('u4')) for o in operands[3:])
    how = name.split('.')[2]

    def run(m, lanes):
        if not (np.all(clamp(m, lanes) == 31) and np.all(mask(m, lanes) == 0xFFFFFFFF)):
            raise Fault('a shuffle within a part of the warp')
        x = value(m, lanes).reshape(-1, 32)
        lane = np.arange(32)
        b = np.broadcast_to(other(m, lanes), x.size).reshape(-1, 32).astype(int)
        source = (lane ^ b) if how == 'bfly' else np.broadcast_to(b, x.shape)
        write(m, lanes, np.take_along_axis(x, source, 1).ravel())

    return run


@operation('vote')
def vote(name, operands):
    if name != 'vote.sync.any.pred':
        raise Fault(f'{name} is not an instruction of this interpreter')
    write, value, mask = writes(operands[0]), reads(operands[1], np.dtype(bool)), reads(operands[2], np.dtype('u4'))

    def run(m, lanes):
        if not np.all(mask(m, lanes) == 0xFFFFFFFF):
            raise Fault('a vote within a part of the warp')
        write(m, lanes, np.repeat(value(m, lanes).reshape(-1, 32).any(1), 32))

    return run


@operation('ldmatrix')
def ldmatrix(name, operands):
    outputs, at, trans = [writes(o) for o in group(operands[0])], address(operands[1]), '.trans.' in name
    n = len(outputs)

    def run(m, lanes):
        where = m.shared.at(lanes, at(m, lanes), 16).reshape(-1, 32)[:, :8 * n]
        rows = gather(m.shared.bytes, where.ravel(), 16).view(np.uint16).reshape(-1, n, 8, 8)
        values = np.ascontiguousarray(fragments.ldmatrix(rows, trans)).view(np.uint32).reshape(-1, n)
        for i, write in enumerate(outputs):
            write(m, lanes, np.ascontiguousarray(values[:, i]))

    return run


@operation('mma')
def mma(name, operands):
    if '.m16n8k16.row.col.f32.' not in name:
        raise Fault(f'{name} is not an instruction of this interpreter')
    half = name.split('.')[-2]
    outputs = [writes(o) for o in group(operands[0])]
    a, b = ([reads(o, np.dtype('u4')) for o in group(operands[i])] for i in (1, 2))
    c = [reads(o, np.dtype('f4')) for o in group(operands[3])]

    def values(m, lanes, registers):
        raw = np.stack([f(m, lanes) for f in registers], 1)
        return of_bits(raw.view(np.uint16), half).reshape(-1, 32, 2 * len(registers))

    def run(m, lanes):
        sums = np.stack([f(m, lanes) for f in c], 1).reshape(-1, 32, 4)
        d = fragments.mma(values(m, lanes, a), values(m, lanes, b), sums).reshape(-1, 4)
        for i, write in enumerate(outputs):
            write(m, lanes, np.ascontiguousarray(d[:, i]))

    return run

