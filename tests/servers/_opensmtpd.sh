#!/usr/bin/env bash
# OpenSMTPD in a view of the machine in which it is installed: _opensmtpd.sh TREE STATE PORT NEXT_PORT
# Takes any mail from this machine and hands it on to NEXT_PORT (tests/servers/relays.py).
# Runs as root of its own mount and process namespaces (tests/servers/installed.py); nothing outside is changed.
set -euo pipefail
tree=$1 state=$2 port=$3 next=$4
. "$(dirname "${BASH_SOURCE[0]}")/_private_view.sh"

for user in opensmtpd opensmtpq; do
  id "$user" &>/dev/null || useradd --system "$user"
done
mount -t tmpfs none /var/spool
mount -t tmpfs none /var/lib
mount -t tmpfs none /run
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
cat >"$state/smtpd.conf" <<END
listen on 127.0.0.1 port $port hostname smtpd.example.org
action onward relay host smtp://127.0.0.1:$next
match from any for any action onward
END
chmod 644 "$state/smtpd.conf"
exec smtpd -d -f "$state/smtpd.conf"
