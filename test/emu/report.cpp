/* What was launched and copied, and what was not freed.
 *
 *     EMU_REPORT=1   the counts, at exit
 *     EMU_LEAKS=1    device memory, streams … that a program leaves when it exits with 0 are named, and it exits with 99; the default in
 *                    checked builds
 *
 * A kernel's name comes from the symbol table of the program's own file, which names static functions and needs no option of the linker. */
#include "block.h"
#include "runtime.h"
#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace emu {

totals &counted = *new totals();

namespace {

/* ---- names of kernels -------------------------------------------------------------------------------------------- */

auto &names = *new std::map<const void *, std::string>; /* by address */
std::mutex names_lock;

int first_object(struct dl_phdr_info *info, size_t, void *base) {
    *static_cast<uintptr_t *>(base) = info->dlpi_addr;
    return 1;
}

/* "void ns::kernel<float, 4>(float*, int)" -> "ns::kernel<float, 4>" */
std::string shorten(const char *symbol) {
    int status;
    char *text = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    std::string s = text ? text : symbol;
    free(text);
    if (s.compare(0, 5, "void ") == 0) s.erase(0, 5);
    for (size_t at; (at = s.find("(anonymous namespace)::")) != std::string::npos;) s.erase(at, strlen("(anonymous namespace)::"));
    int depth = 0;
    for (size_t i = 0; i < s.size(); i++) {
        depth += (s[i] == '<') - (s[i] == '>');
        if (s[i] == '(' && !depth) return s.substr(0, i);
    }
    return s;
}

void read_symbols(const char *file, uintptr_t base) {
    const ElfW(Ehdr) *head = reinterpret_cast<const ElfW(Ehdr) *>(file);
    const ElfW(Shdr) *sections = reinterpret_cast<const ElfW(Shdr) *>(file + head->e_shoff);
    for (int i = 0; i < head->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        const ElfW(Sym) *symbols = reinterpret_cast<const ElfW(Sym) *>(file + sections[i].sh_offset);
        const char *strings = file + sections[sections[i].sh_link].sh_offset;
        for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++)
            if (ELF64_ST_TYPE(symbols[k].st_info) == STT_FUNC)
                names.emplace(reinterpret_cast<const void *>(base + symbols[k].st_value), strings + symbols[k].st_name);
    }
}

void read_program() {
    uintptr_t base = 0;
    dl_iterate_phdr(first_object, &base);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return;
    void *file = mmap(nullptr, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED) return;
    read_symbols(static_cast<const char *>(file), base);
    munmap(file, (size_t)st.st_size);
}

} // namespace

const char *kernel_name(const void *kernel) {
    static auto &asked = *new std::map<const void *, std::string>;
    std::lock_guard<std::mutex> hold(names_lock);
    if (names.empty()) read_program();
    auto at = names.find(kernel);
    if (at == names.end()) return "a kernel";
    std::string &name = asked[kernel];
    if (name.empty()) name = shorten(at->second.c_str());
    return name.c_str();
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

void count(const op &o) {
    switch (o.kind) {
    case KERNEL: counted.kernels[o.config.kernel]++; break;
    case HOST: counted.gemms++; break;
    case COPY:
        counted.copies[o.value]++;
        counted.copy_bytes[o.value] += o.bytes;
        break;
    case SET: counted.sets++; break;
    case GRAPH:
        counted.graphs++;
        counted.graph_nodes += o.graph->size();
        for (const op &node : *o.graph) count(node);
        break;
    default: break;
    }
}

static void print_copies(FILE *out) {
    static const char *const direction[] = {"host to host", "host to device", "device to host", "device to device"};
    for (int i = 0; i < 4; i++)
        if (counted.copies[i])
            fprintf(out, "emu: %llu copies %s, %llu bytes\n", (unsigned long long)counted.copies[i], direction[i],
                    (unsigned long long)counted.copy_bytes[i]);
}

void report(FILE *out) {
    locked hold(lock);
    uint64_t launches = 0;
    for (auto &k : counted.kernels) {
        fprintf(out, "emu: %8llu  %s\n", (unsigned long long)k.second, kernel_name(k.first));
        launches += k.second;
    }
    fprintf(out, "emu: %llu launches of kernels, %llu GEMMs, %llu memsets\n", (unsigned long long)launches,
            (unsigned long long)counted.gemms, (unsigned long long)counted.sets);
    print_copies(out);
    if (counted.graphs)
        fprintf(out, "emu: %llu launches of graphs, %llu nodes\n", (unsigned long long)counted.graphs,
                (unsigned long long)counted.graph_nodes);
}

static bool print_leaks() {
    const struct {
        const char *what;
        long n;
    } left[] = {{"blocks of device memory", counted.blocks},
                {"blocks of pinned memory", counted.pinned},
                {"streams", counted.streams},
                {"events", counted.events},
                {"graphs", counted.graphs_alive},
                {"instantiated graphs", counted.execs}};
    bool any = false;
    for (auto &l : left)
        if (l.n) any = true, fprintf(stderr, "emu: leak: %ld %s not freed\n", l.n, l.what);
    return any;
}

static void at_exit(int status, void *) {
    if (option("EMU_REPORT", 0)) report(stderr);
    if (status || !option("EMU_LEAKS", checked) || !print_leaks()) return;
    fflush(nullptr);
    _exit(99);
}
static const int watch_exit = on_exit(at_exit, nullptr);

} // namespace emu
