/* A kernel's name, for messages and reports: from the symbol table of the program's own file, which names static functions and needs no
 * option of the linker. */
#include "block.h"
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
namespace {

std::map<const void *, std::string> names; /* by address */
std::mutex lock;

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
    static std::map<const void *, std::string> asked;
    std::lock_guard<std::mutex> hold(lock);
    if (names.empty()) read_program();
    auto at = names.find(kernel);
    if (at == names.end()) return "a kernel";
    std::string &name = asked[kernel];
    if (name.empty()) name = shorten(at->second.c_str());
    return name.c_str();
}

} // namespace emu
