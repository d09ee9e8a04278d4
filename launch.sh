#!/usr/bin/env bash
# ./launch.sh [flags]             installs into .venv on first use, then starts the page
# ./launch.sh test [pytest args]  installs what the tests need as well, then runs them
# ./launch.sh doctor              says what is wrong with the installation, and the cure; installs nothing
# ./launch.sh COMMAND [flags]     a command of `python -m app`, such as txt2img, models or import
# A start with everything in place installs nothing and asks the network for nothing.
#   PYTHON           the Python to build .venv with (3.11 or newer)
#   TORCH_INDEX_URL  where to take PyTorch from, instead of the choice made here
set -euo pipefail

self="${BASH_SOURCE[0]}"
while [ -L "$self" ]; do                        # a link to this file is as good as the file
    link="$(readlink "$self")"
    case "$link" in /*) self="$link" ;; *) self="$(dirname "$self")/$link" ;; esac
done
root="$(cd -P "$(dirname "$self")" && pwd)"
venv="$root/.venv"

say() { printf '%s\n' "$*"; }
fail() { printf 'darkroom: %s\n' "$*" >&2; exit 1; }

# The page works with the network cut, and tells nobody that it runs.
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 GRADIO_ANALYTICS_ENABLED=False
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
if [ -z "${HOME:-}" ] || [ ! -w "${HOME:-/nonexistent}" ]; then
    export HOME="$venv/home"
    mkdir -p "$HOME" || fail "The folder $root cannot be written to."
fi

python="$venv/bin/python"
[ -e "$venv/Scripts" ] && python="$venv/Scripts/python.exe"      # Git Bash on Windows

find_python() {     # prints the first Python that is new enough and can make a virtual environment
    local candidate old=""
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
        if [ -z "$candidate" ] || ! "$candidate" -c 'pass' >/dev/null 2>&1; then
            [ -z "$candidate" ] || [ "$candidate" != "${PYTHON:-}" ] || fail "PYTHON is '$PYTHON', which does not run."
        elif ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            old="$("$candidate" -c 'import platform; print(platform.python_version())')"
        elif ! "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            fail "'$candidate' lacks the modules venv and ensurepip. On Debian and Ubuntu: sudo apt install python3-venv"
        else
            command -v "$candidate"
            return
        fi
    done
    [ -z "$old" ] || fail "Python 3.11 or newer is needed, but only Python $old was found. Install a newer one, or name it: PYTHON=/path/to/python ./launch.sh"
    fail "Python 3.11 or newer is needed and none was found. Install it, or name it: PYTHON=/path/to/python ./launch.sh"
}

stamp_of() {        # what an installation was made from: the Python, where torch comes from, the requirement files
    local name
    "$python" -c 'import sys; print(sys.version)' && printf '%s\n' "${TORCH_INDEX_URL:-}" && for name in "$@"; do cat "$root/$name"; done
}
is_current() {      # is_current <stamp file> <requirement files>
    local stamp="$1"
    shift
    [ -f "$stamp" ] && [ "$(stamp_of "$@" 2>/dev/null || true)" = "$(cat "$stamp")" ]
}
write_stamp() {
    local stamp="$1"
    shift
    stamp_of "$@" >"$stamp.part"
    mv "$stamp.part" "$stamp"
}
base_is_current() { is_current "$venv/.installed" requirements.txt requirements-nodeps.txt; }
test_is_current() { is_current "$venv/.installed-test" requirements-test.txt; }

has_cuda() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; }

pip_install() { "$python" -m pip install -qq --no-warn-conflicts "$@"; }

install_torch() {
    local torch
    torch="$(sed -n 's/^\(torch==[^ #]*\).*/\1/p' "$root/requirements.txt")"
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        say "Installing PyTorch from $TORCH_INDEX_URL ..."
        pip_install "$torch" --index-url "$TORCH_INDEX_URL" || fail "PyTorch could not be installed from TORCH_INDEX_URL."
    elif has_cuda; then
        say "Installing PyTorch for your NVIDIA card (some gigabytes, once) ..."
        pip_install "$torch" || fail "PyTorch could not be installed; is the network reachable?"
    elif [ "$(uname -s)" != Linux ]; then
        say "Installing PyTorch (once) ..."
        pip_install "$torch" || fail "PyTorch could not be installed; is the network reachable?"
    else
        # The plain wheel on Linux brings the CUDA libraries along, so ask for the CPU build by its own version: first
        # where pip looks anyway (a local folder, a mirror), then at PyTorch's index, which may be out of reach.
        say "Installing PyTorch for the CPU (about 200 MB, once) ..."
        pip_install --retries 1 "$torch+cpu" 2>/dev/null ||
            pip_install --retries 1 --timeout 15 --extra-index-url https://download.pytorch.org/whl/cpu "$torch+cpu" 2>/dev/null || {
            say "The CPU build cannot be had here; taking the one with CUDA (some gigabytes) ..."
            pip_install "$torch" || fail "PyTorch could not be installed; is the network reachable?"
        }
    fi
}

is_whole() {        # is every file of every installed package there, in its right size?
    "$python" -I - 2>/dev/null <<'CHECK'
import sys
from importlib.metadata import distributions

for package in distributions():
    for file in package.files or sys.exit(1):
        path = file.locate()
        if file.suffix != ".pyc" and (not path.exists() or file.size not in (None, path.stat().st_size)):
            sys.exit(1)
CHECK
}

make_venv() {       # a virtual environment that works: the one that is there, or a new one
    local base
    if "$python" -m pip --version >/dev/null 2>&1; then
        [ -e "$venv/.unfinished" ] || return 0
        is_whole && return 0
        say "The last installation was interrupted; beginning anew ..."
    fi
    base="$(find_python)" || exit 1
    find "$venv" -mindepth 1 -maxdepth 1 ! -name home ! -name .lock -exec rm -rf {} +
    say "Creating .venv with $("$base" -c 'import platform; print("Python", platform.python_version())') ..."
    : >"$venv/.unfinished"
    "$base" -m venv "$venv" || fail "The virtual environment $venv could not be created."
    [ ! -e "$venv/Scripts" ] || python="$venv/Scripts/python.exe"
}

install() {         # install "" or install test: what is not there yet, and nothing when all is there
    if base_is_current && { [ "$1" != test ] || test_is_current; }; then return; fi
    mkdir -p "$venv" || fail "The folder $root cannot be written to."
    if command -v flock >/dev/null 2>&1; then    # two first starts at once: the second waits
        exec 9>"$venv/.lock"
        flock 9
    fi
    make_venv
    : >"$venv/.unfinished"
    if ! base_is_current; then
        install_torch
        say "Installing what Darkroom needs ..."
        pip_install -r "$root/requirements.txt" && pip_install --no-deps -r "$root/requirements-nodeps.txt" ||
            fail "The requirements could not be installed; is the network reachable?"
        write_stamp "$venv/.installed" requirements.txt requirements-nodeps.txt
    fi
    if [ "$1" = test ] && ! test_is_current; then
        say "Installing what the tests need ..."
        pip_install -r "$root/requirements-test.txt" || fail "What the tests need could not be installed; is the network reachable?"
        write_stamp "$venv/.installed-test" requirements-test.txt
    fi
    rm -f "$venv/.unfinished"
    exec 9>&-
}

install_xformers() {
    [ -f "$venv/.installed-xformers" ] && cmp -s "$root/requirements-xformers.txt" "$venv/.installed-xformers" && return
    if ! has_cuda; then
        say "xformers needs an NVIDIA card; going on with PyTorch's own attention."
    elif pip_install --no-deps -r "$root/requirements-xformers.txt"; then
        cp "$root/requirements-xformers.txt" "$venv/.installed-xformers"
    else
        say "xformers could not be installed; going on with PyTorch's own attention."
    fi
}

doctor() {          # works without .venv too, with what Python there is
    local base
    if "$python" -c 'pass' >/dev/null 2>&1; then
        exec "$python" "$root/webui.py" doctor "$@"
    fi
    if [ -e "$venv/bin" ] || [ -e "$venv/Scripts" ]; then
        say "problem  .venv         Its Python does not run."
        say "cure                   Delete $venv and run ./launch.sh with the network on."
    else
        say "problem  .venv         It is not there: nothing is installed yet."
        say "cure                   Run ./launch.sh with the network on; it installs everything."
    fi
    base="$(find_python)" || exit 1
    say "What follows is seen with $base, which has not got what Darkroom needs."
    say ""
    "$base" "$root/webui.py" doctor "$@" || true
    exit 1
}

if [ "${1:-}" = doctor ]; then
    shift
    doctor "$@"
fi
if [ "${1:-}" = test ]; then
    shift
    install test
    cd "$root"
    exec "$python" -m pytest "$@"
fi
install ""
for flag in "$@"; do
    [ "$flag" != --xformers ] || install_xformers
done
exec "$python" "$root/webui.py" "$@"
