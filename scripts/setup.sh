#!/usr/bin/env bash
# Installs the Debian packages that the tests need, and those that are named to it. Their services are kept from starting while they are installed;
# whatever decided about that before is put back. Without root and sudo it names what is missing and fails.
set -euo pipefail

packages=(
  gcc libc6-dev              # the race detector links with them
  git                        # the version of the binary
  slapd ldap-utils           # a real directory
  ocserv openconnect         # a real VPN server and its client
  freeradius freeradius-ldap # the server beside ours in the bench
  freeradius-utils           # radclient
  openvpn openvpn-auth-radius # another VPN server, and how it asks
  strongswan-charon strongswan-swanctl libcharon-extra-plugins # a third one
  libcharon-extauth-plugins libstrongswan-standard-plugins
  oathtool pskctool socat    # codes, seed files and pipes from outside
  iproute2 iputils-ping      # network namespaces
  systemd                    # reads the unit file
  python3-aiosmtpd           # a real mail server
  rsyslog                    # a real syslog server
  chromium fonts-noto-cjk    # a real browser, with Japanese glyphs
  ca-certificates
  "$@"
)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "setup: these Debian packages are missing and this is no Debian: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "setup: these packages are missing: ${missing[*]}" >&2
    echo "setup: run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

# invoke-rc.d asks this file before it starts anything; 101 means no.
policy=/usr/sbin/policy-rc.d
kept=
put_back() {
  "${as_root[@]}" rm -f "$policy"
  if [ -n "$kept" ]; then
    "${as_root[@]}" mv "$kept" "$policy"
  fi
}
if [ -e "$policy" ]; then
  kept="$policy.before-setup.$$"
  "${as_root[@]}" mv "$policy" "$kept"
fi
trap put_back EXIT
printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
"${as_root[@]}" chmod 755 "$policy"

echo "setup: installing ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
