#!/usr/bin/env python3
"""Writes a C file that compiles if, and only if, api.json says what the header does: layout.py
api.json > layout.c"""
import json
import sys

api = json.load(open(sys.argv[1]))
print('#define VDI_INLINE_SYMBOLS\n#include "vdi.h"')
for enum in api["enums"]:
    for value in enum["values"]:
        print('_Static_assert((long long)%s == %d, "value");' % (value["name"], value["value"]))
for struct in api["structs"]:
    for field in struct["fields"]:
        declared = field["type"]
        if "(*)" in declared or declared == "union":
            continue
        size = "*".join(["sizeof(%s)" % declared] + [str(n) for n in field.get("array", [])])
        print(
            '_Static_assert(sizeof(((%s *)0)->%s) == %s, "size");'
            % (struct["name"], field["name"], size)
        )
    # all fields, in their order: nothing stands between the end of one and the next but padding
    names = [field["name"] for field in struct["fields"]]
    for before, after in zip(names, names[1:]):
        print(
            "_Static_assert(offsetof({0}, {2}) - offsetof({0}, {1}) - sizeof((({0} *)0)->{1})"
            ' < _Alignof({0}), "order");'.format(struct["name"], before, after)
        )
for function in api["functions"]:
    parameters = [
        "..." if p["name"] == "..." else p["type"] + (" *" if "array" in p else "")
        for p in function["params"]
    ]
    print(
        "extern %s (*const take_%s)(%s);"
        % (function["returns"], function["name"], ", ".join(parameters) or "void")
    )
    print(
        "%s (*const take_%s)(%s) = %s;"
        % (function["returns"], function["name"], ", ".join(parameters) or "void", function["name"])
    )
