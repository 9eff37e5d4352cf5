"""Recognizes a file that is not a .pt2 archive by its first bytes, and says what to check instead."""

from __future__ import annotations

_AGAIN = "check the .pt2 file that torch.export.save wrote"
_LOOK = " ('fuseguard inspect' shows what is in this one)"

#: The keys (field number and wire type) of what may follow ``ir_version`` in ONNX's ModelProto: producer_name,
#: producer_version, domain, model_version, doc_string, graph and opset_import.
_AFTER_IR_VERSION = b"\x12\x1a\x22\x28\x32\x3a\x42"


def describe(head: bytes) -> str:
    """What a file is that starts with ``head`` (64 bytes will do), as the end of a sentence; "" if unknown."""
    if head[4:6] == b"ET":  # the FlatBuffers file identifier of schema/program.fbs
        return (
            "is an ExecuTorch program (.pte), which is already lowered and no longer has the graph to check; check the "
            ".pt2 file it was made from ('fuseguard inspect' shows what is left)"
        )
    if head.startswith(b"version https://git-lfs.github.com/"):
        return "is a Git LFS pointer instead of the file itself; run 'git lfs pull' and check again"
    if head[4:8] == b"TOSA":  # tosa.fbs
        return f"is a TOSA flatbuffer, which is already lowered; {_AGAIN}, of the program before lowering{_LOOK}"
    if head.startswith(b"VGF1") or head[4:8] == b"VGF1":  # the header of the VGF library
        return f"is a VGF file, which is already lowered; {_AGAIN}, of the program before lowering{_LOOK}"
    if _is_onnx(head):
        return f"looks like an ONNX model, which fuseguard does not read; {_AGAIN}"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return f"is a safetensors file, which holds weights and no program; {_AGAIN}"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return (
            "is a pickle, as torch.save wrote it before 1.6, which holds no exported graph and runs code when it is "
            f"loaded; {_AGAIN}"
        )
    if head.startswith(b"\x1f\x8b"):
        return "is compressed with gzip; unpack it and check the .pt2 file inside"
    return ""


def _is_onnx(head: bytes) -> bool:
    """Whether this starts like ModelProto of onnx.proto: with a small ``ir_version``, and a further field of its own.

    Protocol Buffers have no magic number. Writers put the fields in the order of their numbers.
    """
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x40 and head[2] in _AFTER_IR_VERSION
