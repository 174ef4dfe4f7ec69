#!/usr/bin/env bash
# What Podman commits, exports and tells of an altered container, against what `neph image` says of it: bash .ci/images-podman.sh [NEPH]
# Needs podman, and a C compiler for a program to put into the image. Nothing is run: files are copied into a container that was made.
set -euo pipefail
neph=${1:-target/debug/neph}
[ -x "$neph" ] || { echo "there is no program $neph"; exit 2; }
neph=$(realpath "$neph")
command -v podman >/dev/null || { echo "podman is not there"; exit 2; }
work=$(mktemp -d)
podman=(podman --root "$work/root" --runroot "$work/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file)
trap '"${podman[@]}" rm -fa >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
cd "$work"
mkdir -p of/bin of/var/www/html
printf 'int main(void) { return 0; }\n' | cc -static -x c -o of/bin/app -
printf '<?php echo 1;' >of/var/www/html/index.php
printf 'FROM scratch\nCOPY bin /bin\nCOPY var /var\nCMD ["/bin/app"]\n' >Dockerfile
"${podman[@]}" build -q -t localhost/shop/app:1.0 -f Dockerfile of >/dev/null
"${podman[@]}" save -q -o golden.tar localhost/shop/app:1.0

"${podman[@]}" create --name same --network none localhost/shop/app:1.0 >/dev/null
"${podman[@]}" export same >same.tar
"${podman[@]}" create --name altered --network none localhost/shop/app:1.0 >/dev/null
printf '<?php system($_GET["c"]);' >shell.php
cp of/bin/app app && echo more >>app && chmod 4755 app
"${podman[@]}" cp shell.php altered:/var/www/html/shell.php
"${podman[@]}" cp app altered:/bin/app
"${podman[@]}" export altered >altered.tar
"${podman[@]}" diff --format json altered >altered.json
"${podman[@]}" commit -q altered localhost/shop/app:1.1 >/dev/null
"${podman[@]}" save -q --format oci-archive -o committed.tar localhost/shop/app:1.1

failed=0
expect() { # name, exit code, texts that must be told; the command's output comes from `told`
    local name=$1 code=$2 text
    shift 2
    [ "$status" = "$code" ] || { echo "FAILED $name: exit code $status"; failed=1; }
    for text in "$@"; do
        grep -qF -- "$text" <<<"$told" || { echo "FAILED $name: nothing is said of $text"; failed=1; }
    done
    echo "       $name: $(tail -n 1 <<<"$told")"
}
ask() { status=0; told=$("$neph" image "$@" --fail-on high 2>&1) || status=$?; }
ask compare golden.tar committed.tar
expect "what was committed" 1 /var/www/html/shell.php T1505.003 file-replaced became-set-id
ask drift golden.tar --root altered.tar
expect "what was exported" 1 /var/www/html/shell.php T1505.003 file-replaced became-set-id
ask drift golden.tar --changes altered.json
expect "what diff tells" 1 /var/www/html/shell.php /bin/app file-replaced
ask drift golden.tar --root same.tar
expect "a container that nobody touched" 0
ask compare golden.tar golden.tar
expect "the image itself" 0
exit $failed
