#!/usr/bin/env bash
# Installs what the tests run against, on Debian as root; elsewhere says what is missing.
# Names of further programs, each its own package, are arguments: `make bench` wants wrk.
set -u
missing=()
for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v chromium >/dev/null || missing+=(chromium)
command -v npm >/dev/null || missing+=(npm)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && exit 0
fi
echo "missing: ${missing[*]} (the tests that need them are skipped, and fail in CI)"
