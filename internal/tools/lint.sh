#!/bin/sh
# gofmt, staticcheck and govulncheck over the modules in the folders given, tools pinned by the go.mod beside this file.
set -eu

go=${GO:-go}
tools=$PWD/internal/tools/go.mod

unformatted=$(gofmt -l "$@" | sort -u)
if [ -n "$unformatted" ]; then
	echo "not formatted by gofmt:" >&2
	echo "$unformatted" >&2
	exit 1
fi

for dir in "$@"; do
	echo "staticcheck in $dir"
	(cd "$dir" && $go tool -modfile="$tools" staticcheck -checks inherit,-ST1005 ./...) # errors begin with names of fields
done

# The database of vulnerabilities is on the internet. Where it does not answer there is nothing to check against, and
# this says so; findings (exit status 3) and failures of any other kind fail the run.
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for dir in "$@"; do
	echo "govulncheck in $dir"
	status=0
	(cd "$dir" && $go tool -modfile="$tools" govulncheck ./...) >"$out" 2>&1 || status=$?
	cat "$out"
	if [ "$status" -eq 1 ] && grep -q 'fetching vulnerabilities' "$out"; then
		echo "govulncheck did NOT run: its database did not answer"
		break
	fi
	[ "$status" -eq 0 ] || exit "$status"
done
