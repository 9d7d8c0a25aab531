/* Device memory of limited size, pinned memory, copies.
 *
 * A block of device memory ends before a page that cannot be touched, and, with EMU_PROTECT=1 or in a checked build, the host cannot reach
 * device memory at all, as on a real machine: it is accessible only while an operation runs. */
#include "runtime.h"
#include <algorithm>
#include <sys/mman.h>

namespace emu {
namespace {

constexpr size_t page = 4096, alignment = 256;

struct mapping {
    char *base; /* pages the block lies in, without the guards around them */
    size_t pages_bytes, bytes;
};
/* By address. Never destroyed: streams may outlive main. */
auto &device_blocks = *new std::map<uintptr_t, mapping>;
auto &pinned_blocks = *new std::map<uintptr_t, size_t>;
size_t device_bytes;

const bool protect = option("EMU_PROTECT", checked) != 0;

size_t size_of(size_t bytes) {
    return bytes;
}
size_t size_of(const mapping &m) {
    return m.bytes;
}

/* Whether one block holds all of [p, p+bytes). */
template <class Blocks> bool inside(const Blocks &blocks, const void *p, size_t bytes) {
    auto next = blocks.upper_bound((uintptr_t)p);
    if (next == blocks.begin()) return false;
    --next;
    size_t offset = (uintptr_t)p - next->first, size = size_of(next->second);
    return offset < size && bytes <= size - offset;
}

size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

void set_access(int access) {
    for (auto &b : device_blocks) mprotect(b.second.base, b.second.pages_bytes, access);
}

/* At the end of its pages, so that what lies behind it cannot be touched. Filled with NaN. */
void *map_device(size_t bytes) {
    mapping m = {nullptr, round_up(bytes, page), bytes};
    void *p = mmap(nullptr, m.pages_bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    m.base = static_cast<char *>(p) + page;
    if (mprotect(m.base, m.pages_bytes, PROT_READ | PROT_WRITE)) return nullptr;
    char *block = m.base + m.pages_bytes - round_up(bytes, alignment);
    ASAN_UNPOISON_MEMORY_REGION(m.base, m.pages_bytes); /* a stack that lay here may have left its red zones */
    if (!skip) memset(block, 0xff, bytes);
    ASAN_POISON_MEMORY_REGION(m.base, m.pages_bytes);
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    if (protect) mprotect(m.base, m.pages_bytes, PROT_NONE);
    device_blocks[(uintptr_t)block] = m;
    return block;
}

void unmap_device(const mapping &m) {
    ASAN_UNPOISON_MEMORY_REGION(m.base, m.pages_bytes);
    munmap(m.base - page, m.pages_bytes + 2 * page);
}

} // namespace

device_access::device_access() {
    if (protect) set_access(PROT_READ | PROT_WRITE);
}
device_access::~device_access() {
    if (protect) set_access(PROT_NONE);
}
device_closed::device_closed() {
    set_access(PROT_NONE);
}
device_closed::~device_closed() {
    set_access(PROT_READ | PROT_WRITE);
}

bool inside_device(const void *p, size_t bytes) {
    return inside(device_blocks, p, bytes);
}
bool inside_pinned(const void *p, size_t bytes) {
    return inside(pinned_blocks, p, bytes);
}

} // namespace emu

using namespace emu;

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    locked hold(lock);
    *total = total_memory();
    *free_bytes = *total - std::min(*total, device_bytes);
    return check_device(0);
}

cudaError_t cudaMalloc(void **p, size_t bytes) {
    locked hold(lock);
    cudaError_t e = unsafe_call();
    if (e || (e = check_device(0))) return e;
    *p = nullptr;
    if (!bytes) return cudaSuccess;
    if (bytes > total_memory() - std::min(total_memory(), device_bytes)) return fail(cudaErrorMemoryAllocation);
    *p = map_device(bytes);
    if (!*p) return fail(cudaErrorMemoryAllocation);
    device_bytes += bytes;
    counted.blocks++;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p) {
    locked hold(lock);
    if (!p) return cudaSuccess;
    cudaError_t e = unsafe_call();
    if (e) return e;
    auto at = device_blocks.find((uintptr_t)p);
    if (at == device_blocks.end()) return fail(cudaErrorInvalidValue);
    run_everything();
    device_bytes -= at->second.bytes;
    unmap_device(at->second);
    device_blocks.erase(at);
    counted.blocks--;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes) {
    locked hold(lock);
    cudaError_t e = unsafe_call();
    if (e || (e = check_device(0))) return e;
    *p = nullptr;
    if (!bytes) return cudaSuccess;
    if (posix_memalign(p, alignment, bytes)) return fail(cudaErrorMemoryAllocation);
    pinned_blocks[(uintptr_t)*p] = bytes;
    counted.pinned++;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p) {
    locked hold(lock);
    if (!p) return cudaSuccess;
    cudaError_t e = unsafe_call();
    if (e) return e;
    auto at = pinned_blocks.find((uintptr_t)p);
    if (at == pinned_blocks.end()) return fail(cudaErrorInvalidValue);
    run_everything();
    pinned_blocks.erase(at);
    free(p);
    counted.pinned--;
    return cudaSuccess;
}

/* A copy to pageable memory returns when that has been written. All else is read and written when the stream comes to it; pageable memory
 * too, which a GPU that shares the host's page tables (GH200) need not have read by then: the manual promises nothing. */
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream) {
    locked hold(lock);
    emu_stream *s = stream_of(stream);
    if (!bytes) return cudaSuccess;
    bool from = inside_device(src, bytes), to = inside_device(dst, bytes);
    if (kind == cudaMemcpyDefault)
        kind = from ? to ? cudaMemcpyDeviceToDevice : cudaMemcpyDeviceToHost : to ? cudaMemcpyHostToDevice : cudaMemcpyHostToHost;
    if (from != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) ||
        to != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice))
        return fail(cudaErrorInvalidValue);
    bool pageable = !from && !inside_pinned(src, bytes), written_now = !to && !inside_pinned(dst, bytes);
    if (s->capture && (pageable || written_now)) return invalidate(s, cudaErrorStreamCaptureUnsupported);
    op o = {};
    o.kind = COPY;
    o.dst = dst;
    o.src = src;
    o.bytes = bytes;
    o.value = kind;
    push(s, std::move(o));
    if (!written_now) return cudaSuccess;
    run_all(s);
    acquire(&s->done_sync);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind) {
    cudaError_t e = cudaMemcpyAsync(dst, src, bytes, kind, nullptr);
    return e ? e : cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    locked hold(lock);
    if (!bytes) return cudaSuccess;
    if (!inside_device(p, bytes)) return fail(cudaErrorInvalidValue);
    op o = {};
    o.kind = SET;
    o.dst = p;
    o.value = value;
    o.bytes = bytes;
    push(stream_of(stream), std::move(o));
    return cudaSuccess;
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    return cudaMemsetAsync(p, value, bytes, nullptr);
}
