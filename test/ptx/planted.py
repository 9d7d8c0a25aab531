"""Mistakes in the PTX that check.py must see: (what, kernel's file, which entry, pattern, what stands there instead)."""
import re

PLANTED = (
    ("A's second and third register change places", 'gemm', 'halfLi64ELi64E', r'(mma\S+\s+\{[^}]*\}, \{%\w+, ?)(%\w+, ?)(%\w+, ?)', r'\1\3\2'),
    ("B's registers change places", 'gemm', 'halfLi64ELi64E', r'(mma\S+\s+\{[^}]*\}, \{[^}]*\}, \{)(%\w+), ?(%\w+)\}', r'\1\3,\2}'),
    ('a sum goes to another row', 'gemm', 'halfLi64ELi64E', r'(mma\S+\s+\{)(%\w+, ?)(%\w+, ?)(%\w+, ?)', r'\1\4\3\2'),
    ('a wait for one group less', 'gemm', 'halfLi64ELi64E', r'wait_group 2', 'wait_group 3'),
    ('splits do not wait for each other', 'gemm', 'halfLi64ELi64E', r'barrier\.cluster\.wait\.acquire;', ''),
    ('a split that does not arrive', 'gemm', 'halfLi64ELi64E', r'barrier\.cluster\.arrive\.release;', ''),
    ('no copy is waited for', 'attention_flash', 'Li40ELi1E', r'wait_group 0', 'wait_group 1'),
    ('values are not transposed', 'attention_flash', 'Li40ELi1E', r'\.trans\.shared', '.shared'),
    ('the largest of a pair, not of a quad', 'attention_flash', 'Li40ELi1E', r'(mov\.\w32\s+%\w+), 2;', r'\1, 1;'),
    ('the power of two is half of it', 'attention_flash_polynomial_5', 'Li40ELi1E', r'(shl\.b32\s+%\w+, %\w+, )23;', r'\g<1>22;'),
    ('a polynomial of whatever lies below', 'attention_flash_polynomial_5', 'Li40ELi1E', r'max\.NaN\.f32', 'min.f32'),
    ('taps change places', 'conv2d_first', 'firstI', r'(mma\S+\s+\{%\w+, ?%\w+, ?%\w+, ?%\w+\}, \{%\w+, ?%\w+, ?)(%\w+), ?(%\w+)\}', r'\1\3, \2}'),
    ('the kernel before is not waited for', 'layer_norm', 'rowsI6__halfLi2E', r'griddepcontrol\.wait;', ''),
    ('16 bytes at an odd place', 'layer_norm', 'rowsI6__halfLi2E', r'(st\.global\.cg\.v4\.u32\s+\[%\w+)', r'\1+8'),
)


def plant(texts, name, file, entry, pattern, new):
    """The module's text of `file` with the mistake in that entry (f16)."""
    text = texts[file]
    start = next(m.start() for m in re.finditer(r'\.entry \S+', text) if re.search(entry, m.group()) and '6__half' in m.group())
    end = text.index('\n}\n', start)
    changed, count = re.subn(pattern, new, text[start:end])
    if not count:
        raise SystemExit(f'FAIL {name}: nothing to plant it in')
    return text[:start] + changed + text[end:]
