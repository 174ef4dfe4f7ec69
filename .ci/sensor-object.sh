#!/usr/bin/env bash
# The sensor's programs for the kernel: compiles crates/sensor/ebpf/sensor.bpf.c with Debian's clang-14 and libbpf-dev and holds the
# result against the committed object, byte by byte. With --write it becomes the committed object.
set -euo pipefail
cd "$(dirname "$0")/../crates/sensor/ebpf"

command -v clang-14 llvm-strip-14 >/dev/null && [ -f /usr/include/bpf/bpf_helpers.h ] ||
    { apt-get update -q && apt-get install -y -q clang-14 llvm-14 libbpf-dev; } >/dev/null

made=$(mktemp)
trap 'rm -f "$made"' EXIT
# Only the two headers of the kernel's interface are of the machine's own architecture; what is made is the same on each.
clang-14 -O2 -g -Wall -Werror -target bpf -mcpu=v2 -fdebug-compilation-dir=. \
    -I"/usr/include/$(uname -m)-linux-gnu" -c sensor.bpf.c -o "$made"
# The types (BTF) stay: they say which members of the kernel's types are read. What debuggers read goes.
llvm-strip-14 --strip-debug "$made"

if [ "${1:-}" = --write ]; then
    cp "$made" sensor.bpf.o
    chmod 644 sensor.bpf.o
elif cmp "$made" sensor.bpf.o; then
    echo "the committed object is what clang-14 makes of its source: $(stat -c %s sensor.bpf.o) bytes"
else
    echo "sensor.bpf.o is not what clang-14 makes of sensor.bpf.c: run \`.ci/sensor-object.sh --write\` and commit it" >&2
    exit 1
fi
