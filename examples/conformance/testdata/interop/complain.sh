# complain.sh FILE: prints a file where errors go.
cat "$1" >&2
