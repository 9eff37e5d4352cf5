"""Says which Vulkan device a driver has and what extensions, as one line of JSON. Run by path, in a process of its own.

Arguments are libraries of layers that must load: the Vulkan loader leaves out one that does not, and says nothing. Uses
the C interface of the loader by ctypes (vulkan_core.h), and imports nothing else.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_API_1_3 = (1 << 22) | (3 << 12)
_PROPERTIES_SIZE = 4096  # VkPhysicalDeviceProperties has 824 bytes
_NAME_AT = 5 * 4  # deviceName, after five 32-bit fields


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("sType", ctypes.c_int32), ("pNext", ctypes.c_void_p), ("pApplicationName", ctypes.c_char_p),
        ("applicationVersion", ctypes.c_uint32), ("pEngineName", ctypes.c_char_p),
        ("engineVersion", ctypes.c_uint32), ("apiVersion", ctypes.c_uint32),
    )  # fmt: skip


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = (
        ("sType", ctypes.c_int32), ("pNext", ctypes.c_void_p), ("flags", ctypes.c_uint32),
        ("pApplicationInfo", ctypes.POINTER(_ApplicationInfo)), ("enabledLayerCount", ctypes.c_uint32),
        ("ppEnabledLayerNames", ctypes.c_void_p), ("enabledExtensionCount", ctypes.c_uint32),
        ("ppEnabledExtensionNames", ctypes.c_void_p),
    )  # fmt: skip


class _ExtensionProperties(ctypes.Structure):
    _fields_ = (("extensionName", ctypes.c_char * 256), ("specVersion", ctypes.c_uint32))


def main(layers: list[str]) -> dict[str, Any]:
    """The device and its extensions, or what is wrong."""
    for path in layers:
        try:
            ctypes.CDLL(path)
        except OSError as error:
            return {"fault": str(error)}
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError as error:
        return {"fault": str(error)}
    application = _ApplicationInfo(sType=0, pApplicationName=b"fuseguard", apiVersion=_API_1_3)
    create = _InstanceCreateInfo(sType=1, pApplicationInfo=ctypes.pointer(application))
    instance = ctypes.c_void_p()
    result = vulkan.vkCreateInstance(ctypes.byref(create), None, ctypes.byref(instance))
    if result:
        return {"fault": f"vkCreateInstance returns {result}, so the driver cannot be used"}
    count = ctypes.c_uint32(1)
    device = ctypes.c_void_p()
    result = vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), ctypes.byref(device))
    if result not in (0, 5) or not count.value:  # 5: VK_INCOMPLETE, there are more
        return {"fault": "the driver has no device"}
    properties = ctypes.create_string_buffer(_PROPERTIES_SIZE)
    vulkan.vkGetPhysicalDeviceProperties(device, properties)
    number = ctypes.c_uint32()
    vulkan.vkEnumerateDeviceExtensionProperties(device, None, ctypes.byref(number), None)
    listed = (_ExtensionProperties * number.value)()
    vulkan.vkEnumerateDeviceExtensionProperties(device, None, ctypes.byref(number), listed)
    name = properties.raw[_NAME_AT : _NAME_AT + 256].split(b"\0")[0].decode("utf-8", "replace")
    return {"device": name, "extensions": sorted(item.extensionName.decode("ascii", "replace") for item in listed)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
