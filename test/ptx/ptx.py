"""An interpreter of the PTX that nvcc writes for this project's kernels: what it does not know, it refuses.

All threads of a launch are lanes of numpy arrays. The lanes that stand at the earliest basic block run it together; a block that holds an
instruction of whole warps waits for the warp, a barrier for its threads. Shared memory begins as NaN, every access is checked for bounds
and alignment, and copies by cp.async come as late as their wait allows, or at once (`early`). From sm_90 on
a kernel may begin while the one before it ends: no thread reaches global memory before it has waited for that, nor by a way that takes memory
to be the same from the kernel's beginning on (ld.global.nc)."""
import re

import numpy as np

from memory import Fault, Global, Shared
from operations import COLLECTIVE, OPERATIONS, WIDTH

STATEMENT = re.compile(r'(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*)$', re.S)
CLUSTER_ARRIVE, CLUSTER_WAIT = 'barrier.cluster.arrive.release', 'barrier.cluster.wait.acquire'
FREE, AT_BLOCK, AT_CLUSTER = range(3)
OPERAND = re.compile(r'\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*')


def entries(text):
    """(name, parameters, body) of each kernel."""
    for found in re.finditer(r'\.entry\s+(\S+?)\(\n?(.*?)\)\s*\n(.*?)\n\}\n', text + '\n', re.S):
        yield found.groups()


class Kernel:
    """Basic blocks of one entry. Its parameters lie in one space, in order, as the ABI aligns them."""

    def __init__(self, name, parameters, body, module):
        self.name, self.symbols, self.size = name, {}, 0
        for align, kind, symbol, _, count in re.findall(r'\.param (?:\.align (\d+) )?\.(\w+) (\w+)(\[(\d+)\])?', parameters):
            width = int(count) if count else WIDTH[kind]
            alignment = int(align) if align else width
            self.size = -(-self.size // alignment) * alignment
            self.symbols[symbol] = self.size
            self.size += width
        self.threads = int(re.search(r'\.maxntid (\d+)', body).group(1))
        self.static = 0
        for align, symbol, count in re.findall(r'\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\]', body):
            self.static = -(-self.static // int(align)) * int(align)
            self.symbols[symbol] = self.static
            self.static += int(count)
        for align, symbol in re.findall(r'\.extern \.shared \.align (\d+) \.b8 (\w+)\[\]', module):
            self.dynamic = -(-self.static // int(align)) * int(align)
            self.symbols[symbol] = self.dynamic
        self.overlaps = int(re.search(r'\.target sm_(\d+)', module).group(1)) >= 90
        if self.overlaps and 'ld.global.nc' in body:
            raise Fault(f'{name}: reads memory as if it never changed')
        self._parse(body)

    def _parse(self, body):
        body = body[body.index('{') + 1:]
        body = re.sub(r'//[^\n]*', '', body)
        body = re.sub(r'(\$\w+):', r'LABEL \1;', body)
        self.blocks, labels, current = [], {}, []

        def close():
            nonlocal current
            if current:
                self.blocks.append(current)
                current = []

        for statement in body.split(';'):
            statement = statement.strip()
            while statement[:1] in ('{', '}'):
                statement = statement[1:].strip()
            if not statement or statement.startswith('.'):
                continue
            if statement.startswith('LABEL '):
                close()
                labels[statement[6:]] = len(self.blocks)
                continue
            found = STATEMENT.match(statement)
            if not found:
                raise Fault(f'{self.name}: "{statement}" is not understood')
            negated, predicate, name, rest = found.groups()
            operands = [o.strip() for o in OPERAND.findall(rest)]
            if name in ('bar.sync', 'bar.warp.sync', 'barrier.sync', CLUSTER_WAIT):
                close()
            current.append((name, predicate, bool(negated), operands))
            if name.split('.')[0] in ('bra', 'ret', 'bar') or name == CLUSTER_WAIT:
                close()
        close()
        self.blocks.append([('ret', None, False, [])])
        self.labels = labels
        self.collective = [any(name.startswith(COLLECTIVE) for name, *_ in block) for block in self.blocks]
        for block in self.blocks:
            for i, (name, predicate, negated, operands) in enumerate(block):
                head = name.split('.')[0]
                if head in ('bra', 'ret', 'bar') or name in (CLUSTER_ARRIVE, CLUSTER_WAIT):
                    continue
                if head not in OPERATIONS:
                    raise Fault(f'{self.name}: {name} is not an instruction of this interpreter')
                if predicate and name.startswith(COLLECTIVE):
                    raise Fault(f'{self.name}: {name} for some lanes of a warp')
                block[i] = (OPERATIONS[head](name, operands), predicate, negated, (name, operands))


class Launch:
    """One launch, run to its end by run(). What an operation sees: registers, memories, the lanes' coordinates."""

    def __init__(self, kernel, memory: Global, grid, parameters: bytes, dynamic=0, early=False, cluster=1):
        if len(parameters) != kernel.size:
            raise Fault(f'{kernel.name} takes {kernel.size} bytes of parameters, not {len(parameters)}')
        self.kernel, self.memory, self.early = kernel, memory, early
        grid = tuple(grid) + (1,) * (3 - len(grid))
        self.n_blocks, threads = grid[0] * grid[1] * grid[2], kernel.threads
        self.lanes = self.n_blocks * threads
        lane = np.arange(self.lanes)
        self.cta = lane // threads
        x, y, z = self.cta % grid[0], self.cta // grid[0] % grid[1], self.cta // (grid[0] * grid[1])
        self.cluster = x + grid[0] * (y // cluster + grid[1] * z)
        self.arrived = np.zeros(self.lanes, bool)  # at the cluster's barrier
        zero = np.zeros(self.lanes, np.uint32)
        self.special = {'%tid.x': lane % threads, '%ctaid.x': self.cta % grid[0], '%ctaid.y': self.cta // grid[0] % grid[1],
                        '%ctaid.z': self.cta // grid[0] // grid[1], '%ntid.x': zero + threads, '%nctaid.x': zero + grid[0],
                        '%nctaid.y': zero + grid[1], '%tid.y': zero, '%tid.z': zero, '%laneid': lane % 32}
        self.special = {name: value.astype(np.uint32) for name, value in self.special.items()}
        base = getattr(kernel, 'dynamic', kernel.static)
        self.shared = Shared(self.n_blocks, base + dynamic, self.cta)
        self.parameters = np.frombuffer(parameters + b'\0' * 16, np.uint8)
        self.registers, self.symbols = {}, kernel.symbols
        self.committed = np.zeros(self.lanes, int)
        self.waited = np.full(self.lanes, not kernel.overlaps)
        self.copies = []  # of cp.async, under way

    def reach(self, lanes):
        if not self.waited[lanes].all():
            raise Fault('reaches global memory before it waits for the kernel before')

    def run(self):
        threads, blocks = self.kernel.threads, self.kernel.blocks
        at, done = np.zeros(self.lanes, int), np.zeros(self.lanes, bool)
        waits = np.zeros(self.lanes, np.uint8)  # at a barrier of the block or the cluster, which it stands behind already
        with np.errstate(all='ignore'):
            while not done.all():
                run = None
                ready = ~done & (waits == FREE)
                for target in np.unique(at[ready]):
                    lanes = ready & (at == target)
                    if self.kernel.collective[target]:  # whole warps, less the lanes that are gone
                        lanes &= np.repeat((lanes | done).reshape(-1, 32).all(1), 32)
                    if lanes.any():
                        run = np.flatnonzero(lanes)
                        break
                if run is None:
                    self._release(at, done, waits, threads)
                    continue
                self._block(blocks[target], target, run if len(run) < self.lanes else slice(None), at, done, waits)
        if not self.waited.all():
            raise Fault(f'{self.kernel.name}: ends without a wait for the kernel before')
        if self.copies:
            raise Fault(f'{self.kernel.name}: ends while copies are under way')
        if self.arrived.any():
            raise Fault(f'{self.kernel.name}: arrives at the cluster\'s barrier and does not wait there')

    def _release(self, at, done, waits, threads):
        released = False
        groups = [(AT_BLOCK, slice(first, first + threads)) for first in range(0, self.lanes, threads)]
        groups += [(AT_CLUSTER, np.flatnonzero(self.cluster == c)) for c in np.unique(self.cluster[waits == AT_CLUSTER])]
        for barrier, group in groups:
            stand = waits[group] == barrier
            if not stand.any() or not (stand | done[group]).all() or len(np.unique(at[group][stand])) != 1:
                continue
            waits[group] = FREE
            released = True
        if not released:
            raise Fault(f'{self.kernel.name}: threads wait for each other for ever')

    def _block(self, block, index, lanes, at, done, waits):
        at[lanes] = index + 1
        for operation, predicate, negated, what in block:
            chosen = lanes
            if predicate:
                value = self.registers[predicate][lanes] ^ negated
                chosen = (np.arange(self.lanes)[lanes])[value]
                if not len(chosen):
                    continue
            if callable(operation):
                try:
                    operation(self, chosen)
                except Fault as fault:
                    raise Fault(f'{self.kernel.name}: {what[0]} {", ".join(what[1])}: {fault}') from None
            elif operation.startswith('bra'):
                at[chosen] = self.kernel.labels[what[0]]
            elif operation == 'ret':
                done[chosen] = True
            elif operation == 'bar.sync':
                waits[chosen] = AT_BLOCK
            elif operation == CLUSTER_ARRIVE:
                self.arrived[chosen] = True
            elif operation == CLUSTER_WAIT:
                if not self.arrived[chosen].all():
                    raise Fault(f'{self.kernel.name}: waits at the cluster\'s barrier where it has not arrived')
                self.arrived[chosen] = False
                waits[chosen] = AT_CLUSTER
