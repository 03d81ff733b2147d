#!/bin/sh
# Runs every fuzz target of the module in turn, FUZZTIME each. New failures lie in the package's testdata/fuzz.
set -eu

go=${GO:-go}
time=${FUZZTIME:-30s}
ran=0
IFS='
'

dirs=$($go list -f '{{.Dir}}' ./...)
for dir in $dirs; do
	grep -qs '^func Fuzz' "$dir"/*_test.go || continue
	targets=$(cd "$dir" && $go test -list '^Fuzz' .)
	for target in $targets; do
		case $target in Fuzz*) ;; *) continue ;; esac
		echo "== $target in ${dir#"$PWD"/}"
		(cd "$dir" && $go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" .)
		ran=$((ran + 1))
	done
done

[ "$ran" -gt 0 ] || { echo "fuzz.sh: no fuzz target found" >&2; exit 1; }
echo "$ran fuzz targets, $time each"
