#!/bin/sh
# Sourced by make-env.sh: which platforms the locked packages have wheels for. Knows nothing of this machine that it is
# not told, so that every answer can be tested anywhere.

# unsupported SYSTEM MACHINE PYTHON LIBC VERSION, as: unsupported Linux x86_64 3.11 glibc 2.36
# Prints why packages of the lock can't be installed there, and what to do; prints nothing when they can.
unsupported() {
    case "$1 $2" in
    'Linux x86_64')
        case "$4" in
        glibc) ;;
        *) echo "found Linux with $4, expected glibc: TensorFlow has no wheels for it. Use Debian, Ubuntu or Fedora."; return ;;
        esac
        minor=${5#*.}
        minor=${minor%%.*}
        [ "${5%%.*}" = 2 ] || return 0
        if [ "$3" = 3.11 ]; then
            [ "$minor" -ge 28 ] || echo "found glibc $5, expected 2.28 or later. Use a newer system, as Debian 12."
        else
            [ "$minor" -ge 39 ] ||
                echo "found Python $3 with glibc $5, expected glibc 2.39 or later for it. Use Python 3.11: PYTHON=python3.11."
        fi
        ;;
    'Darwin arm64')
        [ "$3" != 3.11 ] || echo "found Python 3.11 on macOS, expected 3.12 or 3.13. Set PYTHON=/path/to/python3.12."
        ;;
    *)
        echo "found $1 on $2, expected Linux on x86_64, or macOS on arm64 with Python 3.12 or 3.13: TFX has no wheels for others."
        ;;
    esac
}
