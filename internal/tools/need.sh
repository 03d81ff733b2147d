#!/bin/sh
# Installs what the named needs lack through the system's package manager: cc (a C compiler, which the race detector
# wants), redis (redis-server), and the clients of the browser tests: chromium, firefox, node (with npm), xvfb, tshark,
# curl. Usage: need.sh NAME...
set -eu

go=${GO:-go}

say() { echo "need.sh: $*" >&2; }

have() {
	case $1 in
	cc) # compiling shows more than finding: headers come in packages of their own
		cc=$($go env CC)
		command -v "${cc%% *}" >/dev/null 2>&1 || return 1
		echo '#include <stdlib.h>' | $cc -E - >/dev/null 2>&1
		;;
	redis) command -v redis-server >/dev/null 2>&1 ;;
	chromium)
		for name in chromium chromium-browser google-chrome google-chrome-stable; do
			command -v "$name" >/dev/null 2>&1 && return 0
		done
		[ -d '/Applications/Chromium.app' ] || [ -d '/Applications/Google Chrome.app' ]
		;;
	firefox)
		for name in firefox-esr firefox; do
			command -v "$name" >/dev/null 2>&1 && return 0
		done
		[ -d '/Applications/Firefox.app' ]
		;;
	node) command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 ;;
	xvfb) command -v Xvfb >/dev/null 2>&1 || [ "$(uname)" = Darwin ] ;;
	tshark | curl) command -v "$1" >/dev/null 2>&1 ;;
	*) say "unknown need: $1" && exit 2 ;;
	esac
}

# root runs a command with the rights to install.
root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		say "to install packages, run this as root or install sudo: $*"
		exit 1
	fi
}

fetch() {
	if command -v apt-get >/dev/null 2>&1; then
		case $1 in
		cc) set -- gcc libc6-dev ;;
		redis) set -- redis-server ;;
		firefox) set -- firefox-esr ;;
		node) set -- nodejs npm ;;
		xvfb) set -- xvfb xauth ;;
		esac
		root apt-get update -q
		root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
	elif command -v dnf >/dev/null 2>&1; then
		case $1 in
		cc) set -- gcc glibc-devel ;;
		redis) set -- /usr/bin/redis-server ;; # from redis or from valkey's compatible package
		node) set -- nodejs nodejs-npm ;;
		xvfb) set -- xorg-x11-server-Xvfb xorg-x11-xauth ;;
		tshark) set -- wireshark-cli ;;
		esac
		root dnf install -y "$@"
	elif command -v apk >/dev/null 2>&1; then
		case $1 in
		cc) set -- gcc musl-dev ;;
		firefox) set -- firefox-esr ;;
		node) set -- nodejs npm ;;
		esac
		root apk add --no-cache "$@"
	elif command -v brew >/dev/null 2>&1; then # never as root
		case $1 in
		cc) say "for a C compiler run: xcode-select --install" && exit 1 ;;
		chromium | firefox) set -- --cask "$1" ;;
		tshark) set -- wireshark ;;
		esac
		brew install "$@"
	else
		say "found none of apt-get, dnf, apk and brew: install $1 by hand"
		exit 1
	fi
}

for need in "$@"; do
	have "$need" && continue
	say "$need is missing, installing it"
	fetch "$need" >&2
	have "$need" || { say "$need is still missing after installing it"; exit 1; }
done
