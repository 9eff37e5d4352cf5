"""Texts and JSON values that break programs which trust a file: extremes, other types, commands, invalid UTF-8."""

from __future__ import annotations

#: As they stand in JSON, each a value of another type or at the end of a range. Some are not valid JSON.
JSON_VALUES: tuple[bytes, ...] = (
    b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"2", b"3", b"7", b"127", b"128", b"-128", b"-129", b"255",
    b"256", b"32767", b"-32768", b"65536", b"2147483647", b"2147483648", b"-2147483649", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1" + b"0" * 40,
    b"9" * 5000, b"0.0", b"-0.0", b"0.5", b"1e-45", b"1e-320", b"1.5", b"1e38", b"1e308", b"1e309", b"-1e309",
    b"1e" + b"9" * 30, b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"Infinity"', b'"-Infinity"', b'""', b'"x"',
    b"[]", b"{}", b"[[]]", b"[null]", b"[{}]", b'{"":null}', b'{"as_int":0}', b'{"as_none":true}', b'{"as_none":false}',
    b'{"as_int":1,"as_int":2}', b'{"as_float":"NaN"}', b'{"as_float":1e-320}', b'{"as_tensor":{"name":"x"}}',
    b'{"as_tensors":[]}', b'{"as_ints":[]}', b'{"as_string":"x"}', b'{"as_expr":{"expr_str":"s0"}}',
    b'{"as_name":"s0"}', b'{"as_sym_int":{"as_name":"s0"}}', b'{"as_sym_int":{"as_int":3}}', b'{"as_device":{}}',
    b'{"as_graph":{"name":"g","graph":{"inputs":[],"outputs":[],"nodes":[],"tensor_values":{}}}}',
    b'{"as_optional_tensors":[{"as_none":true}]}', b'{"as_complex":{"real":1,"imag":"NaN"}}', b'{"as_operator":"x"}',
    b'{"as_string_to_argument":{"a":{"as_int":1}}}', b'{"as_nested_tensors":[[]]}', b'{"as_custom_obj":{"name":"x"}}',
    b"", b"+1", b"01", b"1.", b".5", b"tru", b"'x'", b"[", b"]", b"{", b"}", b"[,]", b"//", b"\x00", b"\xef\xbb\xbf0",
)  # fmt: skip

#: The inside of a JSON string: what a report must not hand on, and names that mean something to a reader.
TEXTS: tuple[bytes, ...] = (
    b"", b" ", b"x", b"x_1", b"getitem", b"output", b"relu", b"a.b", b"../../etc/passwd", b"/", b".", b"..", b"%s%n",
    b"::set-output name=verdict::clean", b"  ::error::x", b"##vso[task.setvariable variable=x]y", b"##[error]x",
    b"##teamcity[buildStatus text='x']", b"section_start:1:x\\r", b"\\u001b[2J\\u001b[31mred", b"\\u009b31m",
    b"\\u202eright to left", b"\\u2066x\\u2069", b"\\u0000", b"a\\u0000b", b"\\r\\n::warning::x", b"\\n##vso[x]",
    b"\\u2028", b"\\ud800", b"\\udfff\\ud800", b"\\ud83d\\ude00", b"<b>&amp;</b>", b"]]>", b"`x`|x", b"{0.__class__}",
    b"%(x)s", b"$(id)", b"torch.ops.aten.add.Tensor", b"torch.ops.aten.relu.default", b"torch.ops.aten.cat.default",
    b"torch.ops.aten.conv2d.default", b"torch.ops.aten.relu_.default", b"torch.ops.aten.copy_.default",
    b"torch.ops.aten.view.default", b"torch.ops.aten.index_put_.default", b"torch.ops.aten.split.Tensor",
    b"torch.ops.quantized_decomposed.quantize_per_tensor.default",
    b"torch.ops.quantized_decomposed.dequantize_per_tensor.default",
    b"torch.ops.quantized_decomposed.quantize_per_channel.default",
    b"torch.ops.quantized_decomposed.dequantize_per_channel.default",
    b"torch.ops.higher_order.cond", b"torch.ops.higher_order.while_loop", b"torch.ops.higher_order.scan",
    b"torch.ops.higher_order.executorch_call_delegate", b"torch.ops.a.b.c.d", b"_operator.add", b"math.ceil",
    b"executorch.exir.dialects.edge._ops.aten.add.Tensor", b"TosaBackend", b"EthosUBackend", b"VgfBackend",
    b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x00b", b"\x1b[2J", b"\\x", b"\\",
    b"\\u12", b"x" * 300, b"x" * 1100, b"\\u0007" * 40, "\u00e9\u0301".encode(), "\u202e".encode(),
    "\U0001f600".encode(),
)  # fmt: skip

#: Names of records that a reader, torch or an unpacking program may take for something.
RECORDS: tuple[bytes, ...] = (
    b"", b"/", b"..", b"../x", b"/etc/passwd", b"C:\\x", b"archive/", b"archive", b"archive/models/model.json",
    b"archive/models/MODEL.json", b"archive/models/other.json", b"archive/models/x", b"archive/models/.json",
    b"archive/models/a/b.json", b"archive/data.pkl", b"data.pkl", b"archive/data/aotinductor/m/x.so",
    b"archive/data/weights/model.pt", b"archive/data/constants/model.pt", b"archive/data/weights/weight_0",
    b"archive/data/weights/model_weights_config.json", b"archive/data/constants/custom_obj_0", b"archive/byteorder",
    b"archive/data/sample_inputs/model.pt", b"archive/.data/version", b"other/models/model.json", b"models/model.json",
    b"ETRECORD_V0", b"exported_program", b"exported_program_state_dict", b"edge_dialect_exported_program/forward",
    b"edge_dialect_exported_program/forward_constants", b"graph_module/x", b"reference_outputs",
    b"representative_inputs", b"debug_handle_map", b"serialized_exported_program.json", b"serialized_state_dict.pt",
    b"serialized_state_dict.json", b"serialized_constants.pt", b"serialized_example_inputs.pt", b"version", b"a\x00b",
    b"archive/models/model.json\x00x", b"\xff\xfe", "archive/\u202e".encode(), b"archive/\x1b[31m", b"x" * 511,
    b"archive/" + b"x" * 600, b"archive/models/::error::x.json", b"archive\\models\\model.json", b"./archive/x",
)  # fmt: skip

#: Files of other kinds, by their first bytes.
HEADS: tuple[bytes, ...] = (
    b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"PK\x01\x02", b"\x28\x00\x00\x00ET12",
    b"\x08\x00\x00\x00TOSA", b"VGF1", b"\x08\x00\x00\x00VGF1", b"\x08\x07\x12\x07pytorch", b"\x80\x02}q\x00.",
    b"\x80\x04\x95", b"\x1f\x8b\x08",
    b"version https://git-lfs.github.com/spec/v1\n", b"\x02\x00\x00\x00\x00\x00\x00\x00{}", b"{}", b"\xef\xbb\xbf{}",
    b"\x7fELF", b"#!/bin/sh\n", bytes(64), b"\xff" * 64, b"<html>",
)  # fmt: skip

INTEGERS: tuple[int, ...] = (
    0, 1, 2, 3, 4, 8, 16, 0x20, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
    0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
