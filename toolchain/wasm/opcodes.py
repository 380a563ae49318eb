"""The one table of WebAssembly's instructions: a name for each opcode that the toolchain reads or writes.

The names are the text format's, in capitals: `i32.add` is `I32_ADD`. Whoever reads code compares with these (`instructions.py`), and
whoever writes code writes them (`code.py`). The cold tier's C gets its own from here too (`tier/contract.py`).
"""

from __future__ import annotations

UNREACHABLE, NOP, BLOCK, LOOP, IF, ELSE = range(6)
END, BR, BR_IF, BR_TABLE, RETURN, CALL, CALL_INDIRECT = range(0x0B, 0x12)
DROP, SELECT, SELECT_TYPED = range(0x1A, 0x1D)
LOCAL_GET, LOCAL_SET, LOCAL_TEE, GLOBAL_GET, GLOBAL_SET = range(0x20, 0x25)

I32_LOAD, I64_LOAD, F32_LOAD, F64_LOAD = range(0x28, 0x2C)
I32_LOAD8_S, I32_LOAD8_U, I32_LOAD16_S, I32_LOAD16_U = range(0x2C, 0x30)
I64_LOAD8_S, I64_LOAD8_U, I64_LOAD16_S, I64_LOAD16_U, I64_LOAD32_S, I64_LOAD32_U = range(0x30, 0x36)
I32_STORE, I64_STORE, F32_STORE, F64_STORE = range(0x36, 0x3A)
I32_STORE8, I32_STORE16, I64_STORE8, I64_STORE16, I64_STORE32 = range(0x3A, 0x3F)
MEMORY_SIZE, MEMORY_GROW = range(0x3F, 0x41)
I32_CONST, I64_CONST, F32_CONST, F64_CONST = range(0x41, 0x45)

I32_EQZ, I32_EQ, I32_NE = range(0x45, 0x48)
I32_LT_S, I32_LT_U, I32_GT_S, I32_GT_U, I32_LE_S, I32_LE_U, I32_GE_S, I32_GE_U = range(0x48, 0x50)
I64_EQZ, I64_EQ, I64_NE = range(0x50, 0x53)
I64_LT_S, I64_LT_U, I64_GT_S, I64_GT_U, I64_LE_S, I64_LE_U, I64_GE_S, I64_GE_U = range(0x53, 0x5B)
F32_EQ, F32_NE, F32_LT, F32_GT, F32_LE, F32_GE = range(0x5B, 0x61)
F64_EQ, F64_NE, F64_LT, F64_GT, F64_LE, F64_GE = range(0x61, 0x67)

I32_CLZ, I32_CTZ, I32_POPCNT = range(0x67, 0x6A)
I32_ADD, I32_SUB, I32_MUL, I32_DIV_S, I32_DIV_U, I32_REM_S, I32_REM_U = range(0x6A, 0x71)
I32_AND, I32_OR, I32_XOR, I32_SHL, I32_SHR_S, I32_SHR_U, I32_ROTL, I32_ROTR = range(0x71, 0x79)
I64_CLZ, I64_CTZ, I64_POPCNT = range(0x79, 0x7C)
I64_ADD, I64_SUB, I64_MUL, I64_DIV_S, I64_DIV_U, I64_REM_S, I64_REM_U = range(0x7C, 0x83)
I64_AND, I64_OR, I64_XOR, I64_SHL, I64_SHR_S, I64_SHR_U, I64_ROTL, I64_ROTR = range(0x83, 0x8B)
F32_ABS, F32_NEG, F32_CEIL, F32_FLOOR, F32_TRUNC, F32_NEAREST, F32_SQRT = range(0x8B, 0x92)
F32_ADD, F32_SUB, F32_MUL, F32_DIV, F32_MIN, F32_MAX, F32_COPYSIGN = range(0x92, 0x99)
F64_ABS, F64_NEG, F64_CEIL, F64_FLOOR, F64_TRUNC, F64_NEAREST, F64_SQRT = range(0x99, 0xA0)
F64_ADD, F64_SUB, F64_MUL, F64_DIV, F64_MIN, F64_MAX, F64_COPYSIGN = range(0xA0, 0xA7)

I32_WRAP_I64, I32_TRUNC_F32_S, I32_TRUNC_F32_U, I32_TRUNC_F64_S, I32_TRUNC_F64_U = range(0xA7, 0xAC)
I64_EXTEND_I32_S, I64_EXTEND_I32_U = range(0xAC, 0xAE)
I64_TRUNC_F32_S, I64_TRUNC_F32_U, I64_TRUNC_F64_S, I64_TRUNC_F64_U = range(0xAE, 0xB2)
F32_CONVERT_I32_S, F32_CONVERT_I32_U, F32_CONVERT_I64_S, F32_CONVERT_I64_U, F32_DEMOTE_F64 = range(0xB2, 0xB7)
F64_CONVERT_I32_S, F64_CONVERT_I32_U, F64_CONVERT_I64_S, F64_CONVERT_I64_U, F64_PROMOTE_F32 = range(0xB7, 0xBC)
I32_REINTERPRET_F32, I64_REINTERPRET_F64, F32_REINTERPRET_I32, F64_REINTERPRET_I64 = range(0xBC, 0xC0)
I32_EXTEND8_S, I32_EXTEND16_S, I64_EXTEND8_S, I64_EXTEND16_S, I64_EXTEND32_S = range(0xC0, 0xC5)

REF_NULL, REF_IS_NULL, REF_FUNC = range(0xD0, 0xD3)

# A prefix and a second number: here such an opcode is 0xFC00 plus that number.
I32_TRUNC_SAT_F32_S, I32_TRUNC_SAT_F32_U, I32_TRUNC_SAT_F64_S, I32_TRUNC_SAT_F64_U = range(0xFC00, 0xFC04)
I64_TRUNC_SAT_F32_S, I64_TRUNC_SAT_F32_U, I64_TRUNC_SAT_F64_S, I64_TRUNC_SAT_F64_U = range(0xFC04, 0xFC08)
MEMORY_INIT, DATA_DROP, MEMORY_COPY, MEMORY_FILL = range(0xFC08, 0xFC0C)

NAMES: dict[int, str] = {value: name for name, value in list(globals().items()) if isinstance(value, int)}
"""The names by opcode: all numbers above."""

PREFIX = 0xFC
"""The byte that comes before the second number of an opcode from 0xFC00 on."""

OTHER_MEMORY = 0x40
"""This bit of a load's or store's alignment says that a memory's index follows; without it, it is the first memory's."""

LOADS, STORES = range(I32_LOAD, I64_LOAD32_U + 1), range(I32_STORE, I64_STORE32 + 1)
TRUNCATE_SATURATED = range(I32_TRUNC_SAT_F32_S, I64_TRUNC_SAT_F64_U + 1)

UNARY = {I32_EQZ, I64_EQZ, *range(I32_CLZ, I32_POPCNT + 1), *range(I64_CLZ, I64_POPCNT + 1)}
UNARY |= {*range(F32_ABS, F32_SQRT + 1), *range(F64_ABS, F64_SQRT + 1), *range(I32_WRAP_I64, I64_EXTEND32_S + 1)}
"""What makes a number of one operand, but for the saturating truncations."""

BINARY = set(range(I32_EQZ, I32_WRAP_I64)) - UNARY
"""What makes a number of two operands."""
